import { generateKeyPairSync } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { AgentError, type KeySpec } from '@certfleet/agent-core'
import t from 'tap'
import { noLatency } from '#agent-core/keys/tpm/facts.ts'
import { tpmManufacturer } from '#agent-core/keys/tpm/manufacturer.ts'
import type { ModelledTpmOptions } from '#agent-core/keys/tpm/options.ts'
import { modelledTpm } from '#agent-core/keys/tpm/tpm.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { FakeDisk } from '../fakes/disk.ts'

const p256: KeySpec = { algorithm: 'ec', curve: 'P-256' }
const wish = { spec: p256, hash: 'sha256', multiFactor: false } as const
const clock = { now: () => 1_800_000_000_000, sleep: async () => {} }
const elsewhere = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const tpmIn = (folder: string, options: Partial<ModelledTpmOptions> = {}) => modelledTpm({ clock, latency: noLatency, folder, ...options })

t.test('contract, keys in a folder', (t) => {
  const folder = join(t.testdir(), 'tpm')
  return keyStorageProviderContract(t, async () => tpmIn(folder), { spec: p256, restart: async () => tpmIn(folder) })
})

t.test('making one touches no disk; its first command makes the folder, for its owner alone', async (t) => {
  const parent = t.testdir()
  const folder = join(parent, 'tpm')
  const tpm = tpmIn(folder)
  t.same(readdirSync(parent), [])
  await tpm.list()
  t.equal(statSync(folder).mode & 0o777, 0o700)
  await tpm.generate(p256, 'k')
  for (const name of readdirSync(folder)) t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
})

t.test('a restart finds keys, slots and failures as they were', async (t) => {
  const folder = join(t.testdir(), 'tpm')
  const key = await tpmIn(folder, { slots: 1 }).generate(p256, 'k')
  await tpmIn(folder).failAuthorization(31)
  const restarted = tpmIn(folder, { slots: 1 })
  t.same((await restarted.open('k'))?.publicKey, key.publicKey)
  t.equal((await restarted.readiness(wish)).state, 'full')
  await restarted.failAuthorization()
  t.equal((await tpmIn(folder, { slots: 2 }).readiness(wish)).state, 'locked-out', 'a restart is no way around the lock-out')
})

t.test('an imported key is never attested as one that the TPM made, after a restart too', async (t) => {
  const folder = join(t.testdir(), 'tpm')
  const manufacturer = tpmManufacturer(clock)
  const tpm = tpmIn(folder, { manufacturer })
  const nonce = Uint8Array.of(1)
  await tpm.generate(p256, 'own')
  await tpm.import?.(elsewhere, 'imported', { exportable: false })
  for (const at of [tpm, tpmIn(folder, { manufacturer })]) {
    await t.rejects(at.attest('imported', nonce), { code: 'ERR_UNSUPPORTED', message: /did not make key "imported"/ })
    t.ok((await at.attest('own', nonce)).statement.length > 0)
  }
  await tpm.destroy('imported')
  await tpm.generate(p256, 'imported')
  t.ok((await tpm.attest('imported', nonce)).statement.length > 0, 'the label is free for a key of its own')
})

/** Where the disk refuses within an import, no key that was made elsewhere passes for one that was not. */
t.test('an import that a crash cuts short leaves no key that is attested', async (t) => {
  for (let steps = 0, isDone = false; !isDone; steps++) {
    const disk = new FakeDisk()
    await tpmIn('tpm', { disk }).list()
    disk.stepsLeft = steps
    isDone =
      (await tpmIn('tpm', { disk })
        .import?.(elsewhere, 'k', { exportable: false })
        .then(
          () => true,
          () => false,
        )) ?? true
    disk.cutPower(true)
    const tpm = tpmIn('tpm', { disk, manufacturer: tpmManufacturer(clock) })
    const code = (await tpm.list()).includes('k') ? 'ERR_UNSUPPORTED' : 'ERR_KEY_UNAVAILABLE'
    await t.rejects(tpm.attest('k', Uint8Array.of(1)), { code }, `step ${steps}`)
  }
})

t.test('an import needs a slot like any key', async (t) => {
  const tpm = tpmIn(join(t.testdir(), 'tpm'), { slots: 1 })
  await tpm.generate(p256, 'k')
  await t.rejects(async () => tpm.import?.(elsewhere, 'imported', { exportable: false }), { code: 'ERR_KEY_STORAGE_FULL' })
  t.same(await tpm.list(), ['k'])
})

t.test('what was copied before a clear opens nothing after it', async (t) => {
  const parent = t.testdir()
  const [folder, copy] = [join(parent, 'tpm'), join(parent, 'copy')]
  const tpm = tpmIn(folder)
  await tpm.generate(p256, 'k')
  cpSync(folder, copy, { recursive: true })
  await tpm.clear()
  t.same(await tpm.list(), [])
  for (const name of readdirSync(copy).filter((name) => name.endsWith('.key'))) cpSync(join(copy, name), join(folder, name))
  await t.rejects(tpmIn(folder).open('k'), { code: 'ERR_KEY_SECRET_REFUSED' })
  t.equal((await tpmIn(copy).open('k'))?.label, 'k', 'who has it all has the keys: it is a model')
})

