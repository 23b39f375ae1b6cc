import { facts, sources } from '@certfleet/platforms'
import t from 'tap'
import { checkContext, type Explanation, explain, explanationText } from '#emulator/check/index.ts'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { inputOf } from './checked.ts'

const users = 'users: [{ id: u, upn: u@contoso.example, userName: uma, email: u@contoso.example }]'
const everyone = (...devices: string[]) =>
  `assign: all\n${users}\ndevices: [${devices.map((device) => `{ id: d, user: u, ${device} }`).join(', ')}]\n`
const [windows, ios, macos, android] = [
  'platform: windows, osVersion: 10.0.26100',
  'platform: ios, osVersion: 18.1',
  'platform: macos, osVersion: 15.1',
  'platform: android, osVersion: 15, management: workProfile',
] as const

const rootOf = (prefix: string, members: Json = {}) =>
  trustedRoot({ '@odata.type': `#microsoft.graph.${prefix}TrustedRootCertificate`, ...members })
const scepOf = (prefix: string, members: Json = {}) =>
  scep({ '@odata.type': `#microsoft.graph.${prefix}${prefix === 'windows81' ? 'SCEP' : 'Scep'}CertificateProfile`, ...members })

function explained(documents: readonly Json[], tenant: string, profile = 'Scep'): Explanation {
  return explain(checkContext(inputOf(documents, tenant)).context, profile, 'd')
}

/** `x root: …`, one a step. */
const lines = (explanation: Explanation): string => explanationText(explanation)
const knownSources = new Set([...facts.map(({ id }) => id), ...Object.keys(sources)])

interface Row {
  readonly name: string
  readonly documents: readonly Json[]
  readonly tenant: string
  readonly profile?: string
  readonly says: readonly RegExp[]
  readonly never?: readonly RegExp[]
  /** The title of the last step but for what is shown. Absent: the way goes to its end. */
  readonly stops?: string
}

