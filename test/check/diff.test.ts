import { adapt, type DevicePolicy, type DeviceState, identityKey, parsePolicy, planActions } from '@certfleet/agent-core'
import { platformAdapter } from '@certfleet/platforms'
import fc from 'fast-check'
import t from 'tap'
import type { RuleFindingId } from '#emulator/check/finding-ids.ts'
import { type CheckFinding, type CheckInput, diffExports } from '#emulator/check/index.ts'
import { assignProfiles, type Device, type Import, managementOf, osVersionOf, renderPolicy, type Tenant } from '#emulator/tenant/index.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { bindings } from '../platforms/device.ts'
import { bindTo, importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { inputOf } from './checked.ts'

const tenant = `
assign: all
users:
  - { id: alice, upn: alice@contoso.example, userName: alice, email: alice@contoso.example }
devices:
  - { id: pc-1, platform: windows, osVersion: "11", user: alice }
  - { id: pc-2, platform: windows, osVersion: "11", user: alice }
`

function diff(before: readonly Json[], after: readonly Json[], tenantText?: string): readonly CheckFinding[] {
  return diffExports(inputOf(before, tenantText), inputOf(after, tenantText))
}

type Expected = Partial<Record<keyof CheckFinding, unknown>> & { id: RuleFindingId }

interface Row {
  readonly name: string
  readonly before: readonly Json[]
  readonly after: readonly Json[]
  readonly tenant?: string
  readonly finds: readonly Expected[]
}

function rows(all: readonly Row[]): void {
  for (const { name, before, after, tenant, finds } of all) {
    t.test(name, async (t) => {
      const found = diff(before, after, tenant)
      t.same(
        found.map(({ id }) => id),
        finds.map(({ id }) => id),
        'these and no others',
      )
      for (const [i, expected] of finds.entries()) t.match(found[i], expected)
      for (const { message, source, id } of found) t.ok(message && source, `${id} says why, and where that is from`)
    })
  }
}

const otherCertificate = Buffer.from(
  await testCertificate({ subject: 'CN=Other Root', key: await testKey('other root'), ca: true }),
).toString('base64')
const on = (type: string) => ({ '@odata.type': `#microsoft.graph.${type}` })
const edits = (members: Json, build = scep) => ({ before: [trustedRoot(), build()], after: [trustedRoot(), build(members)] })
const reissued = (devices: RegExp): Expected => ({ id: 'edit-reissues', severity: 'warning', message: devices, source: 'profile.edits' })
const revoked: Expected = { id: 'edit-revokes', severity: 'warning', source: 'removal.scep-edited' }
const subject = { subjectNameFormatString: 'CN={{SerialNumber}}' }
const renamedSubject = { subjectNameFormatString: 'CN={{DeviceId}},O=Contoso' }

rows([
  { name: 'the same export', ...edits({}), tenant, finds: [] },
  {
    name: 'another subject',
    ...edits(renamedSubject),
    tenant,
    finds: [
      reissued(/^each of 2 devices \(pc-1, pc-2\) enrols anew with a new key, since the subject is another \(changed: subject\)$/),
      revoked,
    ],
  },
  {
    name: 'another subject, with no tenant',
    ...edits(renamedSubject),
    finds: [reissued(/^a device that has it \(windows\) enrols anew/), revoked],
  },
  {
    name: 'a subject that devices lack an attribute for',
    ...edits(subject),
    tenant,
    finds: [{ id: 'edit-breaks', severity: 'error', message: /2 devices \(pc-1, pc-2\): .*SerialNumber/ }],
  },
  {
    name: 'a subject that devices had no attribute for',
    before: [trustedRoot(), scep(subject)],
    after: [trustedRoot(), scep()],
    tenant,
    finds: [{ id: 'edit-mends', severity: 'info', message: /^2 devices/ }],
  },
  {
    name: 'a threshold',
    ...edits({ renewalThresholdPercentage: 30 }),
    tenant,
    finds: [{ id: 'edit-harmless', severity: 'info', message: /renewal threshold/ }],
  },
  {
    name: 'a name',
    ...edits({ displayName: 'Other' }),
    tenant,
    finds: [{ id: 'edit-harmless', profile: 'Other', message: /changed: name/ }],
  },
  {
    name: 'a template of PKCS, which revokes nothing',
    ...edits({ certificateTemplateName: 'Other' }, pkcs),
    tenant,
    finds: [reissued(/gets another certificate and key delivered, since another/)],
  },
  { name: 'a purpose of an imported PFX', ...edits({ intendedPurpose: 'vpn' }, importedPfx), tenant, finds: [reissued(/gets another/)] },
  {
    name: 'key storage, which iOS does not have',
    before: [trustedRoot(on('iosTrustedRootCertificate')), scep(on('iosScepCertificateProfile'))],
    after: [
      trustedRoot(on('iosTrustedRootCertificate')),
      scep({ ...on('iosScepCertificateProfile'), keyStorageProvider: 'useTpmKspOtherwiseFail' }),
    ],
    finds: [],
  },
  {
    name: 'a machine store in the place of a user store',
    before: [trustedRoot(), scep({ certificateStore: 'user' })],
    after: [trustedRoot(), scep({ certificateStore: 'machine' })],
    tenant,
    finds: [reissued(/another principal/), { id: 'edit-revokes', source: 'removal.scep' }],
  },
  {
    name: 'an edit on a fully managed device revokes nothing',
    before: [trustedRoot(on('androidDeviceOwnerTrustedRootCertificate')), scep(on('androidDeviceOwnerScepCertificateProfile'))],
    after: [
      trustedRoot(on('androidDeviceOwnerTrustedRootCertificate')),
      scep({ ...on('androidDeviceOwnerScepCertificateProfile'), ...renamedSubject }),
    ],
    finds: [reissued(/android deviceOwner/)],
  },
  {
    name: 'an edit that makes the profile invalid',
    ...edits({ keySize: 'size3000' }),
    tenant,
    finds: [{ id: 'edit-breaks', severity: 'error', message: /2 devices.*keySize/ }],
  },
])

rows([
  {
    name: 'a lost link',
    ...edits({ 'rootCertificate@odata.bind': null }),
    tenant,
    finds: [{ id: 'link-lost', severity: 'error', profileId: 'scep-1', message: /no device can be sent it/ }],
  },
  {
    name: 'a link that neither export has is no change, and hides none',
    before: [trustedRoot(), scep({ 'rootCertificate@odata.bind': null })],
    after: [trustedRoot(), scep({ 'rootCertificate@odata.bind': null, ...renamedSubject })],
    tenant,
    finds: [reissued(/2 devices/), revoked],
  },
  {
    name: 'a link that the older export lacks',
    before: [trustedRoot(), scep({ 'rootCertificate@odata.bind': null })],
    after: [trustedRoot(), scep()],
    tenant,
    finds: [{ id: 'link-changed', severity: 'info' }],
  },
  {
    name: 'a link to another profile of the same certificate',
    before: [trustedRoot(), trustedRoot({ id: 'root-2', displayName: 'Other' }), scep()],
    after: [trustedRoot(), trustedRoot({ id: 'root-2', displayName: 'Other' }), scep({ 'rootCertificate@odata.bind': bindTo('root-2') })],
    tenant,
    finds: [{ id: 'link-changed', severity: 'warning', message: /"Other"/ }],
  },
  {
    name: 'a removed root',
    before: [trustedRoot(), scep()],
    after: [scep()],
    tenant,
    finds: [{ id: 'link-lost' }, { id: 'profile-removed', profileId: 'root-1', message: /the root leaves the device$/ }],
  },
  {
    name: 'another certificate of a root',
    before: [trustedRoot(), scep()],
    after: [trustedRoot({ trustedRootCertificate: otherCertificate }), scep()],
    tenant,
    finds: [
      { id: 'root-replaced', severity: 'warning', message: /the certificates of "Scep" are asked for anew/ },
      reissued(/the root certificate is another$/),
      revoked,
    ],
  },
  {
    name: 'another store of a root',
    before: [trustedRoot()],
    after: [trustedRoot({ destinationStore: 'computerCertStoreRoot' })],
    tenant,
    finds: [{ id: 'edit-harmless', message: /destination store/ }],
  },
])

rows([
  {
    name: 'a removed profile',
    before: [trustedRoot(), scep(), pkcs()],
    after: [trustedRoot()],
    tenant,
    finds: [
      {
        id: 'profile-removed',
        profileId: 'scep-1',
        message: /2 devices \(pc-1, pc-2\): the certificate leaves the device and is revoked$/,
        source: 'removal.scep',
      },
      { id: 'profile-removed', profileId: 'pkcs-1', message: /is not revoked$/, source: 'removal.pkcs-unassigned' },
    ],
  },
  {
    name: 'a new profile',
    before: [trustedRoot()],
    after: [trustedRoot(), scep()],
    tenant,
    finds: [{ id: 'profile-added', severity: 'info', message: /it reaches 2 devices \(pc-1, pc-2\)$/ }],
  },
  {
    name: 'a copy',
    before: [trustedRoot(), scep()],
    after: [trustedRoot(), scep({ id: 'scep-9' })],
    tenant,
    finds: [
      {
        id: 'profile-copied',
        severity: 'warning',
        profileId: 'scep-9',
        message: /another profile.*Once the old one is gone, 2 devices .*revoked$/,
      },
    ],
  },
  {
    name: 'exports without ids, matched by name',
    before: [
      trustedRoot({ id: undefined }),
      scep({
        id: undefined,
        ...on('windows81SCEPCertificateProfile'),
        '#CustomRef_rootCertificate': 'Root|:|x',
        'rootCertificate@odata.bind': null,
      }),
    ],
    after: [trustedRoot(), scep(renamedSubject)],
    tenant,
    finds: [reissued(/2 devices/), revoked],
  },
  {
    name: 'two of a name are matched by nobody',
    before: [trustedRoot(), scep(), scep({ id: 'scep-2' })],
    after: [trustedRoot(), scep({ id: 'scep-8' }), scep({ id: 'scep-9' })],
    tenant,
    finds: [{ id: 'profile-added' }, { id: 'profile-added' }, { id: 'profile-removed' }, { id: 'profile-removed' }],
  },
  {
    name: 'another type',
    before: [trustedRoot(on('androidForWorkTrustedRootCertificate'))],
    after: [trustedRoot(on('androidWorkProfileTrustedRootCertificate'))],
    finds: [
      {
        id: 'type-changed',
        severity: 'warning',
        message: /androidForWorkTrustedRootCertificate .*androidWorkProfileTrustedRootCertificate/,
      },
    ],
  },
])

const grouped = `
users: [{ id: alice, upn: alice@contoso.example, userName: alice }]
groups: [{ id: one, devices: [pc-1] }, { id: two, devices: [pc-2] }, { id: all, devices: [pc-1, pc-2] }]
devices:
  - { id: pc-1, platform: windows, osVersion: "11" }
  - { id: pc-2, platform: windows, osVersion: "11" }
`
const group = (groupId: string) => ({ assignments: [{ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId } }] })

