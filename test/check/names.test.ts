import { parsePolicy } from '@certfleet/agent-core'
import t from 'tap'
import { checkContext, checkedDevice } from '#emulator/check/context.ts'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, checked, corpus, inputOf } from './checked.ts'

interface Who {
  readonly user?: string
  readonly device?: string
  readonly platform?: string
}

function tenant({ user = 'email: ann@mail.example', device = 'user: ann', platform = 'windows, osVersion: 10.0.26100' }: Who = {}): string {
  return `assign: all
users:
  - { id: ann, upn: ann@a.example, userName: ann, ${user} }
devices:
  - { id: d1, platform: ${platform}, ${device} }
`
}

const names = (...list: [string, string][]): Json => ({ customSubjectAlternativeNames: list.map(([sanType, name]) => ({ sanType, name })) })
const subject = (subjectNameFormatString: string): Json => ({ subjectNameFormatString })
const upn: [string, string] = ['userPrincipalName', '{{UserPrincipalName}}']
const email: [string, string] = ['emailAddress', '{{EmailAddress}}']
const dns: [string, string] = ['domainNameService', '{{DeviceName}}.example']
const uri = (name: string): [string, string] => ['universalResourceIdentifier', name]
const sid = uri('{{OnPremisesSecurityIdentifier}}')
const machine: Json = { certificateStore: 'machine' }
const with10 = (members: Json = {}, ...more: Json[]) => [trustedRoot(), scep(members), ...more]

function android(type: string, members: Json = {}): readonly Json[] {
  return [
    trustedRoot({ '@odata.type': `#microsoft.graph.${type}TrustedRootCertificate` }),
    scep({ '@odata.type': `#microsoft.graph.${type}ScepCertificateProfile`, ...members }),
  ]
}

const apple = (members: Json): readonly Json[] => [
  trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
  scep({ '@odata.type': '#microsoft.graph.iosScepCertificateProfile', ...members }),
]

const unresolved = {
  id: 'variable-unresolved',
  severity: 'error',
  profileId: 'scep-1',
  device: 'd1',
  code: 'ERR_VARIABLE_UNRESOLVED',
} as const

