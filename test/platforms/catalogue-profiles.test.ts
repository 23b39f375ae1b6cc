import { reconcile } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { applicabilityFacts, profileFacts, says, variableFacts, windowsFacts } from '@certfleet/platforms'
import t from 'tap'
import { assignProfiles, type Device, renderPolicy, type Tenant, type User } from '#emulator/tenant/index.ts'
import { hasMember } from '#emulator/tenant/profile-members.ts'
import { type ProfileType, profileTypeOf } from '#emulator/tenant/profile-types.ts'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { request } from '../plan/samples.ts'
import { signal, start, world } from '../reconcile/world.ts'
import { imported, importedPfx, type Json, pkcs, scep, scepOf, told, trustedRoot } from '../tenant/graph.ts'

const ann = { id: 'ann', upn: 'ann@a.example', userName: 'ann', email: 'ann@mail.example', sid: 'S-1-5-1' } as User
const laptop = { id: 'd1', platform: 'windows', osVersion: '10.0.26100', user: 'ann', sid: 'S-1-5-2' } as Device

function tenantOf(device: Partial<Device> = {}, user: Partial<User> = {}, assign: Tenant['assign'] = 'all'): Tenant {
  const users = new Map([['ann', { ...ann, ...user }]])
  const devices = new Map([['d1', { ...laptop, ...device }]])
  return { file: 'tenant', users, devices, groups: new Map(), assignments: [], assign } as Tenant
}

function render(documents: readonly Json[], tenant = tenantOf()) {
  const { intent } = assignProfiles(imported(...documents), tenant)
  return renderPolicy(intent, tenant, 'd1', { revision: 1 })
}

t.test('profile.types: systems take no other kinds of profile', async (t) => {
  const taken = new Set(applicabilityFacts.flatMap(({ value }) => value))
  t.same([...taken].sort(), [...profileFacts.types.value].sort())
  const kinds = imported(trustedRoot(), scep(), pkcs(), importedPfx()).profiles.map(({ kind }) => kind)
  t.same(kinds, ['trusted-root', 'scep', 'pkcs', 'imported-pfx'], 'PFX comes in two sorts')
})

t.test('profile.link-delivers-nothing: a root that is named and not assigned does not come along', async (t) => {
  const assignments = [{ target: { '@odata.type': '#microsoft.graph.allDevicesAssignmentTarget' } }]
  const { trustedRoots, scepProfiles } = render([trustedRoot(), scep({ assignments })], tenantOf({}, {}, 'declared' as Tenant['assign']))
  t.same(trustedRoots, [])
  t.match(scepProfiles, [{ id: 'scep-1', rootProfileId: 'root-1' }])
})

t.test('scep-profile.key-maker: the key is made on the device, and is the key of the certificate', async (t) => {
  const device = await world({ pool: await makeKeyPool(1), authority: await labStore(new FakeClock(start)) })
  await reconcile(device.device(), signal)
  const [identity] = await device.identities.list()
  const [label = ''] = await device.keys.list()
  const { publicKey } = parseCertificate(identity?.chain[0] ?? new Uint8Array())
  const made = await device.keys.open(label)
  t.strictSame(Buffer.from(publicKey), Buffer.from(made?.publicKey ?? []))
})

const lifetimes: readonly (readonly [factId: string, value: number, scale: string, told: readonly string[]])[] = [
  ['validity.most-months', 24, 'months', []],
  ['validity.most-months', 25, 'months', ['warning validity-long 1.json certificateValidityPeriodValue']],
  ['validity.most-months', 2, 'years', []],
  ['validity.most-months', 3, 'years', ['warning validity-long 1.json certificateValidityPeriodValue']],
  ['validity.most-months', 731, 'days', []],
  ['validity.most-months', 800, 'days', ['warning validity-long 1.json certificateValidityPeriodValue']],
  ['validity.least-days', 5, 'days', []],
  ['validity.least-days', 4, 'days', ['warning validity-short 1.json certificateValidityPeriodValue']],
  ['validity.least-days', 1, 'months', []],
]

