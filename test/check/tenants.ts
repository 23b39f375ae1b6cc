import type { Instant, KeyHandle } from '@certfleet/agent-core'
import { factOverrides } from '@certfleet/platforms'
import fc from 'fast-check'
import type { CheckInput } from '#emulator/check/index.ts'
import { type IntendedPurpose, type Platform, parseTenant, type Tenant } from '#emulator/tenant/index.ts'
import { type ProfileType, profileTypes } from '#emulator/tenant/profile-types.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { bindTo, imported, importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'

/** A whole tenant as chance has it, and as small as a failure leaves it. */
export interface SomeTenant extends fc.WithToStringMethod {
  readonly documents: readonly Json[]
  /** What a tenant file says. */
  readonly tenant: Json
  /** By user id; absent: not known. */
  readonly importedPfx?: Readonly<Record<string, readonly IntendedPurpose[]>>
  /** What is taken in place of facts. */
  readonly facts: Readonly<Record<string, unknown>>
}

export function inputOf(some: SomeTenant, now: Instant): CheckInput {
  return { imported: imported(...some.documents), tenant: tenantOf(some), now, overrides: factOverrides(some.facts) }
}

function tenantOf({ tenant, importedPfx }: SomeTenant): Tenant {
  const read = parseTenant(Buffer.from(JSON.stringify(tenant)), 'tenant.yaml')
  if (importedPfx === undefined) return read
  return { ...read, importedPfx: new Map(Object.entries(importedPfx).map(([user, purposes]) => [user, new Set(purposes)])) }
}

/** On both sides of every release at which a fact changes. */
const osVersions = {
  ios: ['5.9', '6.0', '10.2', '10.3', '13', '18.1'],
  macos: ['10.8', '10.9', '10.10', '10.11', '10.12', '15.1'],
  android: ['3.9', '4.0', '10', '11', '12', '15'],
  windows: ['8.0', '8.1', '6.3', '10', '10.0.19045', '10.0.26100'],
} as const satisfies Record<Platform, readonly string[]>

const managements = {
  ios: ['managed', 'unmanaged'],
  macos: ['managed'],
  android: ['knox', 'deviceAdministrator', 'workProfile', 'deviceOwner', 'aosp'],
  windows: ['managed', 'windowsPhone81', 'windows10X'],
} as const satisfies Record<Platform, readonly string[]>

/** Those that decide whether a profile gets onto a device. */
const otherFacts: readonly (readonly [string, unknown])[] = [
  ['apple.pfx-applies', 'off'],
  ['android.trust.one-kind', 'off'],
  ['key-storage.android-ignored', { setting: 'keyStorage', treatment: 'honoured' }],
  ['hash.apple-negotiated', { setting: 'hash', treatment: 'honoured' }],
  ['ios.trust.manual-before', 'by-user'],
  ['android.pfx.legacy', 'off'],
]

const userIds = ['u0', 'u1', 'u2'] as const
const purposes = ['unassigned', 'smimeEncryption', 'smimeSigning', 'vpn', 'wifi'] as const satisfies readonly IntendedPurpose[]

/** Mostly the first. */
const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...(others as [T, ...T[]])) })

/** What breaks a profile breaks it on all devices, and hides the rest. */
const rarely = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 30, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...(others as [T, ...T[]])) })

const sometimes = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq: 2 })

const known = (members: Json): Json => Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))

/** What people and inventories put into names. */
const attribute = (usual: string) =>
  mostly(
    usual,
    `${usual}, Ltd`,
    `"${usual}"`,
    `${usual}=1+2;3`,
    `é ${usual}`,
    ` ${usual}`,
    `#${usual}`,
    `a\\${usual}`,
    'x'.repeat(65),
    'x'.repeat(300),
  )

const user = (id: string): fc.Arbitrary<Json> =>
  fc
    .record({
      upn: mostly(`${id}@contoso.example`, `${id}.é@contoso.example`, `${id}+x,y@contoso.example`),
      userName: sometimes(attribute(id)),
      email: sometimes(mostly(`${id}@mail.example`, `${id}.ü@mail.example`, `${'x'.repeat(300)}@mail.example`)),
      department: sometimes(attribute('sales')),
      sid: sometimes(fc.constant('S-1-5-21-1-2-3-1104')),
      onPremSamAccountName: sometimes(attribute(id)),
      onPremUserPrincipalName: sometimes(fc.constant(`${id}@corp.example`)),
      onPremDistinguishedName: sometimes(mostly('CN=Doe\\, Jane,OU=Users,DC=contoso,DC=example', 'CN=Doe,DC=example', 'Doe')),
    })
    .map((members) => known({ id, ...members }))

