import { generateKeyPairSync, KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { format, inspect } from 'node:util'
import { AgentError, type KeyHandle, type KeySpec } from '@certfleet/agent-core'
import t from 'tap'
import { tpmManufacturer } from '#agent-core/keys/tpm/manufacturer.ts'
import type { ModelledTpm } from '#agent-core/keys/tpm/options.ts'
import { modelledTpm } from '#agent-core/keys/tpm/tpm.ts'

const rsa: KeySpec = { algorithm: 'rsa', bits: 1024 }
const p256: KeySpec = { algorithm: 'ec', curve: 'P-256' }
const clock = { now: () => 1_800_000_000_000, sleep: async () => {} }

function makePrivateKey(spec: KeySpec): KeyObject {
  if (spec.algorithm === 'ec') return generateKeyPairSync('ec', { namedCurve: spec.curve }).privateKey
  return generateKeyPairSync('rsa', { modulusLength: spec.bits }).privateKey
}

/** Everything by which a private key can be known, as octets. */
function secretsOf(key: KeyObject): readonly Buffer[] {
  const jwk = key.export({ format: 'jwk' })
  const numbers = [jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi].filter((text) => text !== undefined)
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' })
  return [pkcs8, ...numbers.map((text) => Buffer.from(text as string, 'base64url'))]
}

/** How octets may be written. Base64 depends on what stands before them: each of three ways, without the ends that it shares. */
function spellings(secret: Buffer): readonly string[] {
  const shifted = [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), secret])
    return [whole.toString('base64'), whole.toString('base64url')].map((text) => text.slice(before === 0 ? 0 : 4, -4))
  })
  const hex = secret.toString('hex')
  return [hex, hex.toUpperCase(), BigInt(`0x${hex}`).toString(), secret.toString('latin1'), ...shifted]
}

interface Search {
  readonly secrets: readonly Buffer[]
  readonly texts: readonly string[]
  readonly seen: Set<unknown>
  readonly found: string[]
}

/** Prototypes of the language and of Node, whose members are known. */
const known: ReadonlySet<unknown> = new Set(
  [Object, Array, Function, Uint8Array, Buffer, Promise, Error, AgentError, Map, Set, ArrayBuffer].flatMap(({ prototype }) => [
    prototype,
    Object.getPrototypeOf(prototype),
  ]),
).add(Object.getPrototypeOf(async () => {}))

/** Looks at a value and at all that hangs from it: members hidden or not, prototypes, the octets behind a view, every text made from it. */
function look(value: unknown, where: string, search: Search): void {
  if (typeof value === 'string') lookAtText(value, where, search)
  if (value === null || (typeof value !== 'object' && typeof value !== 'function') || search.seen.has(value) || known.has(value)) return
  search.seen.add(value)
  if (value instanceof KeyObject && value.type === 'private') search.found.push(`${where}: a private KeyObject`)
  if (value instanceof KeyObject) return
  if (ArrayBuffer.isView(value)) lookAtOctets(Buffer.from(value.buffer), where, search)
  if (value instanceof Map || value instanceof Set) look([...value], where, search)
  for (const text of texts(value)) lookAtText(text, where, search)
  if (ArrayBuffer.isView(value)) return
  for (const name of Reflect.ownKeys(value)) {
    const member = Object.getOwnPropertyDescriptor(value, name)
    look(member && 'value' in member ? member.value : member?.get?.call(value), `${where}.${String(name)}`, search)
  }
  look(Object.getPrototypeOf(value), `${where}.__proto__`, search)
}

function texts(value: object): readonly string[] {
  const made = [inspect(value, { showHidden: true, depth: 20, showProxy: true, getters: true }), format('%o %j %s', value, value, value)]
  return value instanceof Error ? [...made, String(value.stack), value.message] : made
}

/** As it is, and without the line breaks of PEM. */
function lookAtText(text: string, where: string, { texts: spelled, found }: Search): void {
  const joined = text.replaceAll(/\s|\\n/g, '')
  if (spelled.some((spelling) => text.includes(spelling) || joined.includes(spelling))) found.push(`${where}: text`)
}

function lookAtOctets(octets: Buffer, where: string, { secrets, found }: Search): void {
  if (secrets.some((secret) => octets.includes(secret))) found.push(`${where}: octets`)
}

const data = Buffer.from('data')
/** What a caller may try. */
const argumentLists: readonly (readonly unknown[])[] = [
  [],
  ['k'],
  ['none'],
  ['k', Buffer.alloc(32, 1)],
  [p256, 'other'],
  [rsa, 'k'],
  [{ spec: rsa, hash: 'sha256', multiFactor: false }],
  [data, 'sha256'],
  [data, 'sha512'],
  [data, 'nonsense'],
  [Buffer.alloc(128), { padding: 'pkcs1', lengthBytes: 32 }],
  [Buffer.alloc(128), { padding: 'oaep-sha1', lengthBytes: 32 }],
  [Buffer.alloc(128), { padding: 'none', lengthBytes: 128 }],
  [{ isPresent: true }],
  [{ format: 'pem', type: 'pkcs8' }],
  [1],
]
const spoiling = ['destroy', 'set', 'failAuthorization', 'clear']

