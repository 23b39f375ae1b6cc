import { createHash } from 'node:crypto'
import {
  type DevicePolicy,
  type DeviceState,
  memoryStores,
  type Principal,
  parsePolicy,
  planActions,
  reconcile,
} from '@certfleet/agent-core'
import { type PlatformName, parseOs, platformAdapter, platformNames, windowsStorePath } from '@certfleet/platforms'
import t from 'tap'
import { assignProfiles, parseTenant, renderPolicy } from '#emulator/tenant/index.ts'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { signal, start, world } from '../reconcile/world.ts'
import { bindTo, imported, importedPfx, pkcs, scep, told, trustedRoot } from '../tenant/graph.ts'
import { testCa } from './certificates.ts'
import { bindings, trustedRoot as deployedRoot, pfxProfile, scepProfile } from './device.ts'

const ca = testCa(t.testdir())
const both = ['device', 'user'] as const
const recent = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const

/** The nine cells of Microsoft's text, written down apart from the code. */
const matrix: readonly (readonly [scep: readonly Principal[], trusted: readonly Principal[], 'succeeds' | 'fails'])[] = [
  [['user'], ['user'], 'succeeds'],
  [['user'], ['device'], 'fails'],
  [['user'], both, 'succeeds'],
  [['device'], ['user'], 'fails'],
  [['device'], ['device'], 'succeeds'],
  [['device'], both, 'succeeds'],
  [both, ['user'], 'succeeds'],
  [both, ['device'], 'succeeds'],
  [both, both, 'succeeds'],
]

const nothing: DeviceState = {
  roots: [],
  identities: new Map(),
  attempts: new Map(),
  pending: new Map(),
  failures: new Map(),
  keyLabels: new Set(),
  keyStorage: [],
  locked: false,
}

const outcome = { succeeds: [undefined, 'IdentityMissing'], fails: ['ERR_ROOT_NOT_DEPLOYED', 'RootNotDeployed'] } as const

function planned(platform: PlatformName, policy: DevicePolicy) {
  const { lifecycle } = platformAdapter(platform, bindings({ osVersion: recent[platform] }))
  const { actions } = planActions(policy, nothing, start, lifecycle)
  const action = actions.find(({ kind }) => kind !== 'install-root')
  return [action?.kind === 'fail' ? action.code : undefined, action?.reason]
}

for (const [assigned, trusted, expected] of matrix) {
  const title = `SCEP to ${assigned.join(' and ')}, Trusted to ${trusted.join(' and ')}: ${expected}`
  const trustedRoots = [{ ...deployedRoot(ca.root, 'computer-root'), assignedTo: trusted }]

  t.test(`trust.assignment: the planner, ${title}`, async (t) => {
    for (const platform of platformNames) {
      const scepProfiles = [scepProfile({ assignedTo: assigned })]
      const policy = { revision: 1, trustedRoots, scepProfiles, pfxProfiles: [], failedProfiles: [] }
      t.same(planned(platform, policy), outcome[expected], platform)
    }
  })

  t.test(`trust.assignment-pfx: the planner, ${title}, of a PFX profile`, async (t) => {
    for (const platform of platformNames) {
      const pfxProfiles = [{ ...pfxProfile(), assignedTo: assigned }]
      const policy = { revision: 1, trustedRoots, scepProfiles: [], pfxProfiles, failedProfiles: [] }
      t.same(planned(platform, policy), outcome[expected], platform)
    }
  })

  t.test(`trust.assignment: from a tenant's groups to the plan, ${title}`, async (t) => {
    for (const platform of platformNames) t.same(planned(platform, policyFrom(platform, assigned, trusted)), outcome[expected], platform)
  })
}

const families = { ios: 'ios', macos: 'macOS', android: 'androidWorkProfile', windows: 'windows81' } as const
const scepTypes = { ...families, ios: 'iosScep', macos: 'macOSScep', android: 'androidWorkProfileScep', windows: 'windows81SCEP' }
const rootOf = (platform: PlatformName) => ({ '@odata.type': `#microsoft.graph.${families[platform]}TrustedRootCertificate` })
const scepOf = (platform: PlatformName) => ({ '@odata.type': `#microsoft.graph.${scepTypes[platform]}CertificateProfile` })

/** The way of a policy: export and tenant file, assignment, rendering, wire, device. */
function policyFrom(platform: PlatformName, assigned: readonly Principal[], trusted: readonly Principal[]): DevicePolicy {
  const tenant = parseTenant(
    Buffer.from(`
users: [{id: jane, upn: jane@a.example}]
devices: [{id: d1, platform: ${platform}, osVersion: ${recent[platform]}, user: jane}]
groups: [{id: user, users: [jane]}, {id: device, devices: [d1]}]
assignments:
  - {profile: root-1, groups: [${trusted.join(', ')}]}
  - {profile: scep-1, groups: [${assigned.join(', ')}]}
`),
    'tenant.yaml',
  )
  const { intent } = assignProfiles(imported(trustedRoot(rootOf(platform)), scep(scepOf(platform))), tenant)
  return parsePolicy(Buffer.from(JSON.stringify(renderPolicy(intent, tenant, 'd1', { revision: 1 }))), 'd1')
}

const authority = await labStore(new FakeClock(start))
const pool = await makeKeyPool(1)