const deviceOf = (platform: Platform): fc.Arbitrary<Json> =>
  fc
    .record({
      osVersion: mostly(osVersions[platform].at(-1) as string, ...osVersions[platform]),
      management: sometimes(fc.constantFrom<string>(...managements[platform])),
      hardware: platform === 'windows' ? sometimes(fc.constantFrom('tpm-2.0', 'tpm-1.2', 'no-tpm')) : fc.constant(undefined),
      userConsent: mostly(undefined, 'granted', 'refused', 'waiting'),
      user: fc.option(fc.constantFrom(...userIds), { nil: undefined, freq: 5 }),
      serial: sometimes(attribute('SERIAL1')),
      imei: sometimes(fc.constant('004401001234567')),
      meid: sometimes(fc.constant('A1000010000001')),
      wifiMac: sometimes(fc.constant('02:00:5E:00:53:01')),
      deviceName: sometimes(attribute('PC-1')),
      aadDeviceId: sometimes(fc.constant('6f1c1d1e-0001-4000-8000-000000000001')),
      fqdn: sometimes(mostly('pc-1.contoso.example', 'pc é.contoso.example', `${'x'.repeat(64)}.contoso.example`)),
      sid: sometimes(fc.constant('S-1-5-21-1-2-3-2201')),
    })
    .map((members) => known({ platform, ...members }))

const variables = [
  ...[
    'DeviceId',
    'AAD_Device_ID',
    'SerialNumber',
    'Device_Serial',
    'IMEI',
    'MEID',
    'WiFiMacAddress',
    'DeviceName',
    'FullyQualifiedDomainName',
  ],
  ...['UserName', 'UserPrincipalName', 'EmailAddress', 'OnPremisesSamAccountName', 'OnPremisesUserPrincipalName', 'Department'],
  ...['OnPremisesSecurityIdentifier', 'Nobody', 'username'],
]

const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...variables).map((name) => `{{${name}}}`) },
  { weight: 1, arbitrary: rarely('fixed', 'a{{UserName}}b{{DeviceId}}', 'ünï', '{{UserName', 'x'.repeat(70)) },
)

