/** RFC 9110 7.6.1 and 11.7: for one connection only, whether or not Connection names them. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Name, value, name, value, as node:http has them raw. */
export type RawHeaders = readonly string[]

/** The headers that go on to the next hop, in order and as they were written: not those of this hop, nor those named in `others`. */
export function endToEnd(raw: RawHeaders, ...others: readonly string[]): string[] {
  const dropped = new Set([...hopByHop, ...connectionOptions(raw), ...others])
  return pairs(raw).flatMap(([name, value]) => (dropped.has(name.toLowerCase()) ? [] : [name, value]))
}

/** Every value that the header has; its name in lower case. */
export function valuesOf(raw: RawHeaders, wanted: string): string[] {
  return pairs(raw).flatMap(([name, value]) => (name.toLowerCase() === wanted ? [value] : []))
}

function connectionOptions(raw: RawHeaders): string[] {
  return valuesOf(raw, 'connection').flatMap((value) => value.split(',').map((option) => option.trim().toLowerCase()))
}

function pairs(raw: RawHeaders): [string, string][] {
  return raw.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, raw[i + 1] ?? '']] : []))
}
