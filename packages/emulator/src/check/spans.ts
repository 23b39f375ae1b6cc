import type { Instant, Validity } from '@certfleet/agent-core'

/** `1 year`, `18 months`. */
export function validityText({ value, scale }: Validity): string {
  return `${value} ${value === 1 ? scale.slice(0, -1) : scale}`
}

/** The day in UTC, `2031-01-31`. */
export function dayText(at: Instant): string {
  return new Date(at).toISOString().slice(0, 10)
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** To a tenth of the unit that fits: `14.4 minutes`, `8 hours`, `73 days`. */
export function spanText(ms: number): string {
  const [unitMs, unit] = ms < hourMs ? [minuteMs, 'minute'] : ms < 2 * dayMs ? [hourMs, 'hour'] : [dayMs, 'day']
  const count = Math.round((ms / unitMs) * 10) / 10
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
