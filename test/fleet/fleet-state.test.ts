import { join } from 'node:path'
import { type KeyStorageProvider, type PolicyCache, systemClock } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { beginFleetRun, type DeviceStorage, type DeviceStorageOptions, type FleetRun, openFleetState } from '@certfleet/emulator/fleet'
import t, { type Test } from 'tap'
import { certificateStoresContract } from '../contracts/certificate-stores.ts'
import { identityStoreContract } from '../contracts/identity-store.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { policyCacheContract } from '../contracts/policy-cache.ts'
import { stateStoreContract } from '../contracts/state-store.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { testEmulationKeys } from './emulated-keys.ts'
import { startStateProcess, testDevices } from './state-devices.ts'

const rsa = { algorithm: 'rsa', bits: 2048 } as const
const [spec] = testDevices as [(typeof testDevices)[number]]
const run: FleetRun = { seed: 1, devices: testDevices, keys: 'primes', target: 'the embedded lab', startedAt: 5 }
const drawn = () => testEmulationKeys({ devices: testDevices.length, keysPerDevice: 20 })

interface OpenState {
  storageOf(index: number): Promise<DeviceStorage>
  close(): Promise<void>
}

async function openState(folder: string, options: Partial<DeviceStorageOptions> = {}): Promise<OpenState> {
  const begun = await beginFleetRun(folder, run)
  const state = openFleetState(folder, { clock: systemClock, keys: await drawn(), ...options })
  return {
    storageOf: (index) => state.storageFor(testDevices[index] ?? spec, index),
    async close() {
      await state.close()
      await begun.close()
    },
  }
}

async function storages(t: Test): Promise<readonly DeviceStorage[]> {
  const state = await openState(join(t.testdir(), 'fleet'))
  t.teardown(() => state.close())
  return Promise.all(testDevices.slice(0, 12).map((_, index) => state.storageOf(index)))
}

t.test('certificate stores', async (t) => {
  const issuer = { subject: 'CN=Root', key: await testKey('root') }
  const samples = {
    root: await testCertificate({ ...issuer, ca: true }),
    intermediate: await testCertificate({ subject: 'CN=Issuing', key: await testKey('issuing'), issuer, ca: true }),
    leaf: await testCertificate({ subject: 'CN=leaf', key: await testKey('leaf'), issuer }),
  }
  const rest = (await storages(t)).values()
  await certificateStoresContract(t, async () => next(rest).certificateStores, samples)
})

t.test('identities', async (t) => {
  const rest = (await storages(t)).values()
  await identityStoreContract(t, async () => next(rest).identities)
})

t.test('policy caches', async (t) => {
  const rest = (await storages(t)).values()
  await policyCacheContract(t, (): PolicyCache => next(rest).policyCache)
})

t.test('state, over a restart too', async (t) => {
  let index = 0
  const folder = join(t.testdir(), 'fleet')
  let state = await openState(folder)
  t.teardown(() => state.close())
  await stateStoreContract(t, async () => {
    const own = index++
    const { state: store } = await state.storageOf(own)
    return {
      store,
      async restart() {
        await state.close()
        state = await openState(folder)
        return (await state.storageOf(own)).state
      },
    }
  })
})

for (const [i, protection] of (['software', 'tpm', 'passport'] as const).entries()) {
  t.test(`keys in ${protection}, over a restart too`, async (t) => {
    const state = await openState(join(t.testdir(), 'fleet'))
    t.teardown(() => state.close())
    const provider = async () => (await state.storageOf(0)).keyStorageProviders[i] as KeyStorageProvider
    await keyStorageProviderContract(t, provider, { restart: provider })
  })
}

t.test('fresh keys, and keys in one place by choice', async (t) => {
  const folder = join(t.testdir(), 'fleet')
  const ec = { algorithm: 'ec', curve: 'P-256' } as const
  for (const kind of ['software', 'tpm', 'passport'] as const) {
    const state = await openState(folder, { keys: undefined, keyStorage: { ksp: { kind } } })
    const { keyStorageProviders: providers, keyStorage, managementKeys } = await state.storageOf(3)
    t.strictSame([keyStorage, ...providers.map(({ protection }) => protection)], [kind, kind])
    await providers[0]?.generate(ec, kind)
    t.strictSame(await providers[0]?.list(), [kind], 'nothing of the others')
    t.ok((await managementKeys().list()).includes(kind))
    await state.close()
  }
})

