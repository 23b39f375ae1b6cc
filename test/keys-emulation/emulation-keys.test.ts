import { createHash, createPublicKey } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Disk, KeyStorageProvider } from '@certfleet/agent-core'
import t from 'tap'
import { systemDisk } from '#agent-core/state/disk.ts'
import { type EmulationKeysOptions, openEmulationKeys } from '#emulator/keys/emulation-keys.ts'
import type { PoolProgress } from '#emulator/keys/key-pool.ts'
import { encodePool, parsePool, writePool } from '#emulator/keys/pool-file.ts'
import { assertEmulationTarget } from '#emulator/keys/target.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { FakeDisk } from '../fakes/disk.ts'
import { testPrimes } from './prime-pairs.ts'

const primes = testPrimes()
const rsa = { algorithm: 'rsa', bits: 2048 } as const
const folder = join('/', 'pools')
const primesFile = join(folder, 'primes-2048.json')
const keysFile = join(folder, 'keys-2048.json')
const refusedSpecs = [512, 3072, 16384].map((bits) => ({ algorithm: 'rsa', bits }) as const)

/** A disk with a prime pool and a key pool for RSA-2048. */
async function filledDisk(): Promise<FakeDisk> {
  const disk = new FakeDisk()
  await writePool(disk, primesFile, encodePool('primes', 1024, primes))
  await writePool(disk, keysFile, encodePool('keys', 1024, primes))
  return disk
}

const open = async (options: Partial<EmulationKeysOptions> = {}) =>
  openEmulationKeys({ mode: 'primes', seed: 'seed', devices: 10, keysPerDevice: 3, kept: { folder, disk: await filledDisk() }, ...options })

const publicKeyIds = async (keys: KeyStorageProvider, count: number, from = 0) => {
  const ids: string[] = []
  for (let i = from; i < from + count; i++) {
    const { publicKey } = await keys.generate(rsa, `key ${i}`)
    ids.push(createHash('sha256').update(publicKey).digest('hex').slice(0, 16))
  }
  return ids
}

for (const mode of ['primes', 'pool'] as const) {
  t.test(`${mode} keep the contract of every key storage`, async (t) => {
    const keys = await open({ mode, devices: 1, keysPerDevice: 32 })
    await keyStorageProviderContract(t, async () => keys.forDevice(0), { refusedSpecs })
  })

  t.test(`${mode} on P-256 keep it too`, async (t) => {
    const keys = await open({ mode })
    await keyStorageProviderContract(t, async () => keys.forDevice(0), { spec: { algorithm: 'ec', curve: 'P-256' }, refusedSpecs })
  })

  t.test(`${mode}: no key twice, and a device's keys do not depend on the others`, async (t) => {
    const together = await open({ mode })
    const all = new Map<number, string[]>()
    for (let index = 0; index < 10; index++) all.set(index, await publicKeyIds(together.forDevice(index), 3))
    t.equal(new Set([...all.values()].flat()).size, 30)
    const shard = await open({ mode })
    const [later, earlier] = [shard.forDevice(7), shard.forDevice(2)]
    const mixed = { later: await publicKeyIds(later, 1), earlier: await publicKeyIds(earlier, 3), again: await publicKeyIds(later, 2, 1) }
    t.strictSame([...mixed.later, ...mixed.again], all.get(7))
    t.strictSame(mixed.earlier, all.get(2))
  })

  t.test(`${mode}: what the service makes for a device is of that device's share`, async (t) => {
    const ids = await publicKeyIds((await open({ mode })).forDevice(3), 2)
    const keys = await open({ mode })
    const spki = createPublicKey(await keys.keyFor(3, 2048)).export({ format: 'der', type: 'spki' })
    t.equal(createHash('sha256').update(spki).digest('hex').slice(0, 16), ids[0])
    t.strictSame(await publicKeyIds(keys.forDevice(3), 1), [ids[1]])
    await t.rejects(keys.keyFor(3, 512), { code: 'ERR_UNSUPPORTED' })
  })

  t.test(`${mode}: what is used up is refused`, async (t) => {
    const keys = (await open({ mode })).forDevice(9)
    await publicKeyIds(keys, 2)
    await t.rejects(keys.generate(rsa, 'key 0'), { code: 'ERR_KEY_EXISTS' }, 'uses none up')
    await publicKeyIds(keys, 1, 2)
    await keys.destroy('key 0')
    await t.rejects(keys.generate(rsa, 'key 3'), { code: 'ERR_LIMIT_EXCEEDED', message: /device 9 .* 3 RSA-2048 keys .*allow more/ })
    t.strictSame((await keys.list()).toSorted(), ['key 1', 'key 2'])
  })
}

