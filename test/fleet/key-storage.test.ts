import { type AgentError, handlerTransport, type PolicyDocument, systemClock } from '@certfleet/agent-core'
import {
  assignProfiles,
  createLab,
  type DeviceSpec,
  type FleetOptions,
  generateTenant,
  type Lab,
  loadExport,
  renderPolicy,
  resultsOf,
  retarget,
  runFleet,
} from '@certfleet/emulator'
import t from 'tap'
import { deviceKeyStorage, type FleetKeyStorage } from '#emulator/fleet/key-storage.ts'
import { runShard, type ShardNews, type ShardOrders } from '#emulator/fleet/shard.ts'
import { exampleProfiles } from '../commands/example.ts'
import { fleetOptions, type TestFleet } from '../fakes/fleet-options.ts'
import { labStore } from '../fakes/lab-store.ts'

const origin = 'http://lab.invalid'
const tenant = generateTenant({ counts: { ios: 1, android: 1, windows: 1 }, domain: 'contoso.example' })
const devices = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
const wish = { spec: { algorithm: 'rsa', bits: 2048 }, hash: 'sha256', multiFactor: false } as const

t.test('what a device has to keep keys in', async (t) => {
  const rows: [string, DeviceSpec['platform'], string, FleetKeyStorage | undefined, string[], string | undefined][] = [
    ['iOS', 'ios', '18.1', undefined, ['software'], undefined],
    ['macOS', 'macos', '15.1', undefined, ['software'], undefined],
    ['Android', 'android', '15', undefined, ['software'], undefined],
    ['Windows 11', 'windows', '10.0.26100', undefined, ['software', 'tpm', 'passport'], undefined],
    ['Windows 10, the first', 'windows', '10', undefined, ['software', 'tpm', 'passport'], undefined],
    ['Windows 8.1', 'windows', '8.1', undefined, ['software', 'tpm'], undefined],
    ['Windows Phone 8.1', 'windows', 'Phone 8.1', undefined, ['software', 'tpm'], undefined],
    ['iOS with a TPM by choice', 'ios', '18.1', { ksp: { kind: 'tpm' } }, ['tpm'], 'tpm'],
    ['Windows with software by choice', 'windows', '10', { ksp: { kind: 'software' } }, ['software'], 'software'],
    ['Windows 8.1 with Passport by choice', 'windows', '8.1', { ksp: { kind: 'passport' }, pin: '471100' }, ['passport'], 'passport'],
  ]
  for (const [name, platform, osVersion, chosen, protections, keyStorage] of rows) {
    const storage = await deviceKeyStorage({ id: 'dev-1', platform, osVersion }, systemClock, chosen)
    t.strictSame(
      storage.providers.map(({ protection }) => protection),
      protections,
      name,
    )
    t.equal(storage.keyStorage, keyStorage, name)
    for (const provider of storage.providers)
      t.match(await provider.readiness(wish), { state: 'ready' }, `${name}: ${provider.name} is ready`)
    await storage.close()
  }
})

t.test('a Passport answers its gestures by itself, and its keys end with the device', async (t) => {
  const windows = { id: 'dev-1', platform: 'windows', osVersion: '10' } as const
  for (const chosen of [undefined, { ksp: { kind: 'passport' }, pin: '471100' }] as const) {
    const { providers, close } = await deviceKeyStorage(windows, systemClock, chosen)
    const passport = providers.find(({ protection }) => protection === 'passport')
    const key = await passport?.generate(wish.spec, 'k1')
    t.equal((await key?.sign(Buffer.from('data'), 'sha256'))?.length, 256)
    t.strictSame(await passport?.list(), ['k1'])
    await close()
    t.strictSame(await passport?.list(), [])
  }
})