for (const [factId, value, scale, expected] of lifetimes) {
  t.test(`${factId}: ${value} ${scale}`, async (t) => {
    const lifetime = { certificateValidityPeriodValue: value, certificateValidityPeriodScale: scale }
    t.same(told(imported(trustedRoot(), scep(lifetime))), expected)
    t.same(told(imported(trustedRoot(), pkcs(lifetime))), expected, 'of a PKCS profile too')
  })
}

t.test('profile.edits: all that is asked for, and nothing else of a profile', async (t) => {
  t.same([...profileFacts.editedMembers.value].sort(), Object.keys(request).sort())
})

t.test('subject.formats: both are rendered, and one names the address', async (t) => {
  const [plain, withEmail] = profileFacts.subjectFormats.value.map((subjectNameFormat) => {
    const { scepProfiles } = render([trustedRoot(), scep({ subjectNameFormat })])
    return scepProfiles[0]?.subject
  })
  t.equal(plain, 'CN=ann')
  t.equal(withEmail, 'CN=ann,E=ann@mail.example')
})

t.test('subject.escape, subject.alt-name-characters: each character, and no other', async (t) => {
  const escaped = (character: string) => told(imported(trustedRoot(), scep({ subjectNameFormatString: `CN=a\\${character}b` })))
  for (const character of profileFacts.subjectEscape.value) t.match(escaped(character), [/subject-escape/], character)
  t.same(profileFacts.subjectEscape.value, '+,;=')
  const name = (character: string): Json => ({ customSubjectAlternativeNames: [{ sanType: 'domainNameService', name: `a${character}b` }] })
  for (const character of '{}|;') t.match(told(imported(trustedRoot(), scep(name(character)))), [/san-character/], character)
  for (const character of 'az,=+') t.same(told(imported(trustedRoot(), scep(name(character)))), [], character)
})

t.test('subject.alt-name-types: one for each kind that a profile can name', async (t) => {
  const kinds = ['emailAddress', 'userPrincipalName', 'domainNameService', 'universalResourceIdentifier']
  const names = kinds.map((sanType) => ({ sanType, name: 'a' }))
  const { subjectAltNames } = scepOf(imported(trustedRoot(), scep({ customSubjectAlternativeNames: names })))
  t.same(
    subjectAltNames.map(({ type }) => type),
    profileFacts.altNameTypes.value,
  )
})

t.test('pfx-profile.authority, pfx-profile.without: what a PKCS profile has, and what it has not', async (t) => {
  for (const member of profileFacts.pfxAuthority.value) t.same(told(imported(trustedRoot(), pkcs({ [member]: 'ca.example' }))), [], member)
  for (const member of profileFacts.pfxWithout.value) {
    t.same(told(imported(trustedRoot(), pkcs({ [member]: null }))), [`info member-unknown 1.json ${member}`], member)
    t.same(
      told(imported(trustedRoot(), scep({ [member]: undefined }))).filter((line) => line.includes('member-unknown')),
      [],
      member,
    )
    t.ok(hasMember(profileTypeOf('windows81SCEPCertificateProfile') as ProfileType, member), `${member}, which a SCEP profile has`)
  }
})

t.test('profile.most-elements: 500 extended key usages, and 500 names', async (t) => {
  const purposes = (length: number) => ({ extendedKeyUsages: Array.from({ length }, (_, i) => ({ objectIdentifier: `1.2.${i}` })) })
  const name = { sanType: 'domainNameService', name: 'a.example' }
  const names = (length: number) => ({ customSubjectAlternativeNames: Array.from({ length }, () => name) })
  for (const members of [purposes, names]) {
    t.equal(imported(trustedRoot(), scep(members(500))).profiles[1]?.kind, 'scep')
    t.equal(imported(trustedRoot(), scep(members(501))).profiles[1]?.kind, 'invalid')
  }
})

t.test('android.hash.sha1: SHA-1 alone is told, and SHA-256 is used', async (t) => {
  const android = (kind: string) => ({ '@odata.type': `#microsoft.graph.android${kind}` })
  const result = imported(
    trustedRoot(android('TrustedRootCertificate')),
    scep({ ...android('ScepCertificateProfile'), hashAlgorithm: 'sha1' }),
  )
  t.equal(scepOf(result).hash, profileFacts.sha1Raised.value)
  t.same(told(result), ['warning hash-outdated 1.json hashAlgorithm'])
})