t.test('keys follow from the seed', async (t) => {
  const ids = async (seed: string) => publicKeyIds((await open({ seed })).forDevice(4), 3)
  t.strictSame(await ids('seed'), await ids('seed'))
  t.notSame(await ids('seed'), await ids('other'))
})

t.test('they are marked, and fresh keys are not', async (t) => {
  const [byPrimes, byPool, fresh] = [await open(), await open({ mode: 'pool' }), await open({ mode: 'fresh' })]
  t.equal(byPrimes.marking, 'prime pool (insecure, emulation only)')
  t.equal(byPrimes.forDevice(0).name, byPrimes.marking)
  t.equal(byPool.marking, 'key pool (insecure, emulation only)')
  t.equal(byPool.forDevice(0).name, byPool.marking)
  t.equal(fresh.marking, undefined)
  t.equal(fresh.forDevice(0).name, 'software KSP (memory)')
  for (const keys of [byPrimes, byPool, fresh]) {
    t.equal(keys.forDevice(1), keys.forDevice(1), 'a device is one, however often it starts')
    t.not(keys.forDevice(1), keys.forDevice(2))
    for (const index of [-1, 10, 0.5]) t.throws(() => keys.forDevice(index), RangeError)
  }
})

t.test('a pool that is too small for the run is named', async (t) => {
  await open({ devices: 672 })
  await t.rejects(open({ devices: 673 }), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /primes-2048\.json makes 2016 keys.*need 2019: remove it/,
  })
  await open({ mode: 'pool', devices: 32, keysPerDevice: 1 })
  await t.rejects(open({ mode: 'pool', devices: 33, keysPerDevice: 1 }), { code: 'ERR_LIMIT_EXCEEDED', message: /makes 32 keys.*need 33/ })
  await t.rejects(open({ devices: 50_000_000, keysPerDevice: 1 }), { code: 'ERR_LIMIT_EXCEEDED', message: /fewer devices/ })
})

t.test('a pool is made once, and its file is for its owner alone', async (t) => {
  const kept = { folder: join(t.testdir({}), 'pools'), disk: systemDisk }
  const progress: PoolProgress[] = []
  const options = { mode: 'primes', kept, keyBits: [1024], onProgress: (made: PoolProgress) => void progress.push(made) } as const
  const first = await open(options)
  t.equal(progress.length, 400)
  t.strictSame(progress.at(-1), { keyBits: 1024, primesMade: 400, primes: 400 })
  const second = await open(options)
  t.equal(progress.length, 400)
  const small = { algorithm: 'rsa', bits: 1024 } as const
  const [one, other] = [await first.forDevice(3).generate(small, 'key'), await second.forDevice(3).generate(small, 'key')]
  t.strictSame(one.publicKey, other.publicKey)
  t.equal((await stat(join(kept.folder, 'primes-1024.json'))).mode & 0o777, 0o600)
  t.equal((await stat(kept.folder)).mode & 0o777, 0o700)
})

t.test('a size that nobody named is made when the first asks; what failed is asked again', async (t) => {
  const disk = await filledDisk()
  const keys = await open({ mode: 'pool', devices: 1, keysPerDevice: 1, kept: { folder, disk } })
  disk.stepsLeft = 3
  const small = { algorithm: 'rsa', bits: 1024 } as const
  await t.rejects(keys.forDevice(0).generate(small, 'small'), {
    code: 'ERR_STATE_IO',
    message: /keys-1024\.json cannot be written.*ENOSPC/,
  })
  disk.stepsLeft = Number.POSITIVE_INFINITY
  t.equal((await keys.forDevice(0).generate(small, 'small')).spec.algorithm, 'rsa')
  await publicKeyIds(keys.forDevice(0), 1)
})

