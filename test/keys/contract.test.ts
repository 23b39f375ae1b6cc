import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { AgentError, type KeySpec, type KeyStorageProvider, type KeyWish, softwareKeyHandle, softwareKeys } from '@certfleet/agent-core'
import { keyStorageProviderContract as checksOf } from '@certfleet/agent-core/contracts'
import t from 'tap'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { makeKeyPool, pooledKeys } from '../fakes/pooled-keys.ts'
import { endsAs, run } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'
import {
  but,
  decryptsBy,
  digestOf,
  findingByLabel,
  handlesBut,
  labelledBy,
  overwriting,
  rejectingBy,
  signsBy,
  takingLate,
  unpadded,
  unwrapsBy,
} from './broken-providers.ts'

t.test('software keys on P-256', (t) =>
  keyStorageProviderContract(t, async () => softwareKeys(), { spec: { algorithm: 'ec', curve: 'P-256' } }),
)

t.test('the pool that tests take keys from', async (t) => {
  const pool = await makeKeyPool(8)
  await keyStorageProviderContract(t, async () => pooledKeys(pool), { refusedSpecs: [] })
})

const small: KeySpec = { algorithm: 'rsa', bits: 1024 }
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
const der = privateKey.export({ format: 'der', type: 'pkcs8' })
const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
const jwk = privateKey.export({ format: 'jwk' })
const { publicKey } = await softwareKeys().generate(small, 'another')
const constant = randomBytes(32)

const unsupported = async () => Promise.reject(new AgentError('ERR_UNSUPPORTED', 'it does not do that'))
const refuses = (isRefused: boolean, otherwise: () => Promise<Uint8Array>) => (isRefused ? unsupported() : otherwise())

/** Adds `secret` where nobody looks first: in a member of a member. */
const hiding = (hide: (spec: object) => object) => () => handlesBut(({ spec }) => ({ spec: hide({ ...spec }) }))
const handleSecret = /^no member of a handle/
const providerSecret = /^no member of the provider/