t.test('a memory that cannot be read is named and left alone', async (t) => {
  const spoilt: [string, (file: string) => void][] = [
    ['torn', (file) => writeFileSync(file, readFileSync(file).subarray(0, 40))],
    ['empty', (file) => writeFileSync(file, '')],
    ['of another version', (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"version":1', '"version":2'))],
    ['foreign', (file) => writeFileSync(file, '{"kind":"other"}\n')],
    ['with more in it', (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('{', '{"more":1,'))],
    ['with a short seed', (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/"seed":"..../, '"seed":"'))],
    ['with less than no failures', (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"count":0', '"count":-1'))],
  ]
  for (const [name, spoil] of spoilt) {
    await t.test(name, async (t) => {
      const folder = join(t.testdir(), 'tpm')
      await tpmIn(folder).generate(p256, 'k')
      const file = join(folder, 'nvram.json')
      spoil(file)
      const before = readFileSync(file)
      const tpm = tpmIn(folder)
      await t.rejects(tpm.list(), { code: 'ERR_STATE_INVALID', message: new RegExp(`^${file} is not the memory of a modelled TPM`) })
      await t.rejects(tpm.readiness(wish), { code: 'ERR_STATE_INVALID' }, 'a broken folder is no answer about the TPM')
      t.same(readFileSync(file), before)
    })
  }
})

t.test('keys without their memory: nothing is made anew over them', async (t) => {
  const parent = t.testdir()
  const [folder, copy] = [join(parent, 'tpm'), join(parent, 'copy')]
  await tpmIn(folder).generate(p256, 'k')
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('nvram.json') })
  const names = readdirSync(copy)
  await t.rejects(tpmIn(copy).list(), { code: 'ERR_STATE_INVALID' })
  t.same(readdirSync(copy), names)
})

t.test('a disk that refuses is told, and may have been asked too early', async (t) => {
  const disk = new FakeDisk()
  disk.stepsLeft = 0
  const tpm = tpmIn('tpm', { disk })
  await t.rejects(tpm.generate(p256, 'k'), { code: 'ERR_STATE_IO' })
  disk.stepsLeft = Number.POSITIVE_INFINITY
  await tpm.generate(p256, 'k')
  t.same(await tpm.list(), ['k'])
})

/** Where the process ends within a clear, every key is there still, or none. */
t.test('a clear that a crash cuts short is finished by the next start', async (t) => {
  for (const namesKept of [true, false]) {
    for (let steps = 0; ; steps++) {
      const disk = new FakeDisk()
      const tpm = tpmIn('tpm', { disk })
      for (const label of ['a', 'b', 'c']) await tpm.generate(p256, label)
      disk.stepsLeft = steps
      const isCleared = await tpm.clear().then(
        () => true,
        (error) => error instanceof AgentError && error.code !== 'ERR_STATE_IO',
      )
      disk.cutPower(namesKept)
      const restarted = tpmIn('tpm', { disk })
      const labels = [...(await restarted.list())].sort()
      t.ok(labels.length === 0 || (!isCleared && labels.length === 3), `${steps} steps, names ${namesKept ? 'kept' : 'lost'}: ${labels}`)
      for (const label of labels) t.equal((await restarted.open(label))?.label, label)
      await restarted.generate(p256, 'next')
      t.equal((await tpmIn('tpm', { disk }).open('next'))?.label, 'next')
      if (isCleared) break
      t.ok(steps < 100, 'it ends')
    }
  }
})

t.test('a clear that the disk cut short is carried on by the same TPM', async (t) => {
  for (let steps = 4; steps < 12; steps++) {
    const disk = new FakeDisk()
    const tpm = tpmIn('tpm', { disk })
    const key = await tpm.generate(p256, 'k')
    disk.stepsLeft = steps
    await tpm.clear().catch(() => undefined)
    disk.stepsLeft = Number.POSITIVE_INFINITY
    t.same(await tpm.list(), [], `${steps} steps`)
    await t.rejects(key.sign(Buffer.from('data'), 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' })
  }
})

t.test('the storage root is nowhere but in its file', async (t) => {
  const folder = join(t.testdir(), 'tpm')
  const tpm = tpmIn(folder)
  await tpm.generate(p256, 'k')
  const { seed } = JSON.parse(readFileSync(join(folder, 'nvram.json'), 'utf8'))
  t.notOk(inspect(tpm, { showHidden: true, depth: 20 }).includes(seed))
  for (const name of readdirSync(folder).filter((name) => name !== 'nvram.json')) {
    t.notOk(readFileSync(join(folder, name), 'utf8').includes(seed), name)
  }
})
