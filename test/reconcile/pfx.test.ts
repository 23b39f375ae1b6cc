import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  type AgentErrorCode,
  managementIdentity,
  managementKeyLabel,
  modelledPassport,
  modelledTpm,
  noLatency,
  reconcile,
  softwareKeys,
} from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import t, { type Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { type ConnectorMood, json, pfxCa, type WirePfx, withPfx } from '../fakes/pfx-connector.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, signal, start, type World, type WorldOptions, world } from './world.ts'

const authority = await labStore(new FakeClock(start))
const pool = await makeKeyPool(4)
const { certificate: foreign } = await managementIdentity(softwareKeys())

function pair(type: 'rsa' | 'ec', size: number | string): KeyObject {
  if (type === 'rsa') return generateKeyPairSync('rsa', { modulusLength: Number(size) }).privateKey
  return generateKeyPairSync('ec', { namedCurve: String(size) }).privateKey
}

const rsa4096 = pair('rsa', 4096)

const make = (own: Partial<WirePfx> = {}, options: Partial<WorldOptions> = {}) =>
  world({ pool: [], pfxPool: pool, authority, edit: (document) => withPfx(document, own), ...options })
const passOf = async (device: World) => (await reconcile(device.device(), signal)).report
const imports = ({ results }: Awaited<ReturnType<typeof passOf>>) => results.filter(({ kind }) => kind === 'import')
const deliveries = ({ connector }: World) => connector.deliveries.length

/** One identity and its key, nothing unfinished. */
async function isTidy(t: Test, { identities, keys, state }: World): Promise<void> {
  const [identity, ...more] = await identities.list()
  t.same(more, [])
  t.same(await keys.list(), [identity?.keyLabel], 'one key, that of the identity')
  t.equal((await state.load()).attempts.size, 0, 'no attempt is open')
}

t.test('the certificate that the connector made is installed, with its key, and reported', async (t) => {
  const device = await make()
  const report = await passOf(device)
  const [issued] = [...device.connector.issued.values()]
  t.match(imports(report), [{ reason: 'IdentityMissing', status: 'done', subject: 'device/mail' }])
  t.match(report.profiles, [
    {
      profileId: 'mail',
      state: 'installed',
      fingerprint: fingerprintOf(issued?.certificate as Uint8Array),
      keyProtection: 'software',
      keyStorageReason: 'software-ready',
      keyBits: 2048,
    },
  ])
  const [identity] = await device.identities.list()
  t.same(identity?.chain, [issued?.certificate, pfxCa.issuing, pfxCa.root], 'leaf first, root last')
  await isTidy(t, device)
  t.same(imports(await passOf(device)), [], 'and there is nothing more to do')
})

t.test('it is fetched again, and the old key goes, when', async (t) => {
  const changes: readonly (readonly [name: string, reason: string, change: (device: World) => unknown])[] = [
    [
      'another certificate is to be delivered',
      'CertificateChanged',
      ({ edit }) => edit((now) => ({ ...withPfx(now, { certificateRevision: 'v2' }), revision: 2 })),
    ],
    ['it is of another kind', 'RequestChanged', ({ edit }) => edit((now) => ({ ...withPfx(now, { kind: 'imported' }), revision: 2 }))],
    [
      'its key is to be exportable',
      'KeyExportChanged',
      ({ edit }) => edit((now) => ({ ...withPfx(now, { exportable: true }), revision: 2 })),
    ],
    ['its key is gone', 'PrivateKeyUnusable', async ({ keys }) => Promise.all((await keys.list()).map((label) => keys.destroy(label)))],
    ['the threshold is reached', 'RenewalDue', ({ clock }) => clock.advance(80 * day)],
    ['it has expired', 'Expired', ({ clock }) => clock.advance(101 * day)],
  ]
  for (const [name, reason, change] of changes) {
    await t.test(name, async (t) => {
      const device = await make()
      await passOf(device)
      const [before] = await device.identities.list()
      await change(device)
      t.match(imports(await passOf(device)), [{ reason, status: 'done' }])
      const [after] = await device.identities.list()
      t.not(after?.keyLabel, before?.keyLabel)
      await isTidy(t, device)
    })
  }
  await t.test('and not a moment before the threshold', async (t) => {
    const device = await make()
    await passOf(device)
    await device.clock.advance(80 * day - 1)
    t.same(imports(await passOf(device)), [])
  })
})

t.test('a profile that is gone takes certificate and key along', async (t) => {
  const device = await make()
  await passOf(device)
  device.edit((document) => ({ ...document, scepProfiles: [], revision: 2 }))
  await passOf(device)
  t.same(await device.identities.list(), [])
  t.same(await device.keys.list(), [])
})

t.test('S11: without its root, or one that reaches the device otherwise, nothing is fetched', async (t) => {
  const rows: readonly (readonly [name: string, own: Partial<WirePfx>])[] = [
    ['no such root', { rootProfileId: 'another' }],
    ['assigned to another principal', { principal: 'user', assignedTo: ['user'] }],
  ]
  for (const [name, own] of rows) {
    const device = await make(own)
    t.match((await passOf(device)).profiles, [{ code: 'ERR_ROOT_NOT_DEPLOYED' }], name)
    t.equal(deliveries(device), 0, name)
  }
})

/** What is wrong with what the connector sends, and what becomes of it. */
const bad: readonly (readonly [name: string, mood: ConnectorMood, code: AgentErrorCode, again: boolean])[] = [
  ['the password is another', { told: 'not it' }, 'ERR_PFX_PASSWORD', true],
  ['the password is empty', { told: '' }, 'ERR_CMS_DECRYPT', true],
  ['the password is for another device', { recipient: foreign }, 'ERR_CMS_DECRYPT', true],
  ['there is none for this user', { answer: json({}, 404) }, 'ERR_PFX_UNAVAILABLE', true],
  ['the connector is in trouble', { answer: json({}, 503) }, 'ERR_PFX_UNAVAILABLE', true],
  ['the answer is of another shape', { answer: json({ pfx: 'hidden' }) }, 'ERR_PFX_UNAVAILABLE', true],
  ['the device is not known any more', { answer: json({}, 401) }, 'ERR_UNAUTHORIZED', true],
  ['it is in 3DES', { contents: { algorithms: 'legacy' } }, 'ERR_ALGORITHM_REFUSED', true],
  ['it has expired', { validFor: { notBefore: start - day, notAfter: start - 1 } }, 'ERR_CERTIFICATE_MISMATCH', true],
  ['it is not valid yet', { validFor: { notBefore: start + 6 * 60_000, notAfter: start + day } }, 'ERR_CERTIFICATE_MISMATCH', true],
  ['it is a CA', { ca: true }, 'ERR_CERTIFICATE_MISMATCH', true],
]

for (const [name, mood, code, again] of bad) {
  t.test(`${name}: ${code}, no key, and ${again ? 'another try after the backoff' : 'no other try'}`, async (t) => {
    const device = await make()
    device.connector.mood = mood
    const report = await passOf(device)
    t.match(report.profiles, [{ code, fingerprint: undefined }])
    t.same(await device.keys.list(), [])
    t.same(imports(await passOf(device)), [], 'not at the next pass')
    t.equal(deliveries(device), 1, 'asked for once')
    device.connector.mood = {}
    await device.clock.advance(10 * 60_000)
    t.match((await passOf(device)).profiles, [{ state: 'installed', code: undefined }])
    await isTidy(t, device)
  })
}

t.test('a certificate that leads to another root is not installed', async (t) => {
  const lab = await make()
  lab.edit((document) => {
    const edited = withPfx(document)
    return { ...edited, revision: 2, trustedRoots: edited.trustedRoots.map((root) => ({ ...root, certificate: labRoot(lab) })) }
  })
  t.match((await passOf(lab)).profiles, [{ code: 'ERR_CERTIFICATE_UNTRUSTED' }])
  t.same(await lab.keys.list(), [])
})

const labRoot = ({ lab }: World): string => Buffer.from(lab.rootCertificate).toString('base64')

t.test('issuers that the PFX leaves out are taken from the Trusted profiles', async (t) => {
  const device = await make({}, { platform: 'ios' })
  device.connector.mood = { leafOnly: true }
  t.match((await passOf(device)).profiles, [{ code: 'ERR_CERTIFICATE_UNTRUSTED' }], 'without them there is no path')
  device.edit((document) => {
    const edited = withPfx(document)
    const certificate = Buffer.from(pfxCa.issuing).toString('base64')
    const issuers = edited.trustedRoots.map((root) => ({ ...root, id: 'issuing', certificate }))
    return { ...edited, revision: 2, trustedRoots: [...edited.trustedRoots, ...issuers] }
  })
  t.match((await passOf(device)).profiles, [{ state: 'installed' }])
  t.same((await device.identities.list())[0]?.chain.slice(1), [pfxCa.issuing, pfxCa.root])
})

t.test('a renewal that brings the certificate that is there already waits', async (t) => {
  const device = await make({ kind: 'imported' })
  await passOf(device)
  device.connector.mood = { nothingNew: true }
  await device.clock.advance(85 * day)
  t.match((await passOf(device)).profiles, [{ state: 'installed', code: 'ERR_CERTIFICATE_MISMATCH', message: /no newer certificate/ }])
  t.same(imports(await passOf(device)), [], 'until the backoff is over')
  t.equal(deliveries(device), 2)
  await isTidy(t, device)
})

t.test('a key that is gone comes back by the same certificate', async (t) => {
  const device = await make({ kind: 'imported' })
  await passOf(device)
  device.connector.mood = { nothingNew: true }
  for (const label of await device.keys.list()) await device.keys.destroy(label)
  t.match(imports(await passOf(device)), [{ reason: 'PrivateKeyUnusable', status: 'done' }])
  await isTidy(t, device)
})

t.test('an attempt that failed on the way is begun again by the same id', async (t) => {
  const device = await make()
  device.connector.mood = { answer: json({}, 503) }
  await passOf(device)
  device.connector.mood = {}
  await device.clock.advance(10 * 60_000)
  await passOf(device)
  const [first, second] = device.connector.deliveries
  t.equal(second?.attemptId, first?.attemptId)
})

const clock = new FakeClock(start)
const hardware = () => ({
  software: softwareKeys(),
  tpm: modelledTpm({ clock, latency: noLatency }),
  passport: modelledPassport({ clock, user: 'jane', containerName: 'c1', pin: '482913', onGesture: async () => ({ pin: '482913' }) }),
})

const places: readonly (readonly [option: WirePfx['keyStorage'], own: Partial<WirePfx>, expected: object])[] = [
  ['useSoftwareKsp', {}, { keyProtection: 'software' }],
  ['useSoftwareKsp', { exportable: true }, { keyProtection: 'software' }],
  ['useTpmKspOtherwiseUseSoftwareKsp', {}, { keyProtection: 'tpm', keyStorageReason: 'tpm-ready' }],
  ['useTpmKspOtherwiseFail', {}, { keyProtection: 'tpm' }],
  ['usePassportForWorkKspOtherwiseFail', {}, { keyProtection: 'passport' }],
  ['useTpmKspOtherwiseFail', { exportable: true }, { code: 'ERR_UNSUPPORTED', message: /windows\.pfx\.exportable/ }],
]

for (const [keyStorage, own, expected] of places) {
  t.test(`${keyStorage}${own.exportable ? ', exportable' : ''}: ${JSON.stringify(expected)}`, async (t) => {
    const has = hardware()
    const device = await make({ keyStorage, ...own }, { keyStorageProviders: Object.values(has) })
    t.match((await passOf(device)).profiles, [expected])
    t.equal(deliveries(device), 'code' in expected ? 0 : 1)
    const [identity] = await device.identities.list()
    if (!identity) return
    const key = await has[identity.placement.protection as 'tpm'].open(identity.keyLabel)
    t.equal((await key?.sign(Buffer.from('data'), 'sha256'))?.length, 256, 'and it signs there')
  })
}

t.test('where no storage would take the key, nothing is fetched', async (t) => {
  const { tpm, software } = hardware()
  tpm.set({ isPresent: false })
  const absent = await make({ keyStorage: 'useTpmKspOtherwiseFail' }, { keyStorageProviders: [tpm, software] })
  t.match((await passOf(absent)).profiles, [{ code: 'ERR_KEY_STORAGE_UNAVAILABLE' }])
  const { import: _, ...generating } = softwareKeys()
  const closed = await make({}, { keyStorageProviders: [generating] })
  t.match((await passOf(closed)).profiles, [{ code: 'ERR_UNSUPPORTED', message: /takes no key that was made elsewhere/ }])
  t.equal(deliveries(absent) + deliveries(closed), 0)
})

t.test('a device that insists on its TPM gives no exportable key', async (t) => {
  const { tpm, software } = hardware()
  const device = await make({ exportable: true }, { keyStorageProviders: [tpm, software], keyStorage: 'tpm' })
  t.match((await passOf(device)).profiles, [{ code: 'ERR_UNSUPPORTED', message: /gives no key out again/ }])
  t.equal(deliveries(device), 0)
})

const kinds: readonly (readonly [name: string, key: KeyObject, option: WirePfx['keyStorage'], expected: object])[] = [
  ['P-256', pair('ec', 'P-256'), 'useSoftwareKsp', { state: 'installed', keyBits: undefined }],
  ['P-256', pair('ec', 'P-256'), 'useTpmKspOtherwiseFail', { state: 'installed', keyProtection: 'tpm' }],
  ['RSA-4096', rsa4096, 'useSoftwareKsp', { state: 'installed', keyBits: 4096 }],
  ['RSA-4096', rsa4096, 'useTpmKspOtherwiseFail', { code: 'ERR_UNSUPPORTED', message: /makes no RSA-4096/ }],
  ['RSA-4096', rsa4096, 'usePassportForWorkKspOtherwiseFail', { code: 'ERR_UNSUPPORTED', message: /RSA-2048 alone/ }],
  ['RSA-1024', pair('rsa', 1024), 'useSoftwareKsp', { code: 'ERR_CERTIFICATE_UNTRUSTED' }],
  ['P-521', pair('ec', 'P-521'), 'useSoftwareKsp', { code: 'ERR_UNSUPPORTED' }],
]

for (const [name, key, keyStorage, expected] of kinds) {
  t.test(`a key of ${name} for ${keyStorage}`, async (t) => {
    const has = hardware()
    const device = await make({ keyStorage }, { pfxPool: [key], keyStorageProviders: Object.values(has) })
    t.match((await passOf(device)).profiles, [expected])
    const kept = (await Promise.all(Object.values(has).map((storage) => storage.list()))).flat()
    t.equal(kept.length, 'code' in expected ? 0 : 1)
  })
}

t.test('a device that was set up for none says so', async (t) => {
  const device = await make()
  const { pfxSource: _, ...without } = device.device()
  t.match((await reconcile(without, signal)).report.profiles, [{ code: 'ERR_UNSUPPORTED', message: /not set up/ }])
})

t.test('the management key is nobody else’s to destroy', async (t) => {
  const keys = softwareKeys()
  const { certificate } = await managementIdentity(keys)
  const device = await make({}, { keyStorageProviders: [keys] })
  await passOf(device)
  t.ok((await keys.list()).includes(managementKeyLabel))
  t.same((await managementIdentity(keys)).certificate, certificate, 'and its certificate is the same each time')
})

const systems: readonly (readonly [name: string, options: Partial<WorldOptions>, mood: ConnectorMood, expected: object])[] = [
  [
    'Apple refuses a second certificate',
    { platform: 'ios' },
    {},
    { code: 'ERR_CERTIFICATE_REFUSED', message: /2 certificates, this OS takes 1/ },
  ],
  ['Android 11 refuses PBES2', { platform: 'android', osVersion: '11' }, {}, { code: 'ERR_ALGORITHM_REFUSED', message: /PBES2/ }],
  ['Android 11 reads 3DES', { platform: 'android', osVersion: '11' }, { contents: { algorithms: 'legacy' } }, { state: 'installed' }],
  [
    'Android 11 with a wrong password',
    { platform: 'android', osVersion: '11' },
    { told: 'x', contents: { algorithms: 'legacy' } },
    { code: 'ERR_PFX_PASSWORD' },
  ],
  ['Android 12 reads PBES2', { platform: 'android', osVersion: '12' }, {}, { state: 'installed' }],
  ['3DES by its switch', { legacyPfx: true }, { contents: { algorithms: 'legacy' } }, { state: 'installed' }],
  ['PBES2 beside the switch', { legacyPfx: true }, {}, { state: 'installed' }],
]

for (const [name, options, mood, expected] of systems) {
  t.test(name, async (t) => {
    const device = await make({}, options)
    device.connector.mood = mood
    t.match((await passOf(device)).profiles, [expected])
  })
}

t.test('what the OS ignores is told', async (t) => {
  const device = await make({ keyStorage: 'useTpmKspOtherwiseFail', exportable: true }, { platform: 'android' })
  t.match((await passOf(device)).profiles, [
    { state: 'installed', keyProtection: 'software', keyStorageReason: 'setting-ignored', ignoredSettings: ['keyStorage', 'exportable'] },
  ])
})