/** Each breaks one promise: what is wrong with it, and the check that has to tell. */
const broken: readonly [wrong: string, make: () => KeyStorageProvider, caughtBy: RegExp][] = [
  ['it has no name', () => but(() => ({ name: ' ' })), /^it has a name/],
  ['its protection is its own invention', () => but(() => ({ protection: 'vault' })), /^it has a name/],
  ['it is never ready', () => but(() => ({ readiness: async () => ({ state: 'full', message: 'full' }) })), /^it is ready/],
  ['asking makes a key', askingMakes, /^it is ready/],
  ['it is ready for every size', () => but(() => ({ readiness: async () => ({ state: 'ready' }) })), /^RSA-512 is unsupported/],
  [
    'it does not say why',
    () => but(() => ({ readiness: async () => ({ state: 'unsupported', message: '' }) })),
    /^RSA-16384 is unsupported/,
  ],
  [
    'it makes another size',
    () => but(({ generate }) => ({ generate: (_: KeySpec, label: string) => generate(small, label) })),
    /^RSA-512 is/,
  ],
  ['its handles have another label', () => handlesBut(() => ({ label: 'key' })), /^a generated key is what/],
  ['its handles have another spec', () => handlesBut(() => ({ spec: { algorithm: 'rsa', bits: 2048 } })), /^a generated key is what/],
  ['its handles claim hardware', () => handlesBut(() => ({ protection: 'tpm' })), /^a generated key is what/],
  ['its public key is another', () => handlesBut(() => ({ publicKey })), /^a generated key is listed/],
  ['it opens nothing', () => but(() => ({ open: async () => undefined })), /^a generated key is listed/],
  ['it lists nothing', () => but(() => ({ list: async () => [] })), /^a generated key is listed/],
  ['an unknown label is an error', () => but(() => ({ open: unsupported })), /^an unknown label/],
  ['a label is overwritten', overwriting, /^generating under a label/],
  ['errors are not of this SDK', plainErrors, /^generating under a label/],
  ['both get the label', takingLate, /^a label that two ask for/],
  ['labels are folded', () => labelledBy((label) => label.toLowerCase()), /^a label is not a path/],
  ['labels are trimmed', () => labelledBy((label) => label.trim()), /^a label is not a path/],
  ['labels are paths', () => labelledBy((label) => label.replace('../', '')), /^a label is not a path/],
  ['labels are unescaped', () => labelledBy((label) => label.replace('%2f', '/')), /^a label is not a path/],
  ['long labels are cut', () => handlesBut(({ label }) => ({ label: label.slice(0, 127) })), /^a label of 128/],
  ['its hashes are none', () => handlesBut(() => ({ hashes: [] })), /^hashes, where it says them/],
  ['it signs what its hashes leave out', () => handlesBut(() => ({ hashes: ['sha256'] })), /^it signs with sha512/],
  ['it is ready for what its hashes leave out', () => handlesBut(() => ({ hashes: ['sha256'] })), /^a digest that its keys/],
  ['it always signs with SHA-256', () => signsBy((sign, data) => sign(data, 'sha256')), /^it signs with sha384/],
  ['it hashes twice', () => signsBy((sign, data, hash) => sign(digestOf(hash, data), hash)), /^it signs with sha256/],
  [
    'it refuses sha1 and says nothing',
    () => signsBy((sign, data, hash) => refuses(hash === 'sha1', () => sign(data, hash))),
    /^it signs with sha1/,
  ],
  ['it cannot sign nothing', () => signsBy((sign, data, hash) => refuses(data.length === 0, () => sign(data, hash))), /^it signs nothing/],
  ['it signs the first 64 KiB', () => signsBy((sign, data, hash) => sign(data.subarray(0, 65_536), hash)), /^it signs 1 MiB/],
  ['it mixes up what it signs at once', mixingUp, /^it signs many things/],
  ['it does not unwrap', () => handlesBut(() => ({ unwrapKey: undefined })), /^it unwraps a key of 16/],
  [
    'it unwraps one length',
    () => unwrapsBy((unwrap, wrapped, how) => refuses(how.lengthBytes !== 32, () => unwrap(wrapped, how))),
    /^it unwraps a key of 24/,
  ],
  ['it unwraps one at a time', oneAtATime, /^it unwraps and signs many things/],
  ['bad padding is an error', () => decryptsBy((block) => unpadded(block) ?? fail()), /block type 1/],
  ['bad padding is not looked at', () => decryptsBy((block, lengthBytes) => block.subarray(-lengthBytes)), /a 0 among the first eight/],
  ['bad padding gives zeros', () => rejectingBy((_wrapped, lengthBytes) => Buffer.alloc(lengthBytes)), /no padding/],
  [
    'bad padding gives other octets each time',
    () => rejectingBy((_wrapped, lengthBytes) => randomBytes(lengthBytes)),
    /no 0 before the key/,
  ],
  [
    'bad padding gives the same octets always',
    () => rejectingBy((_wrapped, lengthBytes) => constant.subarray(0, lengthBytes)),
    /^what it gives for bad/,
  ],
  [
    'bad padding gives what everybody can compute',
    () => rejectingBy((wrapped, lengthBytes) => digestOf('sha512', wrapped).subarray(0, lengthBytes)),
    /^what it gives for bad/,
  ],
  [
    'a key of another length is cut',
    () => decryptsBy((block, lengthBytes) => unpadded(block)?.subarray(0, lengthBytes) ?? fail()),
    /a key of another length/,
  ],
  [
    'a leading zero is dropped',
    () => unwrapsBy((unwrap, wrapped, how) => unwrap(wrapped.subarray(wrapped.length % 2), how)),
    /one octet long/,
  ],
  [
    'a ciphertext of another length is an error',
    () => unwrapsBy((unwrap, wrapped, how) => refuses(wrapped.length !== 128, () => unwrap(wrapped, how))),
    /one octet short/,
  ],
  ['OAEP fails with anything', () => unwrapsBy((unwrap, wrapped, how) => unwrap(wrapped, how).catch(() => fail())), /^oaep-sha256/],
  [
    'OAEP tells the cause',
    () => unwrapsBy((unwrap, wrapped, how) => unwrap(wrapped, how).catch(() => tells(how.lengthBytes))),
    /^oaep-sha1/,
  ],
  ['a handle has one member more', () => handlesBut(() => ({ export: () => 'nothing' })), /^a handle has the members/],
  ['a handle has a symbol', () => handlesBut(() => ({ [Symbol('key')]: 'nothing' })), /^a handle has the members/],
  ['a key object in a handle', hiding((spec) => ({ ...spec, privateKey })), handleSecret],
  ['octets in a handle', hiding((spec) => ({ ...spec, der })), handleSecret],
  ['an ArrayBuffer in a handle', hiding((spec) => ({ ...spec, der: new Uint8Array(der).buffer })), handleSecret],
  ['octets as numbers', hiding((spec) => ({ ...spec, der: [...der] })), handleSecret],
  ['a number', hiding((spec) => ({ ...spec, d: BigInt(`0x${der.toString('hex')}`) })), handleSecret],
  ['a JWK', hiding((spec) => ({ ...spec, jwk })), handleSecret],
  ['PEM on a function', () => handlesBut(({ sign }) => ({ sign: Object.assign(sign.bind(null), { pem }) })), handleSecret],
  ['octets behind a symbol', hiding((spec) => ({ ...spec, [Symbol('der')]: der })), handleSecret],
  ['a member that is not enumerable', hiding((spec) => Object.defineProperty(spec, 'der', { value: der })), handleSecret],
  ['a getter', hiding((spec) => Object.defineProperty(spec, 'key', { get: () => privateKey })), handleSecret],
  ['an inherited member', hiding((spec) => Object.assign(Object.create({ der }), spec)), handleSecret],
  ['a key behind a proxy', hiding((spec) => new Proxy({ ...spec, privateKey }, { get: () => undefined, ownKeys: () => [] })), handleSecret],
  ['a key that inspect shows', hiding((spec) => ({ ...spec, [inspect.custom]: () => pem })), handleSecret],
  ['a key that JSON shows', hiding((spec) => ({ ...spec, toJSON: () => jwk })), handleSecret],
  ['a key in a map of the provider', () => but(() => ({ keys: new Map([['first', { privateKey }]]) })), providerSecret],
  ['a promised key in the provider', () => but(() => ({ keys: [Promise.resolve(privateKey)] })), providerSecret],
  ['octets in the provider', () => but(() => ({ files: new Set([{ der }]) })), providerSecret],
  [
    'it has an import and is not ready for one',
    () =>
      but(({ readiness }) => ({
        readiness: async (wish: KeyWish) => (wish.isImport ? { state: 'absent', message: 'no' } : readiness(wish)),
      })),
    /^where it imports/,
  ],
  [
    'it makes a key instead',
    () => but(({ generate }) => ({ import: (_: KeyObject, label: string) => generate(small, label) })),
    /^an imported key/,
  ],
  [
    'it forgets what it imports',
    () => but(() => ({ import: async (key: KeyObject, label: string) => softwareKeyHandle(key, label) })),
    /^an imported key/,
  ],
  ['it shows what it imports', keepingWhatItImports, /^an imported key/],
  ['an import takes a label that is taken', importingOver, /^importing under a label/],
  ['hardware takes a key that it would give out', () => but(() => ({ protection: 'tpm' })), /^outside software/],
  ['destroying again is an error', destroyingOnce, /^destroying removes/],
  ['what is destroyed stays listed', listingForever, /^destroying removes/],
  ['destroying one destroys all', destroyingAll, /^destroying removes/],
  ['a handle finds its key by label', () => findingByLabel('software', false), /^a handle whose key was destroyed/],
  ['hardware signs with a key that is gone', () => but(() => ({ protection: 'tpm' })), /^a handle whose key was destroyed/],
  ['hardware unwraps with a key that is gone', () => findingByLabel('tpm', true), /^a handle whose key was destroyed/],
  ['what is destroyed is still there', () => but(() => ({ destroy: async () => undefined })), /^every key is|^nothing is left/],
]