rows([
  {
    name: 'a group that is swapped',
    before: [trustedRoot(group('all')), scep(group('one'))],
    after: [trustedRoot(group('all')), scep(group('two'))],
    tenant: grouped,
    finds: [
      {
        id: 'assignment-lost',
        severity: 'warning',
        message: /^it no longer reaches 1 device \(pc-1\): the certificate leaves the device and is revoked$/,
      },
      { id: 'assignment-gained', severity: 'info', message: 'it reaches 1 device (pc-2) more' },
    ],
  },
  {
    name: 'a group that is swapped, with no tenant',
    before: [trustedRoot(group('all')), scep(group('one'))],
    after: [trustedRoot(group('all')), scep(group('two'))],
    finds: [{ id: 'assignments-changed', severity: 'warning', message: 'it is assigned no more to group "one", now to group "two"' }],
  },
  {
    name: 'a root that no longer reaches a device',
    before: [trustedRoot(group('all')), scep(group('all'))],
    after: [trustedRoot(group('one')), scep(group('all'))],
    tenant: grouped,
    finds: [
      { id: 'assignment-lost', profileId: 'root-1' },
      { id: 'edit-breaks', profileId: 'scep-1', message: /pc-2.*not deployed/ },
    ],
  },
])

t.test('what many devices have in common is told once, with a few of them by name', async (t) => {
  const devices = ['a', 'b', 'c', 'd', 'e'].map((id) => `  - { id: ${id}, platform: windows, osVersion: "11", user: ${id} }`)
  const users = ['a', 'b', 'c', 'd', 'e'].map((id) => `  - { id: ${id}, upn: ${id}@contoso.example, userName: ${id} }`)
  const many = `assign: all\nusers:\n${users.join('\n')}\ndevices:\n${devices.join('\n')}\n`
  const { before, after } = edits({ ...subject, certificateStore: 'user' })
  const found = diff(before, after, many)
  t.match(found, [{ id: 'edit-breaks', message: /5 devices \(a, b, c, 2 more\): / }])
  t.equal(found.length, 1)
})