t.test('a fleet tells where its keys are, and why', async (t) => {
  const rows: [string, Given, object][] = [
    [
      'where profiles say',
      {},
      {
        keys: { software: 2, tpm: 1 },
        keyStorageReasons: { 'setting-ignored': 1, 'software-ready': 1, 'tpm-ready': 1 },
        ignoredSettings: { keyStorage: 1 },
        platforms: { windows: { keys: { tpm: 1 }, ignoredSettings: {} }, android: { ignoredSettings: { keyStorage: 1 } } },
      },
    ],
    ['in software', { keyStorage: { ksp: { kind: 'software' } } }, { keys: { software: 3 }, keyStorageReasons: { 'device-choice': 3 } }],
    ['in TPMs', { keyStorage: { ksp: { kind: 'tpm' } } }, { keys: { tpm: 3 }, keyStorageReasons: { 'device-choice': 3 } }],
    ['in Passports', { keyStorage: { ksp: { kind: 'passport' } } }, { keys: { passport: 3 }, keyStorageReasons: { 'device-choice': 3 } }],
  ]
  for (const [name, overrides, expected] of rows) {
    const results = resultsOf(1, await runFleet(await optionsOf(overrides)), [])
    t.match(results, { outcomes: { installed: 3, failed: 0 }, ...expected }, name)
    const { keys } = expected as { keys: object }
    t.strictSame(results.keys, keys, name)
  }
})

t.test('a Passport whose PIN is refused fails its device, and no other', async (t) => {
  const { devices: outcomes } = await runFleet(
    await optionsOf({ keyStorage: { ksp: { kind: 'passport' }, pin: '47' }, specs: devices.slice(0, 1) }),
  )
  t.match(outcomes, [{ certificatesInstalled: 0, failures: [{ code: 'ERR_USER_ACTION_REQUIRED' }], keys: [], ignoredSettings: [] }])
  t.notMatch(JSON.stringify(outcomes), '"47"')
})

t.test('a token that is not there ends the run before any device does anything', async (t) => {
  const ksp = { kind: 'pkcs11', module: '/no/such/library.so', token: 'dev0', protection: 'pkcs11' } as const
  let requests = 0
  const transport = handlerTransport(async () => {
    requests++
    return { status: 500, headers: {}, body: new Uint8Array() }
  })
  const told: ShardNews['kind'][] = []
  const refused = (keyStorage: FleetKeyStorage, code: AgentError['code']) => {
    const ports = {
      clock: systemClock,
      transport,
      tell: ({ kind }: ShardNews) => void told.push(kind),
      begin: async () => systemClock.now(),
      signal: new AbortController().signal,
    }
    return t.rejects(runShard(shardOrders(keyStorage), ports), { code })
  }
  await refused({ ksp, pin: '4711' }, 'ERR_KEY_STORAGE_UNAVAILABLE')
  await refused({ ksp }, 'ERR_KEY_SECRET_REFUSED')
  t.strictSame([requests, told], [0, []])
})

const shardOrders = (keyStorage: FleetKeyStorage): ShardOrders => ({
  name: 'worker 1',
  devices: devices.map((spec, index) => ({ spec, index })),
  seed: 1,
  concurrency: 4,
  target: { kind: 'policy', policyUrl: `${origin}/device/policy`, registrationToken: 'token' },
  keys: { mode: 'fresh' },
  keyStorage,
  legacyDes: false,
  legacySha1: false,
  hasSpans: false,
})

type Given = Partial<Pick<TestFleet, 'keyStorage' | 'transport' | 'specs'>>

/** The example's profiles; the Android one names a key storage, which Android ignores. */
async function optionsOf(given: Given): Promise<FleetOptions> {
  const lab: Lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    registrationToken: 'token',
    policyFor: (deviceId) => withKeyStorage(renderPolicy(intent, tenant, deviceId, { revision: 1 }), deviceId),
  })
  const pointed = retarget(await loadExport(exampleProfiles), { root: lab.rootCertificate, scepUrl: `${origin}/certsrv/mscep/mscep.dll` })
  const { intent } = assignProfiles(pointed.imported, tenant)
  return fleetOptions({ specs: devices, transport: handlerTransport(lab.handle), ...given })
}

function withKeyStorage(document: PolicyDocument, deviceId: string): PolicyDocument {
  if (!deviceId.startsWith('android')) return document
  const keyStorage = 'useTpmKspOtherwiseFail'
  return { ...document, scepProfiles: document.scepProfiles.map((profile) => ({ ...profile, keyStorage })) }
}