t.test('trust.both-deployed: without its Trusted profile SCEP fails before a key, a challenge or a call', async (t) => {
  for (const platform of platformNames) {
    const device = await world({ pool: [], authority, platform, edit: (document) => ({ ...document, trustedRoots: [] }) })
    const before = device.requests.length
    const { report } = await reconcile(device.device(), signal)
    t.match(report.profiles, [{ state: 'requestCreationFailed', code: 'ERR_ROOT_NOT_DEPLOYED' }], platform)
    t.same(device.requests.slice(before), ['http://lab.example/device/policy', 'http://lab.example/device/report'], platform)
    t.same(await device.keys.list(), [], platform)
  }
})

t.test('trust.several-roots: another root, of an access point say, is installed beside', async (t) => {
  const other = { id: 'ap', displayName: 'AP', certificate: Buffer.from(ca.root).toString('base64') }
  const more = { ...other, destinationStore: 'computer-root' as const, assignedTo: ['user' as const] }
  const device = await world({
    pool,
    authority,
    edit: (document) => ({ ...document, trustedRoots: [...document.trustedRoots, more] }),
  })
  const { report } = await reconcile(device.device(), signal)
  t.match(report, { roots: [{ installed: true }, { installed: true }], profiles: [{ state: 'installed' }] })
})

t.test("trust.own-platform: another platform's root is refused when the profile is written, and the device gets no request", async (t) => {
  for (const platform of platformNames) {
    const other = platform === 'ios' ? 'macos' : 'ios'
    const bound = { 'rootCertificate@odata.bind': bindTo('root-2') }
    const from = imported(trustedRoot({ ...rootOf(other), id: 'root-2' }), scep({ ...scepOf(platform), ...bound }))
    t.same(told(from), ['error link-other-platform 1.json rootCertificate@odata.bind'], platform)
    const tenant = parseTenant(Buffer.from(`devices: [{id: d1, platform: ${platform}, osVersion: ${recent[platform]}}]\nassign: all`), 't')
    const policy = renderPolicy(assignProfiles(from, tenant).intent, tenant, 'd1', { revision: 1 })
    t.match(policy, { scepProfiles: [], failedProfiles: [{ code: 'ERR_PROFILE_INVALID', message: /expected a Trusted profile of/ }] })
  }
})

t.test('applies.own-platform: profiles of another platform are nowhere, and no failure', async (t) => {
  const documents = [trustedRoot(), scep(), pkcs(), importedPfx()]
  for (const platform of ['ios', 'macos', 'android'] as const) {
    const tenant = parseTenant(Buffer.from(`devices: [{id: d1, platform: ${platform}, osVersion: ${recent[platform]}}]\nassign: all`), 't')
    const policy = renderPolicy(assignProfiles(imported(...documents), tenant).intent, tenant, 'd1', { revision: 1 })
    const { trustedRoots, scepProfiles, pfxProfiles = [], failedProfiles } = policy
    t.same([...trustedRoots, ...scepProfiles, ...pfxProfiles, ...failedProfiles], [], platform)
  }
})

t.test('windows.csp.no-user-root: no store of that name is known, on the wire or in a policy of ours', async (t) => {
  const root = { id: 'root', displayName: 'Root', certificate: Buffer.from(ca.root).toString('base64'), assignedTo: ['user'] }
  const trustedRoots = [{ ...root, destinationStore: 'user-root' }]
  const document = { schemaVersion: 1, revision: 1, deviceId: 'd1', trustedRoots, scepProfiles: [], failedProfiles: [] }
  const failed = [{ id: 'root', code: 'ERR_PROFILE_INVALID', message: /^trustedRoots\[0\]\.destinationStore/ }]
  t.match(parsePolicy(Buffer.from(JSON.stringify(document))), { trustedRoots: [], failedProfiles: failed })
  const written = imported(trustedRoot({ destinationStore: 'userCertStoreRoot' }))
  t.same(told(written), ['error profile-invalid 0.json destinationStore'])
})

t.test('windows.store.root-self-signed: Windows takes the store that a profile names, and refuses what is not for it', async (t) => {
  const adapter = platformAdapter('windows', bindings({ osVersion: '11', certificateStores: memoryStores() }))
  const stored = (certificate: Uint8Array, store: Parameters<typeof deployedRoot>[1]) =>
    adapter.certificateStores.install(adapter.storeFor(deployedRoot(certificate, store)), certificate)
  await t.rejects(stored(ca.intermediate, 'computer-root'), { code: 'ERR_CERTIFICATE_REFUSED', message: /not self-signed/ })
  await stored(ca.root, 'computer-root')
  await stored(ca.intermediate, 'computer-intermediate')
  await stored(ca.intermediate, 'user-intermediate')
  const stores = (await adapter.certificateStores.list()).map(({ store }) => store)
  t.same(stores, ['computer-root', 'computer-intermediate', 'user-intermediate'])
})

const paths = [
  ['computer-root', './Device/Vendor/MSFT/RootCATrustedCertificates/Root/'],
  ['computer-intermediate', './Device/Vendor/MSFT/RootCATrustedCertificates/CA/'],
  ['user-intermediate', './User/Vendor/MSFT/RootCATrustedCertificates/CA/'],
] as const

for (const [store, path] of paths) {
  t.test(`windows.store.paths: ${store}`, async (t) => {
    const thumbprint = createHash('sha1').update(ca.root).digest('hex').toUpperCase()
    t.equal(windowsStorePath(store, ca.root, parseOs('windows', '11')), `${path}${thumbprint}/EncodedCertificate`)
  })
}