t.test('a file that cannot be read is told', async (t) => {
  const found = diffExports(inputOf([]), inputOf(['{' as unknown as Json]))
  t.match(found, [{ id: 'file-malformed', severity: 'error' }])
})

const fleet = `
assign: all
users: [{ id: alice, upn: alice@contoso.example, userName: alice, email: alice@contoso.example }]
devices:
  - { id: pc, platform: windows, osVersion: "11", user: alice, serial: S1 }
  - { id: bare pc, platform: windows, osVersion: "11" }
  - { id: phone, platform: ios, osVersion: "17", user: alice, serial: S2 }
  - { id: old phone, platform: ios, osVersion: "9", user: alice, serial: S3 }
  - { id: mac, platform: macos, osVersion: "14", user: alice, serial: S4 }
  - { id: knox, platform: android, osVersion: "14", management: knox, user: alice, serial: S5 }
  - { id: owner, platform: android, osVersion: "14", management: deviceOwner, user: alice, serial: S6 }
`

const kinds = [
  { build: scep, type: 'windows81SCEPCertificateProfile', root: 'windows81TrustedRootCertificate' },
  { build: scep, type: 'iosScepCertificateProfile', root: 'iosTrustedRootCertificate' },
  { build: scep, type: 'macOSScepCertificateProfile', root: 'macOSTrustedRootCertificate' },
  { build: scep, type: 'androidScepCertificateProfile', root: 'androidTrustedRootCertificate' },
  { build: scep, type: 'androidDeviceOwnerScepCertificateProfile', root: 'androidDeviceOwnerTrustedRootCertificate' },
  { build: pkcs, type: 'windows10PkcsCertificateProfile', root: 'windows81TrustedRootCertificate' },
  { build: pkcs, type: 'macOSPkcsCertificateProfile', root: 'macOSTrustedRootCertificate' },
  { build: importedPfx, type: 'iosImportedPFXCertificateProfile', root: 'iosTrustedRootCertificate' },
  { build: importedPfx, type: 'windows10ImportedPFXCertificateProfile', root: 'windows81TrustedRootCertificate' },
]