const subject = fc.oneof(
  { weight: 12, arbitrary: fc.constant('CN={{DeviceId}}') },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom('CN', 'E', 'OU', 'SERIALNUMBER', 'C', 'DC', '2.5.4.3'), value)
      .map(([type, text]) => `CN=x,${type}=${text}`),
  },
  { weight: 2, arbitrary: value.map((text) => `CN=${text}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      'CN',
      'CN="a,b",O=c',
      'CN=a\\,b',
      'CN=',
      '{{OnPrem_Distinguished_Name}}',
      'CN={{UserName}},{{OnPrem_Distinguished_Name}}',
      'C=Germany',
      'XYZ=1',
    ),
  },
)

const sanTypes = ['emailAddress', 'userPrincipalName', 'domainNameService', 'universalResourceIdentifier'] as const
const altNames = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ sanType: fc.constantFrom(...sanTypes), name: value }) },
    { weight: 1, arbitrary: fc.constant({ sanType: 'universalResourceIdentifier', name: '{{OnPremisesSecurityIdentifier}}' }) },
  ),
  { maxLength: 2 },
)

const formats = ['commonName', 'commonNameIncludingEmail', 'commonNameAsEmail', 'commonNameAsIMEI', 'commonNameAsSerialNumber'] as const
const otherFormats = ['commonNameAsAadDeviceId', 'commonNameAsIntuneDeviceId', 'commonNameAsDurableDeviceId'] as const

const named = {
  renewalThresholdPercentage: rarely(20, 1, 99, 0),
  certificateValidityPeriodValue: mostly(1, 2, 30),
  certificateValidityPeriodScale: mostly('years', 'days', 'months'),
  subjectNameFormat: rarely<string>('custom', ...formats, ...otherFormats),
  subjectNameFormatString: subject,
  customSubjectAlternativeNames: sometimes(altNames),
  extendedKeyUsages: fc
    .oneof(
      mostly(['1.3.6.1.5.5.7.3.2'], ['1.3.6.1.4.1.311.20.2.2'], [], ['1.2.3.4.5', '1.3.6.1.5.5.7.3.2']),
      rarely(['1.3.6.1.5.5.7.3.2'], ['nonsense']),
    )
    .map((oids) => oids.map((objectIdentifier) => ({ name: 'Usage', objectIdentifier }))),
}

const stored = {
  certificateStore: sometimes(fc.constantFrom('user', 'machine')),
  keyStorageProvider: fc.constantFrom(
    undefined,
    ...['useTpmKspOtherwiseUseSoftwareKsp', 'useTpmKspOtherwiseFail', 'usePassportForWorkKspOtherwiseFail', 'useSoftwareKsp'],
  ),
}

const scepMembers = fc.record({
  ...named,
  ...stored,
  keyUsage: fc.oneof(mostly('keyEncipherment,digitalSignature', 'digitalSignature', 'keyEncipherment'), rarely('digitalSignature', '')),
  keySize: fc.oneof(
    { weight: 30, arbitrary: mostly('size2048', 'size1024') },
    { weight: 2, arbitrary: rarely<string | undefined>('size4096', undefined, 'size3072') },
  ),
  hashAlgorithm: mostly<unknown>('sha2', 'sha1', 'sha1,sha2', undefined),
  scepServerUrls: rarely(
    ['https://ndes.example/certsrv/mscep/mscep.dll'],
    ['http://ndes.example/certsrv/mscep/mscep.dll'],
    ['https://ndes.example/scep?a=b'],
    ['https://a.example/scep', 'https://b.example/scep'],
    [],
  ),
})

const pkcsMembers = fc.record({ ...named, ...stored, certificateTemplateName: rarely('User', 'Benutzer ü') })

const pfxMembers = fc.record({ intendedPurpose: sometimes(fc.constantFrom(...purposes)), keyStorageProvider: stored.keyStorageProvider })

function membersOf({ kind }: ProfileType): fc.Arbitrary<(more: Json) => Json> {
  const builder = { scep, pkcs, 'imported-pfx': importedPfx, 'trusted-root': trustedRoot }[kind]
  const members: fc.Arbitrary<Json> = kind === 'scep' ? scepMembers : kind === 'pkcs' ? pkcsMembers : pfxMembers
  return members.map((chosen) => (more) => known(builder({ ...chosen, ...more })))
}

const at = { notBefore: 0, notAfter: 1_000_000_000_000 }
const [rootKey, otherKey] = (await Promise.all(['root', 'other'].map(testKey))) as [KeyHandle, KeyHandle]
const issuer = { subject: 'CN=Other root', key: rootKey }
const [otherRoot, intermediate, leaf, expiredRoot] = (
  await Promise.all([
    testCertificate({ ...issuer, ca: true }),
    testCertificate({ subject: 'CN=Intermediate', key: otherKey, issuer, ca: true }),
    testCertificate({ subject: 'CN=Leaf', key: otherKey, issuer }),
    testCertificate({ subject: 'CN=Expired root', key: rootKey, ca: true, ...at }),
  ])
).map((der) => Buffer.from(der).toString('base64'))

const rootMembers = fc.record({
  destinationStore: mostly(undefined, 'computerCertStoreRoot', 'computerCertStoreIntermediate', 'userCertStoreIntermediate'),
  trustedRootCertificate: fc.oneof(
    { weight: 6, arbitrary: rarely<string | undefined>(undefined, 'bm90aGluZw==') },
    { weight: 1, arbitrary: fc.constantFrom(intermediate, otherRoot, leaf, expiredRoot) },
  ),
})

const targets = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ allDevices: 'true', allUsers: 'true' }) },
  { weight: 2, arbitrary: fc.constantFrom<Json>({ allDevices: 'true' }, { allUsers: 'true' }) },
  {
    weight: 3,
    arbitrary: fc
      .record({
        groups: fc.subarray(['users', 'devices', 'both'], { minLength: 1 }),
        excludeGroups: fc.subarray(['users', 'devices']),
      })
      .map(({ groups, excludeGroups }): Json => (excludeGroups.length > 0 ? { groups, excludeGroups } : { groups })),
  },
)

interface SomeProfile {
  readonly document: Json
  readonly targets: Json | undefined
}

const assigned = fc.option(targets, { nil: undefined, freq: 20 })

/** A root of a family and certificates that want it, or think so. */
function familyOf(root: ProfileType, index: number): fc.Arbitrary<readonly SomeProfile[]> {
  const rootId = `root-${index}`
  const kinds = profileTypes.filter(({ kind, family }) => kind !== 'trusted-root' && family === root.family)
  const certificate = fc.constantFrom(...(kinds as [ProfileType, ...ProfileType[]])).chain((type) =>
    fc.record({
      type: fc.constant(type),
      build: membersOf(type),
      targets: assigned,
      name: rarely('', '"é\u2028, ', 'x'.repeat(900)),
      link: rarely<string | undefined>(rootId, undefined, 'root-0', 'nobody'),
    }),
  )
  const beside = { members: rootMembers, targets: assigned }
  return fc
    .record({ ...beside, besides: sometimes(fc.record(beside)), certificates: fc.array(certificate, { minLength: 1, maxLength: 4 }) })
    .map((made) => [
      {
        document: trustedRoot({ ...typed(root), id: rootId, displayName: `Root ${index}`, ...known(made.members) }),
        targets: made.targets,
      },
      ...(made.besides
        ? [
            {
              document: trustedRoot({
                ...typed(root),
                id: `${rootId}-beside`,
                displayName: `Beside ${index}`,
                ...known(made.besides.members),
              }),
              targets: made.besides.targets,
            },
          ]
        : []),
      ...made.certificates.map(({ type, build, targets, link, name }, i) => ({
        document: build({
          ...typed(type),
          id: `${type.kind}-${index}-${i}`,
          displayName: `${name}${type.kind} ${index} ${i}`,
          'rootCertificate@odata.bind': link && bindTo(link),
        }),
        targets,
      })),
    ])
}

const typed = ({ name }: ProfileType): Json => ({ '@odata.type': `#microsoft.graph.${name}` })

const roots = profileTypes.filter(({ kind }) => kind === 'trusted-root')
const platformOfRoot = (root: ProfileType): Platform => {
  const name = root.name.toLowerCase()
  return (['ios', 'macos', 'windows'] as const).find((platform) => name.startsWith(platform)) ?? 'android'
}
const usualRoots = roots.filter(({ name }) => /^(ios|android|windows81)Trusted/.test(name))
const rootChoice = fc.uniqueArray(fc.oneof(fc.constantFrom(...roots), fc.constantFrom(...usualRoots)), { minLength: 1, maxLength: 3 })

/** Devices of the platforms that there are profiles for. */
export function someTenant(maxDevices: number): fc.Arbitrary<SomeTenant> {
  return rootChoice.chain((chosen) => {
    const device = fc.constantFrom(...chosen.map(platformOfRoot)).chain(deviceOf)
    return fc
      .record({
        families: fc.tuple(...chosen.map(familyOf)),
        users: fc.tuple(...userIds.map(user)),
        devices: fc.array(fc.record({ device, inGroup: fc.boolean(), id: rarely('d', 'd é/"%, ') }), {
          minLength: 1,
          maxLength: maxDevices,
        }),
        usersInGroup: fc.subarray([...userIds]),
        everywhere: fc.boolean(),
        multiFactor: fc.boolean(),
        facts: rarely<readonly (readonly [string, unknown])[]>([], ...otherFacts.map((fact) => [fact])),
        pfx: sometimes(fc.record({ u0: fc.subarray([...purposes]), u2: fc.subarray([...purposes]) })),
      })
      .map((made): SomeTenant => {
        const profiles = made.families.flat()
        const devices = made.devices.map(({ device, id }, i) => ({ id: `${id}${i}`, ...device }))
        const members = devices.filter((_, i) => made.devices[i]?.inGroup).map(({ id }) => id)
        return {
          documents: profiles.map(({ document }) => document),
          tenant: {
            users: made.users,
            devices,
            groups: [
              { id: 'users', users: made.usersInGroup },
              { id: 'devices', devices: members },
              { id: 'both', users: made.usersInGroup, devices: members },
            ],
            ...(made.everywhere
              ? { assign: 'all' }
              : { assignments: profiles.flatMap(({ document, targets }) => (targets ? [{ profile: document.id, ...targets }] : [])) }),
            ...(made.multiFactor && {
              multiFactor: profiles.flatMap(({ document }) => (isPassport(document) ? [document.id] : [])),
            }),
          },
          ...(made.pfx && { importedPfx: made.pfx }),
          facts: Object.fromEntries(made.facts),
          [fc.toStringMethod]() {
            return JSON.stringify(this, withoutCertificates)
          },
        }
      })
  })
}

/** They are long, and few. */
function withoutCertificates(member: string, value: unknown): unknown {
  return member === 'trustedRootCertificate' ? `…${String(value).slice(-16)}` : value
}

const isPassport = ({ keyStorageProvider, scepServerUrls }: Json): boolean =>
  keyStorageProvider === 'usePassportForWorkKspOtherwiseFail' && scepServerUrls !== undefined
