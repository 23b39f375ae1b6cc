import { inspect, types } from 'node:util'

/** An exponent of a P-256 key; handles and nonces are shorter. */
const shortestSecretBytes = 32
/** Half of an RSA-1024 key in base64 is longer; a label that is a hash is shorter. */
const secretText = /PRIVATE KEY|(?:Private|Secret)KeyObject|"?\b(?:d|p|q|dp|dq|qi)"?: ?["'][\w-]{20}|[\w+/=-]{80}/
const maxDepth = 8
const builtIn = new Set<unknown>([Object, Function, Array, Map, Set, Promise, Error].map(({ prototype }) => prototype))

/**
 * Where in `root` something lies that is, or may be, a private key: key objects, octets and numbers long enough to be one that are not
 * `publicKey`, and text that reads like one. Looks at every member: nested, hidden, behind getters and symbols, inherited, behind a proxy.
 */
export function findSecrets(root: unknown, publicKey: Uint8Array): string[] {
  const seen = new Set<unknown>()
  const visit = (value: unknown, path: string, depth: number): string[] => {
    const finding = judge(value, publicKey)
    if (finding !== undefined) return [`${path}: ${finding}`]
    if (!isObject(value) || isOctets(value) || seen.has(value) || depth > maxDepth) return []
    seen.add(value)
    return membersOf(value).flatMap(([name, member]) => visit(member, `${path}.${name}`, depth + 1))
  }
  return [...visit(root, 'it', 0), ...textsOf(root).flatMap(([kind, text]) => (secretText.test(text) ? [`${kind} shows a key`] : []))]
}

function judge(value: unknown, publicKey: Uint8Array): string | undefined {
  if (typeof value === 'bigint') return 'a bigint'
  if (typeof value === 'string') return secretText.test(value) ? 'text like a key' : undefined
  if (!isObject(value)) return undefined
  if (types.isKeyObject(value) || types.isCryptoKey(value)) return value.type === 'public' ? undefined : `a ${value.type} key object`
  if (isOctets(value))
    return value.byteLength >= shortestSecretBytes && !equals(value, publicKey) ? 'octets, not the public key' : undefined
  const isNumbers = Array.isArray(value) && value.length >= shortestSecretBytes && value.every((item) => typeof item === 'number')
  return isNumbers ? 'numbers' : undefined
}

function membersOf(value: object): [string, unknown][] {
  const entries = types.isMap(value) ? [...value].flat() : types.isSet(value) ? [...value] : []
  const members: [string, unknown][] = entries.map((entry, i) => [`entry ${i}`, entry])
  for (let owner = value; owner && !builtIn.has(owner); owner = Object.getPrototypeOf(owner)) {
    for (const name of Reflect.ownKeys(owner)) members.push([String(name), read(owner, name, value)])
  }
  return members
}

/** Getters may refuse; what they refuse is no finding. */
function read(owner: object, name: PropertyKey, receiver: object): unknown {
  try {
    return Reflect.get(owner, name, receiver)
  } catch {
    return undefined
  }
}

function textsOf(value: unknown): [string, string][] {
  const everything = { showHidden: true, getters: true, depth: maxDepth, maxArrayLength: 1000, maxStringLength: null } as const
  return [
    ['inspect()', inspect(value, everything)],
    ['inspect() behind a proxy', inspect(value, { ...everything, showProxy: true })],
    ['JSON', textOf(() => JSON.stringify(value, (_name, member) => (isObject(member) && isOctets(member) ? 'octets' : member)))],
    ['String()', textOf(() => String(value))],
  ]
}

/** What refuses to be text shows nothing. */
function textOf(make: () => string | undefined): string {
  try {
    return make() ?? ''
  } catch {
    return ''
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function isOctets(value: object): value is ArrayBufferView | ArrayBufferLike {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)
}

function equals(value: ArrayBufferView | ArrayBufferLike, publicKey: Uint8Array): boolean {
  const octets = ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : Buffer.from(value)
  return octets.equals(publicKey)
}