const usage = (objectIdentifier: string) => ({ name: objectIdentifier, objectIdentifier })

/** What a member may be changed to; some values stand for the same, and some no device can serve. */
const values: Readonly<Record<string, readonly unknown[]>> = {
  displayName: ['Profile', 'Other'],
  renewalThresholdPercentage: [1, 20, 99],
  certificateValidityPeriodValue: [1, 2],
  certificateValidityPeriodScale: ['months', 'years'],
  subjectNameFormatString: ['CN={{DeviceId}}', 'cn={{DeviceId}}', 'CN={{SerialNumber}}', 'CN={{UserName}}', 'CN={{DeviceId}},O=Contoso'],
  customSubjectAlternativeNames: [[], [{ sanType: 'domainNameService', name: '{{DeviceId}}.example' }], null],
  extendedKeyUsages: [[usage('1.3.6.1.5.5.7.3.2')], [usage('1.3.6.1.5.5.7.3.2'), usage('1.3.6.1.5.5.7.3.4')]],
  keyUsage: ['digitalSignature', 'digitalSignature,keyEncipherment', 'keyEncipherment,digitalSignature'],
  keySize: ['size1024', 'size2048', 'size4096'],
  hashAlgorithm: ['sha2', 'sha1,sha2'],
  keyStorageProvider: ['useSoftwareKsp', 'useTpmKspOtherwiseFail', 'usePassportForWorkKspOtherwiseFail'],
  certificateStore: ['user', 'machine'],
  scepServerUrls: [['https://ndes.example/scep'], ['http://ndes.example/scep'], ['https://a.example/scep', 'https://b.example/scep']],
  certificateTemplateName: ['User', 'Mail'],
  certificationAuthority: ['ca.contoso.example', 'other.contoso.example'],
  intendedPurpose: ['vpn', 'wifi', 'smimeSigning'],
  'rootCertificate@odata.bind': [bindTo('root-1'), bindTo('root-2'), bindTo('root-3')],
}