t.test('a power cut leaves the pool whole or not at all', async (t) => {
  const bytes = encodePool('primes', 1024, primes)
  for (let steps = 0; steps < 6; steps++) {
    for (const namesKept of [false, true]) {
      const disk = new FakeDisk()
      disk.stepsLeft = steps
      await t.rejects(writePool(disk, primesFile, bytes), { code: 'ERR_STATE_IO' })
      disk.cutPower(namesKept)
      const left = await disk.read(primesFile)
      t.ok(left === undefined || Buffer.compare(left, bytes) === 0, `after ${steps} steps`)
    }
  }
  const disk = new FakeDisk()
  await writePool(disk, primesFile, bytes)
  disk.cutPower(false)
  t.strictSame(Buffer.from((await disk.read(primesFile)) ?? []), Buffer.from(bytes), 'written, it lasts')
})

t.test('a torn, changed or foreign file is named and left alone', async (t) => {
  const good = Buffer.from(encodePool('primes', 1024, primes)).toString()
  const [one, two] = primes as [bigint, bigint]
  const rows: [string, string | Uint8Array, RegExp][] = [
    ['empty', '', /torn or another/],
    ['torn in the middle', good.slice(0, good.length / 2), /torn or another/],
    ['without its end', good.slice(0, -1), /changed/],
    ['a prime of it changed', good.replace(/"primes":\["(.)/, (text) => `${text.slice(0, -1)}_`), /changed/],
    ['a prime of it gone', good.replace(/\["[\w-]+",/, '['), /changed/],
    ['another member', good.replace('{', '{"more":1,'), /torn or another/],
    ['other spelling', good.replace('{', '{ '), /changed/],
    ['of a later version', good.replace('"version":1', '"version":2'), /version 2, expected 1/],
    ['the state of an agent', '{"kind":"certfleet-agent-state","version":2}', /torn or another/],
    ['not text', Uint8Array.of(0xff, 0, 0xfe), /torn or another/],
    ['a pool of keys', encodePool('keys', 1024, primes), /torn or another/],
    ['a pool of another size', encodePool('primes', 512, primes), /torn or another/],
    ['primes of another size', encodePool('primes', 1024, [one, two >> 1n]), /make no keys/],
    ['one prime twice', encodePool('primes', 1024, [one, two, one]), /one twice/],
  ]
  for (const [name, content, problem] of rows) {
    const bytes = Buffer.from(content)
    t.throws(() => parsePool(bytes, 'f.json', 'primes', 1024), { code: 'ERR_STATE_INVALID', message: problem }, name)
    const disk = new FakeDisk()
    await writePool(disk, primesFile, bytes)
    await t.rejects(
      open({ kept: { folder, disk } }),
      { code: 'ERR_STATE_INVALID', message: /primes-2048\.json .* left as it is: remove/ },
      name,
    )
    t.strictSame(Buffer.from((await disk.read(primesFile)) ?? []), bytes, `${name}: left alone`)
  }
  t.strictSame(parsePool(Buffer.from(good), 'f.json', 'primes', 1024), primes)
})

t.test('a disk that does not read is ERR_STATE_IO, and what is no failure of a disk stays what it is', async (t) => {
  const failing = (error: Error): Disk => Object.assign(new FakeDisk(), { read: async () => Promise.reject(error) })
  const refusing = failing(Object.assign(new Error('refused'), { code: 'EACCES' }))
  await t.rejects(open({ kept: { folder, disk: refusing } }), { code: 'ERR_STATE_IO', message: /cannot be read now \(EACCES\)/ })
  await t.rejects(open({ kept: { folder, disk: failing(new TypeError('a bug')) } }), TypeError)
})

t.test('targets off this machine are refused', async (t) => {
  const near = [
    'http://127.0.0.1:80/scep',
    'https://127.9.9.9',
    'http://localhost:1/x',
    'http://[::1]:8080/',
    'http://lab.invalid/p',
    'http://0x7f.1/',
  ]
  const far = [
    'http://10.0.0.1/',
    'https://example.com/',
    'http://localhost.example.com/',
    'http://127.0.0.1.example.com/',
    'http://127.example/',
  ]
  const odd = [
    'http://[::2]/',
    'http://invalid.example/',
    'http://evilinvalid/',
    'scep',
    '',
    'http://0.0.0.0/',
    'http://localhost@example.com/',
  ]
  for (const url of near) t.doesNotThrow(() => assertEmulationTarget(url), url)
  for (const url of [...far, ...odd])
    t.throws(() => assertEmulationTarget(url), { name: 'InputError', message: /not on this machine/ }, url)
})