/** Calls every function of an object with everything, and looks at what comes back, errors and what hangs from results too. */
async function callAll(target: object, where: string, search: Search, depth = 0): Promise<void> {
  look(target, where, search)
  const methods = Reflect.ownKeys(target).filter((name) => typeof Reflect.get(target, name) === 'function')
  const rank = (name: string | symbol) => spoiling.indexOf(String(name))
  for (const name of methods.sort((a, b) => rank(a) - rank(b))) {
    for (const [i, list] of argumentLists.entries()) {
      const path = `${where}.${String(name)}(${i})`
      const result = await attempt(() => Reflect.apply(Reflect.get(target, name), target, list))
      look(result, path, search)
      const isNew = typeof result === 'object' && result !== null && !ArrayBuffer.isView(result) && !(result instanceof Error)
      if (isNew && depth < 2) await callAll(result, path, search, depth + 1)
    }
  }
}

async function attempt(call: () => unknown): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    return error
  }
}

async function leaksOf(make: (makeKey: (spec: KeySpec) => Promise<KeyObject>) => ModelledTpm, plant?: Plant): Promise<readonly string[]> {
  const keys = [makePrivateKey(rsa)]
  const makeKey = async (spec: KeySpec) => {
    const key = spec.algorithm === 'rsa' ? (keys[0] as KeyObject) : makePrivateKey(spec)
    keys.push(key)
    return key
  }
  const tpm = make(makeKey)
  const handle = await tpm.generate(rsa, 'k')
  const other = await tpm.generate(p256, 'other')
  const secrets = keys.flatMap(secretsOf)
  const search: Search = { secrets, texts: secrets.flatMap(spellings), seen: new Set(), found: [] }
  plant?.(keys[0] as KeyObject, tpm, handle)
  await callAll(await tpm.attest('k', Buffer.alloc(32, 1)), 'attestation', search)
  await callAll(handle, 'handle', search)
  await callAll(other, 'other', search)
  await callAll(tpm, 'tpm', search)
  return search.found
}

const inMemory = (makeKey: (spec: KeySpec) => Promise<KeyObject>) =>
  modelledTpm({ clock, makeKey, manufacturer: tpmManufacturer(clock), slots: 100 })

t.test('no call and no member of TPM, handle or attestation gives private bytes', async (t) => {
  t.same(await leaksOf(inMemory), [])
  const folder = join(t.testdir(), 'tpm')
  t.same(await leaksOf((makeKey) => modelledTpm({ clock, makeKey, folder, manufacturer: tpmManufacturer(clock), slots: 100 })), [])
})

t.test('octets that it gives out lie in memory of their own, not in the pool that the process shares', async (t) => {
  const tpm = inMemory(async (spec) => makePrivateKey(spec))
  for (const [label, spec] of [
    ['rsa', rsa],
    ['ec', p256],
  ] as const) {
    const key = await tpm.generate(spec, label)
    const { certificates, ...attestation } = await tpm.attest(label, Buffer.from('nonce'))
    const given = {
      ...attestation,
      certificate: certificates[0],
      publicKey: key.publicKey,
      signed: await key.sign(data, 'sha256'),
      unwrapped: await key.unwrapKey?.(Buffer.alloc(128), { padding: 'pkcs1', lengthBytes: 32 }),
    }
    for (const [name, octets] of Object.entries(given)) t.equal(octets?.buffer.byteLength, octets?.length, `${label}, ${name}`)
  }
})

type Plant = (key: KeyObject, tpm: ModelledTpm, handle: KeyHandle) => void

const add = (target: object, name: string | symbol, value: unknown) => Object.defineProperty(target, name, { value, enumerable: false })
const exponent = (key: KeyObject) => Buffer.from(key.export({ format: 'jwk' }).d as string, 'base64url')
const prime = (key: KeyObject) => Buffer.from(key.export({ format: 'jwk' }).p as string, 'base64url')

const plants: [string, Plant][] = [
  ['a key object behind a symbol', (key, _tpm, handle) => void add(handle, Symbol('key'), key)],
  ['a call that exports', (key, tpm) => void add(tpm, 'export', async () => key.export({ format: 'der', type: 'pkcs8' }))],
  ['a call that exports PEM', (key, _tpm, handle) => void add(handle, 'toString', () => key.export({ format: 'pem', type: 'pkcs8' }))],
  ['an exponent in hex', (key, _tpm, handle) => void add(handle, 'note', exponent(key).toString('hex'))],
  ['a prime in base64, behind other octets', (key, tpm) => void add(tpm, 'x', Buffer.concat([data, prime(key)]).toString('base64'))],
  ['a prime on the prototype', (key, tpm) => void Object.setPrototypeOf(tpm, { p: prime(key) })],
  ['a getter', (key, tpm) => void Object.defineProperty(tpm, 'd', { get: () => ({ jwk: key.export({ format: 'jwk' }) }) })],
  ['the cause of an error', (key, tpm) => void add(tpm, 'fail', async () => Promise.reject(new Error('no', { cause: prime(key) })))],
  ['the octets around a view', (key, _tpm, handle) => void add(handle, 'view', Buffer.concat([prime(key), data]).subarray(-1))],
  ['a member of a function', (key, _tpm, handle) => void add(handle.sign, 'key', key)],
  ['what a call returns twice over', (key, tpm) => void add(tpm, 'deep', async () => ({ get: async () => ({ key: exponent(key) }) }))],
]

for (const [name, plant] of plants) {
  t.test(`the search finds a leak that is planted: ${name}`, async (t) => {
    t.not((await leaksOf(inMemory, plant)).length, 0)
  })
}