/** A link that an export never told is taken for one that was lost on the way, so that only the newer one lacks it here. */
const edited = (member: string) => [...(values[member] as unknown[]), ...(member === 'rootCertificate@odata.bind' ? [null] : [])]

const edit = fc
  .record({
    kind: fc.constantFrom(...kinds),
    given: fc.record(mapValues((all) => fc.constantFrom(...all))),
    member: fc.constantFrom(...Object.keys(values)),
  })
  .chain(({ kind, given, member }) => fc.constantFrom(...edited(member)).map((value) => ({ kind, given, member, value })))

function documentsOf({ build, type, root }: (typeof kinds)[number], members: Json): readonly Json[] {
  const others = [
    {},
    { id: 'root-2', displayName: 'Same' },
    { id: 'root-3', displayName: 'Else', trustedRootCertificate: otherCertificate },
  ]
  return [...others.map((other) => trustedRoot({ ...on(root), ...other })), build({ ...on(type), ...members, id: 'it' })]
}

function mapValues<T>(change: (all: readonly unknown[]) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([name, all]) => [name, change(all)]))
}

const fleetTenant = inputOf([], fleet).tenant as Tenant

/** The policy of a device as its agent takes it. */
function policyOn(device: Device, imported: Import) {
  const management = managementOf(device)
  const adapter = platformAdapter(device.platform, bindings({ osVersion: osVersionOf(device), ...(management && { management }) }))
  const { intent } = assignProfiles(imported, fleetTenant)
  const document = renderPolicy(intent, fleetTenant, device.id, { revision: 1, importedRevision: (_upn, purpose) => purpose })
  return { policy: adapt(parsePolicy(Buffer.from(JSON.stringify(document)), device.id), adapter), lifecycle: adapter.lifecycle }
}

function installed({ trustedRoots, scepProfiles, pfxProfiles }: DevicePolicy): DeviceState {
  const facts = { keyUsable: true, notBefore: 0, notAfter: 1e10, renewalJitterMs: 0 }
  const none = new Map()
  return {
    roots: trustedRoots.map(({ destinationStore, fingerprint }) => ({ store: destinationStore, fingerprint })),
    identities: new Map(
      [...scepProfiles, ...pfxProfiles].map(({ id, principal, request }) => [
        identityKey(principal, id),
        { ...facts, profileId: id, principal, keyLabel: id, requested: request },
      ]),
    ),
    ...{ attempts: none, pending: none, failures: none, keyLabels: new Set(['it']), keyStorage: [], locked: false },
  }
}

/** What the planner itself has a device do that has the certificate of the old policy. */
function enrolsAgain(device: Device, before: Import, after: Import): boolean {
  const old = policyOn(device, before)
  const { policy, lifecycle } = policyOn(device, after)
  const state = installed(old.policy)
  const { actions } = planActions(policy, state, 0, lifecycle)
  return state.identities.size > 0 && actions.some(({ kind }) => kind === 'enroll' || kind === 'renew' || kind === 'import')
}

t.test('devices are said to ask again exactly where the planner has them do so', async (t) => {
  const seen = { reissued: 0, not: 0 }
  fc.assert(
    fc.property(edit, ({ kind, given, member, value }) => {
      const [before, after] = [given, { ...given, [member]: value }].map(
        (members): CheckInput => ({
          ...inputOf(documentsOf(kind, members)),
          tenant: fleetTenant,
        }),
      ) as [CheckInput, CheckInput]
      const told = diffExports(before, after).find(({ id, profileId }) => id === 'edit-reissues' && profileId === 'it')
      const names = /devices? \(([^)]*)\)/.exec(told?.message ?? '')?.[1] ?? ''
      const expected = [...fleetTenant.devices.values()].filter((device) => enrolsAgain(device, before.imported, after.imported))
      const planned = expected.map(({ id }) => id).join(', ')
      seen[planned === '' ? 'not' : 'reissued']++
      if (names !== planned) throw new Error(`said ${names}, the planner ${planned}`)
    }),
    { numRuns: 150 },
  )
  t.ok(seen.reissued > 8 && seen.not > 40, `${seen.reissued} edits that do, ${seen.not} that do not`)
})