t.test('windows.key-storage.options: these, and no other', async (t) => {
  for (const option of windowsFacts.keyStorageOptions.value) {
    t.equal(scepOf(imported(trustedRoot(), scep({ keyStorageProvider: option }))).keyStorage, option)
  }
  t.equal(imported(trustedRoot(), scep({ keyStorageProvider: 'useSmartCard' })).profiles[1]?.kind, 'invalid')
})

/** One attribute of its own for each, so that no variable can stand for another. */
const attributes: Record<string, string> = {
  ...{ AAD_Device_ID: 'aadDeviceId', AzureADDeviceId: 'aadDeviceId', DeviceId: 'id', Device_Serial: 'serial', SerialNumber: 'serial' },
  ...{ Device_IMEI: 'imei', IMEINumber: 'imei', IMEI: 'imei', WiFiMacAddress: 'wifiMac', DeviceName: 'deviceName', MEID: 'meid' },
  ...{ FullyQualifiedDomainName: 'fqdn', UserName: 'userName', UserPrincipalName: 'upn', EmailAddress: 'email' },
  ...{ OnPremisesSamAccountName: 'onPremSamAccountName', OnPrem_Distinguished_Name: 'onPremDistinguishedName' },
}

for (const [factId, variables] of [
  ['variables.device', variableFacts.device.value],
  ['variables.user', variableFacts.user.value],
] as const) {
  t.test(`${factId}: each variable stands for its attribute`, async (t) => {
    for (const variable of variables) {
      const attribute = attributes[variable] as string
      const isName = variable === 'OnPrem_Distinguished_Name'
      const value = { [attribute]: isName ? 'CN=its value' : 'd1' }
      const tenant = tenantOf(factId === 'variables.device' ? value : {}, factId === 'variables.user' ? value : {})
      const subjectNameFormatString = isName ? `{{${variable}}}` : `CN={{${variable}}}`
      const { scepProfiles } = render([trustedRoot(), scep({ subjectNameFormatString })], tenant)
      t.equal(scepProfiles[0]?.subject, `CN=${isName ? 'its value' : 'd1'}`, variable)
    }
  })
}

const sid: Json = { customSubjectAlternativeNames: [{ sanType: 'universalResourceIdentifier', name: '{{OnPremisesSecurityIdentifier}}' }] }

const mappings: readonly (readonly [factId: string, platform: 'ios' | 'macOS' | 'windows81', store: string, sid: string | RegExp])[] = [
  ['subject.sid', 'windows81', 'user', 'S-1-5-1'],
  ['subject.sid', 'windows81', 'machine', 'S-1-5-2'],
  ['subject.sid', 'ios', 'user', 'S-1-5-1'],
  ['subject.sid-apple', 'ios', 'machine', /on ios it is for certificates of users only/],
  ['subject.sid-apple', 'macOS', 'machine', /on macos it is for certificates of users only/],
]

for (const [factId, platform, certificateStore, expected] of mappings) {
  t.test(`${factId}: ${platform}, of the ${certificateStore}`, async (t) => {
    const type = (kind: string) => `#microsoft.graph.${platform}${kind}`
    const scepType = type(platform === 'windows81' ? 'SCEPCertificateProfile' : 'ScepCertificateProfile')
    const documents = [
      trustedRoot({ '@odata.type': type('TrustedRootCertificate') }),
      scep({ '@odata.type': scepType, certificateStore, ...sid }),
    ]
    const os = { ios: 'ios', macOS: 'macos', windows81: 'windows' } as const
    const { scepProfiles, failedProfiles } = render(
      documents,
      tenantOf({ platform: os[platform], osVersion: platform === 'windows81' ? '10' : '17' }),
    )
    if (expected instanceof RegExp) return void t.match(failedProfiles, [{ code: 'ERR_VARIABLE_UNRESOLVED', message: expected }])
    t.same(scepProfiles[0]?.subjectAltNames, [{ type: 'uri', value: `${says(profileFacts.strongMapping, {})}${expected}` }])
  })
}
