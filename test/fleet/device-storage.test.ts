import { type KeyStorageProvider, softwareKeys, systemClock } from '@certfleet/agent-core'
import { type DeviceSpec, memoryDeviceStorage } from '@certfleet/emulator/fleet'
import t from 'tap'
import { asProtections } from '#emulator/keys/protections.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { testEmulationKeys } from './emulated-keys.ts'

const rsa = { algorithm: 'rsa', bits: 2048 } as const
const ec = { algorithm: 'ec', curve: 'P-256' } as const
const windows: DeviceSpec = { id: 'windows-1', platform: 'windows', osVersion: '10.0.26100' }
const all = ['software', 'tpm', 'passport'] as const
const elsewhere = { code: 'ERR_KEY_EXISTS' }

for (const [index, protection] of all.entries()) {
  t.test(`${protection} over drawn keys keeps the contract of every key storage`, async (t) => {
    const keys = await testEmulationKeys()
    await keyStorageProviderContract(t, async () => asProtections(keys.forDevice(0), all)[index] as KeyStorageProvider)
  })
}

t.test('what is made in one is listed, opened and destroyed by it alone', async (t) => {
  const providers = asProtections(softwareKeys(), all)
  for (const own of providers) {
    const label = `key of ${own.protection}`
    const made = await own.generate(ec, label)
    t.equal(made.protection, own.protection)
    for (const other of providers.filter((provider) => provider !== own)) {
      t.equal(await other.open(label), undefined)
      await other.destroy(label)
      await t.rejects(other.generate(ec, label), elsewhere, `${other.protection} has one namespace with ${own.protection}`)
    }
    t.strictSame(await own.list(), [label])
    const opened = await own.open(label)
    t.strictSame([opened?.protection, opened?.publicKey], [own.protection, made.publicKey])
  }
  for (const own of providers) {
    await own.destroy(`key of ${own.protection}`)
    t.strictSame(await own.list(), [])
  }
})

t.test('a key that could not be made leaves its label free everywhere', async (t) => {
  const [software, tpm] = asProtections(softwareKeys(), ['software', 'tpm']) as [KeyStorageProvider, KeyStorageProvider]
  await t.rejects(tpm.generate({ algorithm: 'rsa', bits: 512 }, 'k1'), { code: 'ERR_UNSUPPORTED' })
  t.equal((await software.generate(ec, 'k1')).protection, 'software')
  t.strictSame([await software.list(), await tpm.list()], [['k1'], []])
})

t.test('software alone is the storage itself', async (t) => {
  const keys = softwareKeys()
  t.equal(asProtections(keys, ['software'])[0], keys)
})

t.test('drawn keys are where the OS has its storage', async (t) => {
  const keys = await testEmulationKeys({ keysPerDevice: 2 })
  const rows: [DeviceSpec['platform'], string, readonly string[]][] = [
    ['ios', '18.1', ['software']],
    ['android', '15', ['software']],
    ['windows', '8.1', ['software', 'tpm']],
    ['windows', '10', all],
  ]
  for (const [index, [platform, osVersion, expected]] of rows.entries()) {
    const storage = await memoryDeviceStorage({ id: 'dev', platform, osVersion }, index, { clock: systemClock, keys })
    t.strictSame(
      storage.keyStorageProviders.map(({ protection }) => protection),
      expected,
    )
    t.equal(storage.keyStorage, undefined)
    for (const { name } of storage.keyStorageProviders) t.match(name, /prime pool/)
    await storage.keyStorageProviders.at(-1)?.generate(rsa, 'k1')
    await storage.managementKeys().generate(rsa, 'management')
    await t.rejects(storage.managementKeys().generate(rsa, 'k2'), { code: 'ERR_LIMIT_EXCEEDED' }, 'one share for all')
    await storage.close()
    t.strictSame(await storage.managementKeys().list(), [], 'its keys end with it')
  }
})

t.test('fresh keys and chosen storage are as without a pool', async (t) => {
  const keys = await testEmulationKeys()
  const fresh = await memoryDeviceStorage(windows, 0, { clock: systemClock })
  t.strictSame(
    fresh.keyStorageProviders.map(({ name }) => name),
    ['software KSP (memory)', 'modelled TPM 2.0', 'modelled Passport of windows-1'],
  )
  t.equal(fresh.managementKeys(), fresh.managementKeys())
  const chosen = await memoryDeviceStorage(windows, 0, { clock: systemClock, keys, keyStorage: { ksp: { kind: 'tpm' } } })
  t.equal(chosen.keyStorage, 'tpm')
  t.strictSame(
    chosen.keyStorageProviders.map(({ name }) => name),
    ['modelled TPM 2.0'],
  )
})

t.test('a registration is remembered', async (t) => {
  const storage = await memoryDeviceStorage(windows, 0, { clock: systemClock })
  t.equal(await storage.registration(), undefined)
  await storage.saveRegistration({ deviceId: 'given', credential: 'secret' })
  t.strictSame(await storage.registration(), { deviceId: 'given', credential: 'secret' })
})