const rows: readonly Row[] = [
  {
    name: 'SCEP on Windows',
    documents: [rootOf('windows81'), scepOf('windows81', { subjectNameFormatString: 'CN={{UserName}}', hashAlgorithm: 'sha2' })],
    tenant: everyone(windows),
    says: [
      /\+ assigned: to the device through all devices, to its user through all users, for a certificate of the user/,
      /\+ applies: to Windows 10\.0\.26100.*\[windows\.applies\]/,
      /\+ setting: hash sha256: honoured\..*\[hash\.honoured\]/,
      /\+ variable: \{\{UserName\}\} in the subject is "uma"/,
      /\+ root: "Root" is assigned to the device and the user too/,
      /\+ key storage: made in software: the profile asks for no other place/,
      /\+ subject: CN=uma\n/,
      /\+ alternative names: none/,
      /\+ request: RSA-2048, signed with sha256, key usage digitalSignature and keyEncipherment, extended key usage client authentication/,
      /- exchange: GetCACaps before GetCACert with message=default at https:\/\/ndes\.example\/certsrv\/mscep\/mscep\.dll\/pkiclient\.exe/,
      /- renewal: issued today it ends on 2027-11-23 .* due from 2027-09-11 on \(20 %\), spread over 7 days/,
      /- renewal: the device begins/,
      /- removal: unassigned; retired; wiped; unenrolled by the user: removed, revoked \[removal\.scep\]/,
      /- shown: if no certificate is issued, the agent reports ERR_ENROLLMENT_REJECTED; Windows would show/,
    ],
    never: [/\n {2}x (?!stops)/],
  },
  {
    name: 'SCEP on iOS',
    documents: [rootOf('ios'), scepOf('ios', { renewalThresholdPercentage: 50 })],
    tenant: everyone(ios),
    says: [
      /~ setting: extended key usage client authentication: ignored\./,
      /~ setting: lifetime of 1 year: ignored\./,
      /no extended key usage/,
      /which it decides alone\), and is due from 2027-05-24 on \(50 %\)/,
      /- renewal: the service begins, at a check-in .*; a device that is locked then waits \[apple\.renewal\.unlocked\]/,
      /no other is asked for until the profile was taken away/,
    ],
    never: [/setting: key storage/],
  },
  {
    name: 'SCEP on macOS',
    documents: [rootOf('macOS'), scepOf('macOS', { hashAlgorithm: 'sha2' })],
    tenant: everyone(macos),
    says: [/~ setting: hash sha256: not offered\./, /- removal: wiped; .*stays on the device, not revoked.*macos\.removal\.wipe/],
  },
  {
    name: 'SCEP on Android',
    documents: [
      rootOf('androidWorkProfile'),
      scepOf('androidWorkProfile', { scepServerUrls: ['https://a.example/', 'https://b.example/'] }),
    ],
    tenant: everyone(android),
    says: [/\+ setting: 2 SCEP URLs: honoured\./, /of 2 URLs in any order/, /- removal: unassigned; retired: stays on the device, revoked/],
  },
  {
    name: 'a member that the type lacks',
    documents: [rootOf('androidWorkProfile'), scepOf('androidWorkProfile', { keyStorageProvider: 'useTpmKspOtherwiseFail' })],
    tenant: everyone(android),
    says: [
      /~ setting: keyStorageProvider useTpmKspOtherwiseFail: ignored\./,
      /\+ key storage: made in software: a profile cannot choose on this OS/,
    ],
  },
  {
    name: 'PKCS on Windows',
    documents: [trustedRoot(), pkcs({ keyStorageProvider: 'useTpmKspOtherwiseUseSoftwareKsp' })],
    tenant: everyone(`${windows}, hardware: no-tpm`),
    profile: 'Pkcs',
    says: [
      /\+ key storage: imported into software: the profile prefers a TPM, and the device has none/,
      /- request: none: the connector makes key and certificate/,
      /- service: the connector asks ca\.contoso\.example\\Contoso CA by the template "User"/,
      /- renewal: the device fetches another then/,
      /- removal: unassigned: removed, not revoked \[removal\.pkcs-unassigned\]/,
    ],
    never: [/exchange/],
  },
  {
    name: 'an imported PFX on Windows',
    documents: [trustedRoot(), importedPfx()],
    tenant: everyone(windows),
    profile: 'pfx-1',
    says: [
      /- imported: whether a PFX for smimeSigning of "u@contoso\.example" was imported is not known/,
      /- renewal: fetched again once 20 %/,
    ],
  },
  {
    name: 'an imported PFX without a user',
    documents: [trustedRoot(), importedPfx()],
    tenant: `assign: all\ndevices: [{ id: d, ${windows} }]\n`,
    profile: 'Pfx',
    stops: 'delivery',
    says: [/x delivery: device "d" has no user/, /- shown: the agent reports ERR_PROFILE_INVALID/],
  },
  {
    name: 'a root on Windows',
    documents: [trustedRoot(), scep()],
    tenant: everyone(windows),
    profile: 'Root',
    says: [/\+ store: its certificate goes to the computer's roots/, /- needed by: "Scep"/, /- removal: .*retired.*: removed \[/],
    never: [/request|renewal/],
  },
  {
    name: 'a root that the user has to install',
    documents: [rootOf('android')],
    tenant: everyone('platform: android, osVersion: 12, management: deviceAdministrator'),
    profile: 'Root',
    says: [/- user: installs the root by hand/],
  },
  {
    name: 'a root that the user refuses',
    documents: [rootOf('android')],
    tenant: everyone('platform: android, osVersion: 10, management: deviceAdministrator, userConsent: refused'),
    profile: 'Root',
    stops: 'user',
    says: [/x user: confirms that the root is installed\. .* its user refuses/],
  },
  {
    name: 'another platform',
    documents: [rootOf('ios'), scepOf('ios')],
    tenant: everyone(windows),
    stops: 'assigned',
    says: [/x assigned: the profile is for ios, and the device is of windows/],
    never: [/setting|variable|removal/],
  },
  {
    name: 'another management',
    documents: [rootOf('androidWorkProfile'), scepOf('androidWorkProfile')],
    tenant: everyone('platform: android, osVersion: 15, management: deviceOwner'),
    stops: 'assigned',
    says: [
      /x assigned: androidWorkProfileScepCertificateProfile is for devices managed as workProfile, and the device is managed as deviceOwner/,
    ],
  },
  {
    name: 'an excluded group',
    documents: [trustedRoot(), scep()],
    tenant: `${users}\ndevices: [{ id: d, user: u, ${windows} }]\ngroups: [{ id: g, name: Pilot, users: [u] }, { id: h, name: Late, devices: [d] }]
assignments: [{ profile: Scep, groups: [Pilot], excludeGroups: [Late] }]\n`,
    stops: 'assigned',
    says: [/x assigned: the group "Late" excludes the device/, /\+ setting: key of 2048 bits: honoured/],
    never: [/variable|removal/],
  },
  {
    name: 'a group without the device',
    documents: [trustedRoot(), scep()],
    tenant: `${users}\ndevices: [{ id: d, user: u, ${windows} }]\ngroups: [{ id: g, name: Pilot, users: [] }]\nassignments: [{ profile: Scep, groups: [Pilot] }]\n`,
    stops: 'assigned',
    says: [/x assigned: the group "Pilot": neither the device nor its user "u" is among them/],
  },
  {
    name: 'a profile that nobody is given',
    documents: [trustedRoot(), scep()],
    tenant: `${users}\ndevices: [{ id: d, user: u, ${windows} }]\ngroups: [{ id: g, name: Pilot, users: [u] }]\nassignments: [{ profile: Root, groups: [Pilot] }]\n`,
    stops: 'assigned',
    says: [/x assigned: nobody: the profile has no assignment/],
  },
  {
    name: 'an OS that is too old',
    documents: [trustedRoot(), scep()],
    tenant: everyone('platform: windows, osVersion: 8'),
    stops: 'applies',
    says: [/x applies: not to Windows 8, and no error is shown: .*\[windows\.applies\]/],
  },
  {
    name: 'variables that nobody can fill',
    documents: [trustedRoot(), scep({ subjectNameFormatString: 'CN={{Device_Serial}},OU={{MEID}},E={{EmailAddress}}' })],
    tenant: everyone(windows),
    stops: 'variable',
    says: [
      /x variable: in the subject: \{\{Device_Serial\}\} cannot be resolved: device "d" has no serial/,
      /x variable: in the subject: \{\{MEID\}\} cannot/,
      /\+ variable: \{\{EmailAddress\}\} in the subject is "u@contoso\.example"/,
      /- shown: the agent reports ERR_VARIABLE_UNRESOLVED; Windows would show/,
    ],
    never: [/\n {2}. root/],
  },
  {
    name: 'no root to name',
    documents: [scep({ 'rootCertificate@odata.bind': undefined })],
    tenant: everyone(windows),
    stops: 'delivery',
    says: [/x delivery: .*\n.*the agent reports ERR_PROFILE_INVALID/],
  },
  {
    name: 'a profile that is not valid',
    documents: [trustedRoot(), scep({ keySize: 'size512' })],
    tenant: everyone(windows),
    stops: 'delivery',
    says: [/x delivery: keySize: /],
  },
  {
    name: 'a root for somebody else',
    documents: [trustedRoot(), scep()],
    tenant: `${users}\ndevices: [{ id: d, user: u, ${windows} }]\nassignments: [{ profile: Root, allDevices: true }, { profile: Scep, allUsers: true }]\n`,
    stops: 'root',
    says: [
      /x root: "Root" is assigned to the device, and the certificate to the user; assign both alike/,
      /ERR_ROOT_NOT_DEPLOYED; Windows/,
    ],
  },
  {
    name: 'a root that stays away',
    documents: [trustedRoot(), scep()],
    tenant: `${users}\ndevices: [{ id: d, user: u, ${windows} }]\nassignments: [{ profile: Scep, allUsers: true }]\n`,
    stops: 'root',
    says: [/x root: "Root" does not reach the device; assign both alike/],
  },
  {
    name: 'a URL that Android refuses',
    documents: [rootOf('androidWorkProfile'), scepOf('androidWorkProfile', { scepServerUrls: ['http://ndes.example/'] })],
    tenant: everyone(android),
    stops: 'refused',
    says: [/x refused: android asks SCEP servers over https only.*\[android\.scep\.https-only\]/, /ERR_UNSUPPORTED/],
  },
  {
    name: 'a TPM that is demanded and missing',
    documents: [trustedRoot(), scep({ keyStorageProvider: 'useTpmKspOtherwiseFail' })],
    tenant: everyone(`${windows}, hardware: no-tpm`),
    stops: 'key storage',
    says: [/x key storage: useTpmKspOtherwiseFail cannot be satisfied: the device has no TPM/, /ERR_KEY_STORAGE_UNAVAILABLE/],
  },
  {
    name: 'a TPM that nothing is said of',
    documents: [trustedRoot(), scep({ keyStorageProvider: 'useTpmKspOtherwiseFail' })],
    tenant: everyone(windows),
    says: [/\+ key storage: made in the TPM: .*; nothing is said of its hardware, and a TPM 2\.0 is taken/],
  },
]

