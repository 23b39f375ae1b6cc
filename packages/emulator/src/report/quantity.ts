/** Numbers for people: three significant digits, and the unit that needs the fewest. Counts are exact. */

/** `12,034` */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `0`, `0.512`, `84.3`, `12,034`: three digits, and whole from 1,000 on. */
export function numberText(value: number): string {
  if (value === 0) return '0'
  return Math.abs(value) >= 1000 ? countText(value) : String(Number(value.toPrecision(3)))
}

/** `512 µs`, `84.0 ms`, `1.84 s`, `2 min 5 s`, `3 h 20 min`; `–` for null. */
export function durationText(ms: number | null): string {
  if (ms === null) return '–'
  if (ms === 0) return '0 ms'
  if (ms < 0.9995) return `${(ms * 1000).toPrecision(3)} µs`
  if (ms < 999.5) return `${ms.toPrecision(3)} ms`
  if (ms < 99_950) return `${(ms / 1000).toPrecision(3)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** The same for a length that was chosen: `10 ms`, `1.5 s`. */
export function spanText(ms: number): string {
  return durationText(ms).replace(/\.?0+(?= )(?<=\.\d*)/, '')
}

/** `0:45`, `12:05`, `1:02:05`: a moment since the start. */
export function momentText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

/** `84.3/s` */
export function rateText(perSecond: number): string {
  return `${numberText(perSecond)}/s`
}

/** Of a whole of 1: `97.2 %`. Nothing is rounded up to all, or down to none. */
export function shareText(share: number): string {
  if (share > 0.999 && share < 1) return '> 99.9 %'
  if (share > 0 && share < 0.0001) return '< 0.01 %'
  return `${numberText(share * 100)} %`
}

/** `182 MiB` */
export function bytesText(bytes: number): string {
  const gib = bytes / 2 ** 30
  return gib >= 1 ? `${numberText(gib)} GiB` : `${numberText(bytes / 2 ** 20)} MiB`
}