corpus(t, [
  {
    name: 'a user without an email address',
    documents: with10({ ...subject('CN={{UserName}},E={{EmailAddress}}'), ...names(upn, email) }),
    tenant: tenant({ user: 'department: x' }),
    id: 'variable-unresolved',
    finds: [
      {
        ...unresolved,
        message: '{{EmailAddress}} cannot be resolved: user "ann" has no email',
        action: 'give the user an email address in the directory, or leave {{EmailAddress}} out',
        source: 'variables.unresolved',
        shown: /^Windows would show: /,
      },
    ],
  },
  {
    name: 'a user who has one',
    documents: with10({ ...subject('CN={{UserName}},E={{EmailAddress}}'), ...names(upn, email) }),
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [],
  },
  {
    name: 'two that lack for two reasons, each told at once',
    documents: with10(subject('CN={{EmailAddress}},OU={{Department}}')),
    tenant: tenant({ user: 'onPremSamAccountName: x' }),
    id: 'variable-unresolved',
    finds: [{ message: /EmailAddress.*no email$/ }, { message: /Department.*no department$/ }],
  },
  {
    name: 'a device without a user: all its variables for one reason',
    documents: with10({ ...subject('CN={{UserName}},OU={{DeviceId}}'), ...names(upn) }),
    tenant: tenant({ device: 'serial: x' }),
    id: 'variable-unresolved',
    finds: [
      {
        ...unresolved,
        message: '{{UserName}}, {{UserPrincipalName}} cannot be resolved: the device has no user',
        source: 'variables.userless',
      },
    ],
  },
  {
    name: 'a device without an IMEI',
    documents: with10(subject('CN={{IMEI}}')),
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [{ message: '{{IMEI}} cannot be resolved: the device has no imei', action: /without an IMEI$/, source: 'variables.unresolved' }],
  },
  {
    name: 'a PKCS profile',
    documents: [trustedRoot(), pkcs(subject('CN={{Department}}'))],
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [{ ...unresolved, profileId: 'pkcs-1', action: /^give the user a department / }],
  },
  {
    name: 'a variable that nobody knows',
    documents: with10(subject('CN={{ShoeSize}}')),
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [{ action: 'correct {{ShoeSize}}, or write the value itself', source: 'variables.device; variables.user' }],
  },
  {
    name: 'a variable of users in a certificate of devices',
    documents: with10({ ...machine, ...subject('CN={{UserName}}') }),
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [{ action: /variables of the device/, source: 'profile.certificate-type' }],
  },
  {
    name: 'a security identifier outside a URI',
    documents: with10(subject('CN={{OnPremisesSecurityIdentifier}}')),
    tenant: tenant({ user: 'sid: S-1-5-21-1' }),
    id: 'variable-unresolved',
    finds: [{ action: /^move /, source: 'subject.sid' }],
  },
  {
    name: 'a user without a security identifier',
    documents: with10(names(sid)),
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [{ message: /the user has no sid$/, action: /^synchronise the user /, source: 'subject.sid' }],
  },
  {
    name: 'a device without a security identifier',
    documents: with10({ ...machine, ...names(sid) }),
    tenant: tenant(),
    id: 'variable-unresolved',
    finds: [{ message: /the device has no sid$/, action: /^synchronise the device /, source: 'subject.sid' }],
  },
  {
    name: 'the security identifier of an Apple device',
    documents: apple({ ...machine, ...names(sid) }),
    tenant: tenant({ platform: 'ios, osVersion: 18.1', device: 'user: ann, sid: S-1-5-21-1' }),
    id: 'variable-unresolved',
    finds: [{ message: /on ios it is for certificates of users only$/, action: /profile one for users$/, source: 'subject.sid-apple' }],
  },
  {
    name: 'a work profile on Android 12 hides the serial number',
    documents: android('androidWorkProfile', subject('CN={{SerialNumber}}')),
    tenant: tenant({ platform: 'android, osVersion: 12', device: 'serial: x, user: ann' }),
    id: 'variable-unresolved',
    finds: [{ action: /DeviceId/, source: 'android.variables.work-profile' }],
  },
  {
    name: 'and on Android 11 it does not',
    documents: android('androidWorkProfile', subject('CN={{SerialNumber}}')),
    tenant: tenant({ platform: 'android, osVersion: 11', device: 'serial: x, user: ann' }),
    id: 'variable-unresolved',
    finds: [],
  },
  {
    name: 'a corporate-owned Android device takes no user name in a subject alternative name',
    documents: android('androidDeviceOwner', names(['userPrincipalName', '{{UserName}}'])),
    tenant: tenant({ platform: 'android, osVersion: 15' }),
    id: 'variable-unresolved',
    finds: [{ source: 'android.variables.device-owner' }],
  },
  {
    name: 'AOSP lacks attributes of users',
    documents: android('aospDeviceOwner', subject('CN={{OnPremisesSamAccountName}}')),
    tenant: tenant({ platform: 'android, osVersion: 13', user: 'onPremSamAccountName: ann' }),
    id: 'variable-unresolved',
    finds: [{ source: 'android.variables.aosp' }],
  },
] satisfies CorpusRow[])

const failed = { severity: 'error', device: 'd1', profileId: 'scep-1', code: 'ERR_PROFILE_INVALID' } as const

corpus(t, [
  {
    name: 'a link that the export lost',
    documents: with10({ 'rootCertificate@odata.bind': undefined }),
    tenant: tenant(),
    id: 'delivery-failed',
    finds: [{ ...failed, message: /names no Trusted profile/, action: /links\.json/, source: 'profile.root-choice' }],
  },
  {
    name: 'a profile that is none',
    documents: with10({ keySize: 'size3000' }),
    tenant: tenant(),
    id: 'delivery-failed',
    finds: [{ ...failed, message: /keySize/, action: /correct the profile/ }],
  },
  {
    name: 'a root that is none',
    documents: [trustedRoot({ trustedRootCertificate: 'AAAA' })],
    tenant: tenant(),
    id: 'delivery-failed',
    finds: [{ ...failed, profileId: 'root-1' }],
  },
  {
    name: 'a format that no variable serves',
    documents: with10({ subjectNameFormat: 'commonNameAsDurableDeviceId' }),
    tenant: tenant(),
    id: 'delivery-failed',
    finds: [{ ...failed, code: 'ERR_UNSUPPORTED', source: 'subject.formats' }],
  },
  {
    name: 'a distinguished name that is none',
    documents: with10(subject('{{OnPrem_Distinguished_Name}}')),
    tenant: tenant({ user: 'onPremDistinguishedName: Ann' }),
    id: 'delivery-failed',
    finds: [{ ...failed, message: /invalid subject name/, action: /in the directory$/, source: 'variables.user' }],
  },
  {
    name: 'an imported PFX that lacks its root too',
    documents: [importedPfx({ 'rootCertificate@odata.bind': undefined })],
    tenant: tenant({ device: 'serial: x' }),
    id: 'delivery-failed',
    finds: [{ ...failed, profileId: 'pfx-1' }],
  },
  { name: 'what is in order', documents: with10({}, pkcs(), importedPfx()), tenant: tenant(), id: 'delivery-failed', finds: [] },
  {
    name: 'an unresolved variable has a name of its own',
    documents: with10(subject('CN={{IMEI}}')),
    tenant: tenant(),
    id: 'delivery-failed',
    finds: [],
  },
] satisfies CorpusRow[])