for (const { name, documents, tenant, profile, says, never = [], stops } of rows) {
  t.test(name, async (t) => {
    const explanation = explained(documents, tenant, profile)
    const text = lines(explanation)
    for (const pattern of says) t.match(text, pattern)
    for (const pattern of never) t.notMatch(text, pattern)
    const ends = explanation.steps.filter(({ outcome }) => outcome === 'stops').at(-1)
    t.equal(ends?.title, stops, 'where it ends')
    const cited = explanation.steps.flatMap(({ source }) => source?.split('; ') ?? [])
    for (const source of cited) t.ok(knownSources.has(source) || knownSources.has(source.split(' ')[0] as string), `${source} is known`)
  })
}

t.test('a CA of which more is known bounds the lifetime', async (t) => {
  const input = inputOf([trustedRoot(), scep()], everyone(windows))
  const { context } = checkContext(input)
  const scepUrls = ['https://ndes.example/certsrv/mscep/mscep.dll']
  const known = (facts: object) =>
    ({ ...context, tenant: { ...context.tenant, authorities: [{ scepUrls, path: 'authorities[0]', ...facts }] } }) as typeof context
  const textWith = (facts: object) => explanationText(explain(known(facts), 'Scep', 'd'))
  t.match(textWith({ validity: { value: 6, scale: 'months' } }), /ends on 2027-05-23 \(the longest that the template gives\)/)
  t.match(textWith({ validity: { value: 2, scale: 'years' } }), /ends on 2027-11-23 \(the lifetime that the profile asks for\)/)
  t.match(textWith({ expiresAt: input.now + 86_400_000 }), /ends on 2026-11-24 \(the CA's own end\)/)
  t.match(textWith({ expiresAt: input.now }), /x issuance: nothing good can be issued any more/)
  t.match(textWith({ extendedKeyUsages: [] }), /- CA: its template gives no extended key usage/)
})

t.test('what was imported is told where it is known', async (t) => {
  const { context } = checkContext(inputOf([trustedRoot(), importedPfx()], everyone(windows)))
  const textWith = (purposes: string[]) => {
    const tenant = { ...context.tenant, importedPfx: new Map([['u', new Set(purposes)]]) } as typeof context.tenant
    return explanationText(explain({ ...context, tenant }, 'Pfx', 'd'))
  }
  t.match(textWith(['smimeSigning']), /\+ imported: a PFX for smimeSigning .* was imported/)
  t.match(textWith(['wifi']), /x imported: no PFX for smimeSigning .*\n.*ERR_PROFILE_INVALID/)
})

t.test('a profile is named by id or by a name of its own', async (t) => {
  const { context } = checkContext(inputOf([trustedRoot(), scep(), scep({ id: 'scep-2' })], everyone(windows)))
  t.equal(explain(context, 'scep-2', 'd').profileId, 'scep-2')
  t.throws(() => explain(context, 'Scep', 'd'), { code: 'ERR_PROFILE_INVALID', message: /2 profiles are named "Scep"/ })
  t.throws(() => explain(context, 'Nothing', 'd'), { code: 'ERR_PROFILE_INVALID', message: /no profile has the id or name/ })
  t.throws(() => explain(context, 'Root', 'e'), { code: 'ERR_PROFILE_INVALID', message: /no device has the id "e"/ })
  const alone = checkContext(inputOf([trustedRoot()])).context
  t.throws(() => explain(alone, 'Root', 'd'), { code: 'ERR_PROFILE_INVALID', message: /without a tenant/ })
})