t.test('the contract tells what is broken', async (t) => {
  for (const [wrong, make, caughtBy] of broken) {
    await t.test(`${wrong}: ${caughtBy.source}`, async (t) => {
      const checks = checksOf(async () => make(), { spec: small }).filter(({ name }) => caughtBy.test(name))
      t.ok(checks.length > 0, 'there is such a check')
      await t.rejects(failing(checks))
    })
  }
})

t.test('a check that fails leaves no key, and keys of others stay', async (t) => {
  const inner = softwareKeys()
  await inner.generate(small, 'of another')
  await inner.generate(small, 'certfleet contract: first')
  const outcomes: boolean[] = []
  for (const { run } of checksOf(async () => ({ ...inner, name: '', open: unsupported }), { spec: small })) {
    outcomes.push(
      await run().then(
        () => true,
        () => false,
      ),
    )
    if (!outcomes.at(-1)) t.same(await inner.list(), ['of another'])
  }
  t.same(await inner.list(), ['of another'])
  t.ok(outcomes.includes(true))
  t.ok(outcomes.includes(false))
})

t.test('what a program that starts anew finds', async (t) => {
  const inner = softwareKeys()
  const outlives = (restarted: KeyStorageProvider) =>
    failing(
      checksOf(async () => inner, { spec: small, restart: async () => restarted }).filter(({ name }) => name.startsWith('a key outlives')),
    )
  await t.resolves(outlives(inner))
  await t.rejects(outlives(softwareKeys()), 'keys in memory do not')
})