t.test('a device goes on with what it drew: no key twice, and each where it was', async (t) => {
  const folder = join(t.testdir(), 'fleet')
  const found = new Map<string, string>()
  for (const label of ['k1', 'k2', 'k3']) {
    const state = await openState(folder)
    const { keyStorageProviders, registration, saveRegistration } = await state.storageOf(7)
    const tpm = keyStorageProviders[1] as KeyStorageProvider
    for (const [known, publicKey] of found) t.equal(hex((await tpm.open(known))?.publicKey), publicKey, `${known} is the same`)
    t.same((await tpm.list()).toSorted(), [...found.keys()])
    t.same(await keyStorageProviders[0]?.list(), [])
    t.same(await registration(), found.size > 0 ? { deviceId: 'd', credential: 'secret' } : undefined)
    await saveRegistration({ deviceId: 'd', credential: 'secret' })
    found.set(label, hex((await tpm.generate(rsa, label)).publicKey))
    await state.close()
  }
  t.equal(new Set(found.values()).size, 3)
  const other = await openState(join(t.testdirName, 'other'))
  t.teardown(() => other.close())
  const all = await Promise.all(
    ['a', 'b', 'c'].map(async (label) => (await other.storageOf(7)).keyStorageProviders[0]?.generate(rsa, label)),
  )
  t.ok(found.has('k1') && all.some((key) => hex(key?.publicKey) === found.get('k1')), 'they are the keys of its share')
})

t.test('two processes at once, killed at any moment: what they told of is there', { timeout: 60_000 }, async (t) => {
  for (const kills of [
    [1, 1],
    [8, 25],
  ] as const) {
    const folder = join(t.testdir({}), 'fleet')
    const begun = await beginFleetRun(folder, run)
    const processes = kills.map((_, from) => startStateProcess({ folder, from, leads: false }))
    for (const child of processes) t.teardown(() => child.killAfter(0))
    await Promise.all(processes.map((child, i) => child.killAfter(kills[i] as number)))
    await begun.close()
    const again = await beginFleetRun(folder, run)
    const state = openFleetState(folder, { clock: systemClock, keys: await drawn() })
    const full = new Map(processes.flatMap((child) => [...child.full]))
    t.ok(full.size > 1 && again.countDevices() >= full.size)
    t.equal(again.resumed, true)
    for (const [index, device] of testDevices.entries()) await assertFull(t, await state.storageFor(device, index), full.get(device.id))
    await state.close()
    await again.close()
  }
})

t.test('a run whose leader was killed goes on', async (t) => {
  const folder = join(t.testdir(), 'fleet')
  const child = startStateProcess({ folder, from: 0, leads: true })
  t.teardown(() => child.killAfter(0))
  await child.killAfter(5)
  const begun = await beginFleetRun(folder, run)
  t.match(begun, { resumed: true, startedAt: 0 })
  t.ok(begun.countDevices() >= 5)
  await begun.close()
})

/** One that was told of is full, with a key that fits; of any other each part is there or is not. */
async function assertFull(t: Test, storage: DeviceStorage, certificate: string | undefined): Promise<void> {
  const [identity] = await storage.identities.list()
  if (certificate) t.equal(Buffer.from(identity?.chain[0] ?? []).toString('base64'), certificate)
  if (!identity) return
  const { publicKey } = parseCertificate(identity.chain[0] as Uint8Array)
  const key = await storage.keyStorageProviders[1]?.open('k1')
  t.equal(hex(key?.publicKey), hex(publicKey))
  t.equal((await key?.sign(Buffer.from('data'), 'sha256'))?.length, 256)
  t.ok((await storage.policyCache.load()) && (await storage.registration()))
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

function next(rest: Iterator<DeviceStorage>): DeviceStorage {
  const { value, done } = rest.next()
  if (done) throw new Error('no device is left')
  return value
}