const dn = 'onPremDistinguishedName: "CN=Doe\\\\, Jane,OU=Users,DC=a,DC=example"'

corpus(t, [
  {
    name: 'subject and alternative names, in their order',
    documents: with10({ ...subject('CN="Doe, {{UserName}}",O=Contoso'), ...names(email, upn) }),
    tenant: tenant(),
    id: 'names-sent',
    finds: [
      {
        severity: 'info',
        device: 'd1',
        profileId: 'scep-1',
        message: 'subject CN="Doe, ann",O=Contoso; email ann@mail.example; upn ann@a.example',
        source: 'variables.user',
      },
    ],
  },
  {
    name: 'the order of a distinguished name from the directory stays',
    documents: with10(subject('{{OnPrem_Distinguished_Name}},O=Contoso')),
    tenant: tenant({ user: dn }),
    id: 'names-sent',
    finds: [{ message: 'subject CN="Doe, Jane",OU=Users,DC=a,DC=example,O=Contoso' }],
  },
  {
    name: 'of devices',
    documents: with10(machine),
    tenant: tenant(),
    id: 'names-sent',
    finds: [{ message: 'subject CN=d1', source: 'variables.device' }],
  },
  {
    name: 'PKCS by the connector, and an imported PFX not at all',
    documents: [trustedRoot(), pkcs(names(upn)), importedPfx()],
    tenant: tenant(),
    id: 'names-sent',
    finds: [{ profileId: 'pkcs-1', message: 'the connector asks for subject CN=ann; upn ann@a.example' }],
  },
  { name: 'what fails sends nothing', documents: with10(subject('CN={{IMEI}}')), tenant: tenant(), id: 'names-sent', finds: [] },
  {
    name: 'PKCS that fails asks for nothing',
    documents: [trustedRoot(), pkcs(subject('CN={{IMEI}}'))],
    tenant: tenant(),
    id: 'names-sent',
    finds: [],
  },
] satisfies CorpusRow[])

function quoted(name: string, template: string, user: string, values?: RegExp): CorpusRow {
  const finds = values ? [{ severity: 'warning', device: 'd1', message: values, source: 'subject.quotes-reported; subject.escape' }] : []
  return { name, documents: with10(subject(template)), tenant: tenant({ user }), id: 'subject-quoted', finds }
}