t.test('the example in the docs', async (t) => {
  const ended = await run(process.execPath, [join(root, '.build/examples/own-key-storage.js')])
  endsAs(t, ended, { exitCode: 0, output: /pass [1-9]/ })
})

async function failing(checks: ReturnType<typeof checksOf>): Promise<void> {
  for (const { run } of checks) await run()
}

function keepingWhatItImports(): KeyStorageProvider {
  const seen: KeyObject[] = []
  return but(({ import: take }) => ({
    seen,
    async import(key: KeyObject, label: string) {
      seen.push(key)
      return take?.(key, label, { exportable: false })
    },
  }))
}

function importingOver(): KeyStorageProvider {
  return but(({ destroy, import: take }) => ({
    async import(key: KeyObject, label: string) {
      await destroy(label)
      return take?.(key, label, { exportable: false })
    },
  }))
}

function askingMakes(): KeyStorageProvider {
  return but(({ generate }) => ({
    async readiness() {
      await generate(small, 'asked')
      return { state: 'ready' }
    },
  }))
}

function plainErrors(): KeyStorageProvider {
  return but(({ generate }) => ({
    generate: (spec: KeySpec, label: string) => generate(spec, label).catch(({ code, message }) => fail(message, { code })),
  }))
}

function mixingUp(): KeyStorageProvider {
  let last: Uint8Array
  return signsBy(async (sign, data, hash) => {
    last = data
    await Promise.resolve()
    return sign(last, hash)
  })
}

function oneAtATime(): KeyStorageProvider {
  let isBusy = false
  return unwrapsBy(async (unwrap, wrapped, how) => {
    if (isBusy) throw new AgentError('ERR_KEY_STORAGE_BUSY', 'the storage is busy')
    isBusy = true
    return unwrap(wrapped, how).finally(() => {
      isBusy = false
    })
  })
}

function destroyingOnce(): KeyStorageProvider {
  return but(({ destroy, list }) => ({
    async destroy(label: string) {
      if (!(await list()).includes(label)) throw new AgentError('ERR_KEY_UNAVAILABLE', `there is no key "${label}"`)
      await destroy(label)
    },
  }))
}

function listingForever(): KeyStorageProvider {
  const labels = new Set<string>()
  return but(({ generate }) => ({
    generate: (spec: KeySpec, label: string) => generate(spec, label).finally(() => labels.add(label)),
    list: async () => [...labels],
  }))
}

function destroyingAll(): KeyStorageProvider {
  return but(({ destroy, list }) => ({
    async destroy() {
      for (const label of await list()) await destroy(label)
    },
  }))
}

function tells(lengthBytes: number): never {
  throw new AgentError('ERR_CMS_DECRYPT', `no key of ${lengthBytes} octets`)
}

function fail(message = 'padding check failed', members: object = {}): never {
  throw Object.assign(new Error(message), members)
}
