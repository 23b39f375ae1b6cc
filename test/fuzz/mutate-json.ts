import { mutateBytes } from './mutate-bytes.ts'
import type { Random } from './random.ts'

interface Place {
  readonly holder: Record<string, unknown>
  readonly key: string
}

const parsed = new WeakMap<Uint8Array, unknown>()

/** One to four changes to values of a JSON document. */
export function mutateJson(bytes: Uint8Array, random: Random): Uint8Array {
  const known = parsed.get(bytes) ?? JSON.parse(Buffer.from(bytes).toString())
  parsed.set(bytes, known)
  const document = structuredClone({ document: known }) as Record<string, unknown>
  for (let left = random.skewed(4); left > 0; left--) {
    const places = placesIn(document)
    if (places.length > 0) change(random.pick(places), random)
  }
  return Buffer.from(JSON.stringify(document.document) ?? '')
}

function placesIn(holder: Record<string, unknown>): readonly Place[] {
  return Object.entries(holder).flatMap(([key, value]) => [
    { holder, key },
    ...(typeof value === 'object' && value !== null ? placesIn(value as Record<string, unknown>) : []),
  ])
}

function change({ holder, key }: Place, random: Random): void {
  const value = holder[key]
  const changes: readonly (() => unknown)[] = [
    () => delete holder[key],
    () => put(holder, random.pick(oddKeys), value),
    () => put(holder, key, random.pick(oddValues)),
    () => put(holder, key, [value, value]),
    () =>
      put(
        holder,
        key,
        Array.from({ length: random.skewed(300) }, () => value),
      ),
    () => put(holder, key, nested(value, random.skewed(500))),
    () => typeof value === 'string' && put(holder, key, Buffer.from(mutateBytes(Buffer.from(value), random)).toString()),
    () => typeof value === 'number' && put(holder, key, value + random.pick([-1, 1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 53)])),
  ]
  random.pick(changes)()
}

/** As JSON.parse does it, which gives `__proto__` a value of its own. */
function put(holder: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true })
}

function nested(value: unknown, depth: number): unknown {
  let wrapped = value
  for (let left = depth; left > 0; left--) wrapped = left % 2 === 0 ? [wrapped] : { a: wrapped }
  return wrapped
}

const oddKeys = ['__proto__', 'constructor', 'toString', '', 'id', '0'] as const
const oddValues: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  '',
  '\0',
  '__proto__',
  'a'.repeat(20_000),
  '\ud800',
  '%00',
  [],
  {},
  'http://127.0.0.1/',
  'file:///etc/passwd',
  'http://[',
  'CN=',
  'CN="',
  '1.3.6.1.5.5.7.3.2.',
]