corpus(t, [
  quoted(
    'a comma in a value',
    'CN={{Department}}',
    'department: "Doe, Jane"',
    /^it sends the subject CN="Doe, Jane", in which .* brings "Doe, Jane":/,
  ),
  quoted('no character of the grammar', 'CN={{Department}}', "department: Doe Jane (R&D) o'x"),
  ...['+', ';', '=', '"', '<', '>', '\\'].map((character) =>
    quoted(`${character} in a value`, 'CN={{Department}}', `department: 'a${character}b'`, /sends the subject CN="a/),
  ),
  quoted('# in front', 'CN={{Department}}', 'department: "#a"', /"#a"/),
  quoted('# behind', 'CN={{Department}}', 'department: "a#"'),
  quoted('a space at the end', 'CN={{Department}}', 'department: "a "', /"a "/),
  quoted('a space between two variables', 'CN={{UserName}} {{Department}}', 'department: a'),
  quoted('quotes that the template has itself', 'CN="Doe, {{UserName}}",O="a, b"', 'department: x'),
  quoted('beside quotes that the template has itself', 'CN={{Department}},O="a, b"', 'department: "x,y"', /brings "x,y":/),
  quoted(
    'a distinguished name as one value',
    'CN={{OnPrem_Distinguished_Name}}',
    'onPremDistinguishedName: "CN=Jane,DC=a"',
    /"CN=Jane,DC=a"/,
  ),
  quoted('a distinguished name as it is', '{{OnPrem_Distinguished_Name}},O="a, b"', 'onPremDistinguishedName: "CN=Jane,DC=a"'),
  quoted(
    'a comma in a distinguished name',
    '{{OnPrem_Distinguished_Name}}',
    dn,
    /sends the subject CN="Doe, Jane",OU=Users.* brings "Doe, Jane":/,
  ),
  {
    name: 'a PKCS profile has no challenge to differ from',
    documents: [trustedRoot(), pkcs(subject('CN={{Department}}'))],
    tenant: tenant({ user: 'department: "a,b"' }),
    id: 'subject-quoted',
    finds: [],
  },
])

const manyNames = (count: number) => Array.from({ length: count }, (_, i): [string, string] => ['domainNameService', `d${i}.example`])
const unwritable = { severity: 'error', device: 'd1', code: 'ERR_PROFILE_INVALID', source: 'subject.characters' } as const

corpus(t, [
  {
    name: 'subject.characters: an email address beyond ASCII',
    documents: with10(names(email)),
    tenant: tenant({ user: 'email: ännı@a.example' }),
    id: 'name-unwritable',
    finds: [{ ...unwritable, message: /^no request can be written for subject CN=d1; email ännı@a\.example: .*ASCII/ }],
  },
  {
    name: 'a UPN beyond ASCII',
    documents: with10(names(['userPrincipalName', '{{EmailAddress}}'])),
    tenant: tenant({ user: 'email: ännı@a.example' }),
    id: 'name-unwritable',
    finds: [],
  },
  {
    name: 'an email address beyond ASCII in the subject',
    documents: with10(subject('CN=x,E={{EmailAddress}}')),
    tenant: tenant({ user: 'email: ä@a.example' }),
    id: 'name-unwritable',
    finds: [unwritable],
  },
  {
    name: 'a common name beyond ASCII',
    documents: with10(subject('CN={{EmailAddress}}')),
    tenant: tenant({ user: 'email: ä@a.example' }),
    id: 'name-unwritable',
    finds: [],
  },
  {
    name: 'a DNS name beyond ASCII',
    documents: with10(names(dns)),
    tenant: tenant({ device: 'deviceName: KÜCHE' }),
    id: 'name-unwritable',
    finds: [unwritable],
  },
  {
    name: 'a serial number with a character that PrintableString lacks',
    documents: with10({ ...machine, ...subject('CN=x,SERIALNUMBER={{SerialNumber}}') }),
    tenant: tenant({ device: 'serial: A_1' }),
    id: 'name-unwritable',
    finds: [unwritable],
  },
  {
    name: 'a serial number of letters and digits',
    documents: with10({ ...machine, ...subject('CN=x,SERIALNUMBER={{SerialNumber}}') }),
    tenant: tenant({ device: 'serial: A-1' }),
    id: 'name-unwritable',
    finds: [],
  },
  ...(
    [
      ['256 alternative names', names(...manyNames(256)), []],
      ['257 alternative names', names(...manyNames(257)), [/at most 256 alternative names are taken, and these are 257$/]],

      ['an alternative name of 2,048 characters', names(uri(`urn:${'x'.repeat(2044)}`)), []],
      ['an alternative name of 2,049', names(uri(`urn:${'x'.repeat(2045)}`)), [/at most 2048 characters, this one 2049$/]],
    ] as const
  ).map(([name, members, messages]) => ({
    ...{ name, documents: with10(members), tenant: tenant(), id: 'name-unwritable' as const },
    finds: messages.map((message) => ({ ...unwritable, message })),
  })),
  {
    name: 'PKCS: the device hears only that there is none',
    documents: [trustedRoot(), pkcs(names(email))],
    tenant: tenant({ user: 'email: ä@a.example' }),
    id: 'name-unwritable',
    finds: [{ ...unwritable, code: 'ERR_PFX_UNAVAILABLE' }],
  },
] satisfies CorpusRow[])

const altName = { severity: 'warning', profileId: 'scep-1', device: undefined, source: 'android.scep.alt-name' } as const

corpus(t, [
  {
    name: 'android.scep.alt-name: none',
    documents: android('androidWorkProfile'),
    id: 'android-san-missing',
    finds: [{ ...altName, action: /UPN/ }],
  },
  {
    name: 'of a device',
    documents: android('androidDeviceOwner', machine),
    id: 'android-san-missing',
    finds: [{ ...altName, action: /DNS/ }],
  },
  { name: 'one', documents: android('androidWorkProfile', names(upn)), id: 'android-san-missing', finds: [] },
  { name: 'another system', documents: with10(), id: 'android-san-missing', finds: [] },
])

t.test('what the check says fails is what the agent is told fails', async (t) => {
  const documents = with10(subject('CN={{IMEI}}'), pkcs({ 'rootCertificate@odata.bind': undefined }), importedPfx())
  const input = inputOf(documents, tenant({ device: 'serial: x' }))
  const { context } = checkContext(input)
  const { policy } = checkedDevice(context, 'd1')
  const told = parsePolicy(Buffer.from(JSON.stringify(policy))).failedProfiles.map(({ id, code }) => `${id} ${code}`)
  const found = checked(documents, tenant({ device: 'serial: x' })).filter(
    ({ severity, device }) => severity === 'error' && device === 'd1',
  )
  t.same(found.map(({ profileId, code }) => `${profileId} ${code}`).sort(), told.sort())
  t.equal(told.length, 3)
})
