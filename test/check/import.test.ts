import t from 'tap'
import { type Import, importGraph } from '#emulator/tenant/index.ts'
import { bindTo, file, imported, type Json, profileOf, rootCertificate, scepOf, told } from '../tenant/graph.ts'

/** What every deviceConfiguration answers with, set and unset. */
const deviceConfiguration: Json = {
  lastModifiedDateTime: '2026-01-01T00:00:00.1234567Z',
  roleScopeTagIds: ['0'],
  supportsScopeTags: true,
  deviceManagementApplicabilityRuleOsEdition: null,
  deviceManagementApplicabilityRuleOsVersion: null,
  deviceManagementApplicabilityRuleDeviceMode: null,
  createdDateTime: '2026-01-01T00:00:00-08:00',
  description: null,
  version: 1,
}
const { supportsScopeTags: _tags, createdDateTime: _created, ...shared } = deviceConfiguration
const resourceAccess: Json = { ...shared, creationDateTime: null, roleScopeTagIds: null }

const lifetime: Json = { renewalThresholdPercentage: 20, certificateValidityPeriodValue: 1, certificateValidityPeriodScale: 'years' }
const names: Json = { subjectNameFormat: 'custom', subjectAlternativeNameType: 'emailAddress,userPrincipalName' }
const usages: Json = { extendedKeyUsages: [{ name: 'Client Authentication', objectIdentifier: '1.3.6.1.5.5.7.3.2' }] }
const subject: Json = { subjectNameFormatString: 'CN={{UserName}},E={{EmailAddress}}' }
const store: Json = {
  certificateStore: 'user',
  customSubjectAlternativeNames: [
    { sanType: 'emailAddress', name: '{{EmailAddress}}' },
    { sanType: 'emailAddress', name: '{{UserPrincipalName}}' },
  ],
}
const hash: Json = { hashAlgorithm: 'sha2,sha1' }
const ksp: Json = { keyStorageProvider: 'useTpmKspOtherwiseUseSoftwareKsp' }
const channel: Json = { deploymentChannel: 'userChannel' }
const mac: Json = { ...channel, allowAllAppsAccess: true }
const access: Json = { certificateAccessType: 'specificApps', silentCertificateAccessDetails: [{ packageId: 'com.contoso.app' }] }
const request: Json = { ...lifetime, ...subject, keyUsage: 'digitalSignature,keyEncipherment', keySize: 'size2048' }
const server: Json = { scepServerUrls: ['https://ndes.contoso.example/certsrv/mscep/mscep.dll'], subjectAlternativeNameFormatString: null }
const scep: Json = { ...request, ...server, ...names, ...usages }
const template: Json = {
  certificationAuthority: 'ca.contoso.example',
  certificationAuthorityName: 'Contoso CA',
  certificateTemplateName: 'User',
  subjectAlternativeNameFormatString: null,
}
const pkcs: Json = { ...lifetime, ...names, ...template }
const base: Json = { ...lifetime, ...names, ...usages }
const authority: Json = { certificationAuthorityType: 'digiCert' }
const purpose: Json = { intendedPurpose: 'smimeEncryption' }
const root: Json = { trustedRootCertificate: rootCertificate, certFileName: 'root.cer' }
const inStore: Json = { destinationStore: 'computerCertStoreIntermediate' }

/** All 36 concrete types, each with every member that the schema gives it. */
const types: readonly (readonly [string, ...Json[]])[] = [
  ['androidDeviceOwnerTrustedRootCertificate', root],
  ['androidForWorkTrustedRootCertificate', root],
  ['androidTrustedRootCertificate', root],
  ['androidWorkProfileTrustedRootCertificate', root],
  ['aospDeviceOwnerTrustedRootCertificate', root],
  ['iosTrustedRootCertificate', root],
  ['macOSTrustedRootCertificate', root, channel],
  ['windows10XTrustedRootCertificate', root, inStore],
  ['windows81TrustedRootCertificate', root, inStore],
  ['windowsPhone81TrustedRootCertificate', root],
  ['androidDeviceOwnerScepCertificateProfile', scep, store, hash, access],
  ['androidForWorkScepCertificateProfile', scep, store, hash],
  ['androidScepCertificateProfile', scep, hash],
  ['androidWorkProfileScepCertificateProfile', scep, store, hash],
  ['aospDeviceOwnerScepCertificateProfile', scep, store, hash],
  ['iosScepCertificateProfile', scep, store],
  ['macOSScepCertificateProfile', scep, store, hash, mac],
  [
    'windows10XSCEPCertificateProfile',
    { ...request, ...usages, ...ksp, certificateStore: 'machine', hashAlgorithm: ['sha1', 'sha2'], rootCertificateId: 'root-of-family' },
    { scepServerUrls: server.scepServerUrls, subjectAlternativeNameFormats: [{ sanType: 'emailAddress', name: '{{EmailAddress}}' }] },
  ],
  ['windows81SCEPCertificateProfile', scep, store, hash, ksp],
  ['windowsPhone81SCEPCertificateProfile', scep, hash, ksp],
  ['androidDeviceOwnerPkcsCertificateProfile', pkcs, usages, subject, store, access, authority],
  ['androidForWorkPkcsCertificateProfile', { ...pkcs, ...usages, subjectNameFormat: 'commonName' }],
  ['androidPkcsCertificateProfile', { ...pkcs, ...usages, subjectNameFormat: 'commonNameIncludingEmail' }],
  ['androidWorkProfilePkcsCertificateProfile', pkcs, usages, subject, store],
  ['aospDeviceOwnerPkcsCertificateProfile', pkcs, usages, subject, store, authority],
  ['iosPkcsCertificateProfile', pkcs, subject, store],
  ['macOSPkcsCertificateProfile', pkcs, subject, store, mac],
  ['windows10PkcsCertificateProfile', pkcs, usages, subject, store, ksp],
  ['androidDeviceOwnerImportedPFXCertificateProfile', base, purpose, access],
  ['androidForWorkImportedPFXCertificateProfile', base, purpose],
  ['androidImportedPFXCertificateProfile', base, purpose],
  ['iosImportedPFXCertificateProfile', purpose],
  ['macOSImportedPFXCertificateProfile', { ...lifetime, ...names, ...purpose, ...channel }],
  ['windows10ImportedPFXCertificateProfile', { ...lifetime, ...names, ...purpose, ...ksp }],
  ['windows10PFXImportCertificateProfile', ksp],
  ['windowsPhone81ImportedPFXCertificateProfile', { ...lifetime, ...names, ...purpose, ...ksp }],
]

/** What a profile cannot do without. */
const needed = new Set([
  ...['trustedRootCertificate', 'keyUsage', 'scepServerUrls', 'certificationAuthority', 'certificateTemplateName', 'rootCertificateId'],
  ...['renewalThresholdPercentage', 'certificateValidityPeriodValue', 'certificateValidityPeriodScale'],
])

function documentOf([type, ...members]: (typeof types)[number], own: Json = {}): Json {
  const family = type.startsWith('windows10X') ? resourceAccess : deviceConfiguration
  return {
    '@odata.type': `#microsoft.graph.${type}`,
    id: `id-${type}`,
    displayName: type,
    ...family,
    ...Object.assign({}, ...members),
    ...own,
  }
}

/** Of what certificate profile and root say to each other, other tests tell. */
function withoutLinks(from: Import): string[] {
  return from.findings
    .filter(({ id }) => !id.startsWith('link-'))
    .map(({ severity, id, path, message }) => `${severity} ${id} ${path}: ${message}`)
}

t.test('each of the 36 certificate profile types is read without a word', async (t) => {
  t.equal(new Set(types.map(([type]) => type)).size, 36)
  for (const row of types) {
    const [type] = row
    const full = documentOf(row)
    const minimal = Object.fromEntries(
      Object.entries(full).filter(([name]) => name.startsWith('@') || name === 'displayName' || needed.has(name)),
    )
    const named = /Scep|SCEP|Pkcs/.test(type) ? (type.includes('10X') ? subject : { subjectNameFormat: 'commonName' }) : {}
    const emptied = Object.fromEntries(Object.entries(full).map(([name, value]) => [name, isNeeded(name) ? value : null]))
    const documents: [string, Json][] = [
      ['all members', full],
      ['no more than it needs', { ...minimal, ...named }],
      ['null for everything else', { ...emptied, ...named }],
      ['metadata of every member', { ...full, ...annotations(full) }],
      ['values in another case', inCapitals(full)],
    ]
    for (const [name, document] of documents) {
      const result = imported(document)
      t.same([result.profiles.length, withoutLinks(result)], [1, []], `${type}: ${name}`)
      t.match(result.profiles[0], { typeName: type, displayName: type }, `${type}: ${name}`)
      t.not(result.profiles[0]?.kind, 'invalid', `${type}: ${name}`)
    }
  }
})

function isNeeded(name: string): boolean {
  return needed.has(name) || name === 'displayName' || name.startsWith('@')
}

/** As `odata.metadata=full` adds them, and lists of what was expanded. */
function annotations(document: Json): Json {
  const types = Object.keys(document).map((name) => [`${name}@odata.type`, '#Collection(String)'])
  return {
    '@odata.context': 'https://graph.microsoft.com/beta/$metadata#deviceManagement/deviceConfigurations/$entity',
    '@odata.id': "deviceManagement/deviceConfigurations('x')",
    '@odata.editLink': "deviceManagement/deviceConfigurations('x')",
    '@microsoft.graph.tips': 'Use $select to choose only the properties your app needs.',
    'assignments@odata.context': 'https://graph.microsoft.com/beta/$metadata#x',
    assignments: [],
    'rootCertificate@odata.associationLink': 'x',
    'rootCertificate@odata.navigationLink': 'x',
    'deviceStatuses@odata.context': 'x',
    deviceStatuses: [],
    '#microsoft.graph.assign': {},
    ...Object.fromEntries(types),
  }
}

function inCapitals(document: Json): Json {
  const kept = ['id', 'displayName', 'trustedRootCertificate', 'subjectNameFormatString', '@odata.type']
  return Object.fromEntries(
    Object.entries(document).map(([name, value]) => [
      name,
      typeof value === 'string' && !kept.includes(name) ? value.split(',').reverse().join(', ').toUpperCase() : value,
    ]),
  )
}

const iosScep = documentOf(['iosScepCertificateProfile', scep, store], { id: 'scep-1', displayName: 'Scep' })
const iosRoot = documentOf(['iosTrustedRootCertificate', root], { id: 'root-1', displayName: 'Root' })
const graph = 'https://graph.microsoft.com/beta'
const context = (fragment: string) => ({ '@odata.context': `${graph}/$metadata#${fragment}` })
const { '@odata.type': _rootType, ...untypedRoot } = iosRoot
const { '@odata.type': _scepType, ...untypedScep } = iosScep

t.test('a type that only the context names', async (t) => {
  const rows: [string, Json][] = [
    [
      'a typed collection',
      { ...context('deviceManagement/deviceConfigurations/microsoft.graph.iosTrustedRootCertificate'), value: [untypedRoot] },
    ],
    [
      'a selection of one',
      {
        ...context('deviceManagement/deviceConfigurations/microsoft.graph.iosTrustedRootCertificate(assignments())'),
        value: [untypedRoot],
      },
    ],
    [
      'an entity',
      { ...context('deviceManagement/deviceConfigurations/microsoft.graph.iosTrustedRootCertificate/$entity'), ...untypedRoot },
    ],
    ['a bare type', { ...context('microsoft.graph.iosTrustedRootCertificate'), ...untypedRoot }],
    ['a type without its prefix', { ...iosRoot, '@odata.type': 'iosTrustedRootCertificate' }],
    ['a type in another case', { ...iosRoot, '@odata.type': '#Microsoft.Graph.IosTrustedRootCertificate' }],
  ]
  for (const [name, document] of rows) {
    const result = imported(document)
    t.same(told(result), [], name)
    t.match(result.profiles, [{ kind: 'trusted-root', family: 'ios', id: 'root-1' }], name)
  }
  t.same(told(imported({ ...context('deviceManagement/deviceConfigurations'), value: [untypedRoot] })), [
    'warning type-missing 0.json value[0]',
  ])
  t.same(told(imported({ ...context('%'), value: [untypedRoot] })), ['warning type-missing 0.json value[0]'], 'a context that is none')
})

t.test('the answer of the typed route says whose root it is', async (t) => {
  const through = "deviceManagement/deviceConfigurations('scep-1')/microsoft.graph.iosScepCertificateProfile/rootCertificate/$entity"
  for (const answer of [iosRoot, untypedRoot])
    for (const documents of [
      [{ ...context(through), ...answer }, iosScep],
      [iosScep, iosRoot, { ...context(through), ...answer }],
    ]) {
      const result = imported(...documents)
      t.same([told(result), scepOf(result).link, result.profiles.length], [[], { rootProfileId: 'root-1' }, 2])
    }
})

t.test('assignments as /assignments answers them', async (t) => {
  const target = { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId: 'g1' }
  const of = (id: string) => context(`deviceManagement/deviceConfigurations('${id}')/assignments`)
  const typed = {
    '@odata.type': '#microsoft.graph.deviceConfigurationAssignment',
    id: 'root-1_g1',
    source: 'direct',
    sourceId: 'root-1',
    target,
  }
  const rows: [string, unknown][] = [
    ['the context names the profile', { ...of('root-1'), value: [{ target }] }],
    ['with a key in percents', { ...context('deviceManagement/deviceConfigurations(%27root-1%27)/assignments'), value: [{ target }] }],
    [
      'through the type',
      {
        ...context("deviceManagement/deviceConfigurations('root-1')/microsoft.graph.iosTrustedRootCertificate/assignments"),
        value: [{ target }],
      },
    ],
    ['the id names the profile', { value: [{ id: 'root-1_g1', intent: 'apply', target }] }],
    ['the source names the profile', { value: [{ ...typed, id: 'a0' }] }],
    ['typed', typed],
  ]
  for (const [name, document] of rows) {
    const result = imported(document, iosRoot)
    t.same(told(result), [], name)
    t.match(result.assignments, [{ profileId: 'root-1', target: { kind: 'group', group: 'g1' } }], name)
  }
  t.same(told(imported({ ...of('other'), value: [{ target }] }, iosRoot)), ['info type-ignored 0.json value[0]'])
  const everyone = ['allDevicesAssignmentTarget', 'allLicensedUsersAssignmentTarget'].map((type, i) => ({
    id: `root-1_${i}`,
    target: {
      '@odata.type': `#microsoft.graph.${type}`,
      deviceAndAppManagementAssignmentFilterId: null,
      deviceAndAppManagementAssignmentFilterType: 'none',
    },
  }))
  t.same(
    imported(iosRoot, { value: everyone }).assignments.map(({ target: { kind } }) => kind),
    ['allDevices', 'allUsers'],
  )
})

t.test('a list whose last page is nowhere', async (t) => {
  const page = (value: Json[], more?: string) => ({
    ...context('deviceManagement/deviceConfigurations'),
    ...(more && { '@odata.nextLink': more }),
    value,
  })
  t.same(told(imported(page([iosRoot], 'x'), page([], 'y'))), ['warning page-missing 1.json @odata.nextLink'])
  t.same(told(imported(page([iosRoot], 'x'), page([], 'y'), page([]))), [])
  t.same(told(imported(page([iosRoot], 'x'), { ...page([]), ...context('deviceManagement/roleScopeTags') })), [
    'warning page-missing 0.json @odata.nextLink',
  ])
})

t.test('the answers of a $batch', async (t) => {
  const result = imported({
    responses: [
      { id: '1', status: 200, headers: {}, body: { ...context('deviceManagement/deviceConfigurations'), value: [iosRoot] } },
      { id: '2', status: 200, body: iosScep },
      { id: '3', status: 404, body: { error: { code: 'ResourceNotFound', message: 'x' } } },
    ],
  })
  t.same(told(result), ['warning type-missing 0.json responses[2].body', 'warning link-missing 0.json responses[1].body'])
  t.match(result.profiles, [{ path: 'responses[0].body.value[0]' }, { path: 'responses[1].body' }])
})

t.test('IntuneCD: no ids, no links, group names', async (t) => {
  const { id: _id, createdDateTime: _created, version: _version, supportsScopeTags: _tags, ...kept } = iosScep
  const { id: _rootId, ...keptRoot } = iosRoot
  const assignment = {
    intent: 'apply',
    source: 'direct',
    target: {
      '@odata.type': '#microsoft.graph.groupAssignmentTarget',
      deviceAndAppManagementAssignmentFilterType: 'none',
      groupName: 'Pilots',
      groupType: 'DynamicMembership',
      membershipRule: 'x',
    },
  }
  const files = [
    file({ ...kept, assignments: [assignment] }, 'Device Configurations/iosScepCertificateProfile/Scep_iosScepCertificateProfile.json'),
    file(keptRoot, 'Device Configurations/iosTrustedRootCertificate/Root_iosTrustedRootCertificate.json'),
    file({ '@odata.type': '#microsoft.graph.iosCompliancePolicy', displayName: 'x' }, 'Compliance Policies/Policies/x.json'),
    file({ links: [{ profile: 'Scep', rootCertificate: 'Root' }] }, 'links.json'),
  ]
  const result = importGraph(files)
  t.same(told(result), ['info type-unknown Compliance Policies/Policies/x.json'])
  const [profile, trusted] = result.profiles
  t.match(profile, { kind: 'scep', link: { rootProfileId: trusted?.id } })
  t.match(result.assignments, [{ profileId: profile?.id, target: { kind: 'group', group: 'Pilots' } }])
  const id = '6adb435a-f016-506e-a292-a2ae43ef141b'
  const inName = importGraph([file(keptRoot, `a/Root_iosTrustedRootCertificate__${id.toUpperCase()}.json`)])
  t.equal(inName.profiles[0]?.id, id, 'or the id in the name of the file')
})

t.test('IntuneManagement: references by name, and what lies beside', async (t) => {
  const reference = { '#CustomRef_rootCertificate': 'Root|:|#microsoft.graph.iosTrustedRootCertificate' }
  const files = [
    file({ ...iosScep, ...reference, 'assignments@odata.context': 'x', assignments: [] }, 'DeviceConfiguration/Scep.json'),
    file(iosRoot, 'DeviceConfiguration/Root.json'),
    file({ TenantId: 't', Organization: 'Contoso', Objects: [{ Id: 'g', DisplayName: 'Pilots', Type: 'Group' }] }, 'MigrationTable.json'),
    file({ '@odata.type': '#microsoft.graph.group', displayName: 'Pilots' }, 'Groups/Pilots.json'),
    file({ name: 'Baseline', platforms: 'windows10', settings: [] }, 'SettingsCatalog/Baseline.json'),
  ]
  const result = importGraph(files)
  t.same(told(result), [
    'info type-missing MigrationTable.json',
    'info type-unknown Groups/Pilots.json',
    'info type-missing SettingsCatalog/Baseline.json',
  ])
  t.same(scepOf(result).link, { rootProfileId: 'root-1' })
})

t.test('@odata.bind in every form of a URL', async (t) => {
  const id = 'b1a5e2d0-0000-4000-8000-00000000000a'
  const forms = [
    bindTo(id),
    bindTo(id.toUpperCase()),
    `${graph}/deviceManagement/deviceConfigurations/${id}`,
    `${graph}/deviceManagement/deviceConfigurations/${id}/`,
    `${graph}/deviceManagement/deviceConfigurations(%27${id}%27)`,
    `${graph}/deviceManagement/deviceConfigurations('${id}')/microsoft.graph.iosTrustedRootCertificate`,
    `https://graph.microsoft.com/Beta/DeviceManagement/DeviceConfigurations('${id}')`,
    `deviceConfigurations('${id}')`.replace(/^/, '/'),
  ]
  for (const bind of forms) {
    const result = imported({ ...iosScep, 'rootCertificate@odata.bind': bind }, { ...iosRoot, id })
    t.same([told(result), scepOf(result).link], [[], { rootProfileId: id }], bind)
  }
})

t.test('the Graph PowerShell SDK through ConvertTo-Json', async (t) => {
  const wrapped = (document: Json) => {
    const { id, displayName, ...AdditionalProperties } = document
    const unset = { DeviceManagementApplicabilityRuleOsEdition: { Name: null, OsEditionTypes: null, RuleType: null }, DeviceStatuses: null }
    return { Id: id, DisplayName: displayName, Assignments: null, ...unset, AdditionalProperties }
  }
  const Assignments = [
    {
      Id: 'root-1_g1',
      Intent: null,
      Target: {
        DeviceAndAppManagementAssignmentFilterType: 'none',
        AdditionalProperties: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId: 'g1' },
      },
      AdditionalProperties: {},
    },
  ]
  const result = imported({ value: [wrapped(iosScep), { ...wrapped(iosRoot), Assignments }], Count: 2 })
  t.same(told(result), ['warning link-missing 0.json value[0]'])
  t.match(result.profiles, [
    { kind: 'scep', id: 'scep-1' },
    { kind: 'trusted-root', id: 'root-1' },
  ])
  t.match(result.assignments, [{ profileId: 'root-1', target: { kind: 'group', group: 'g1' } }])
})

t.test('what ConvertTo-Json cut is told with its place', async (t) => {
  const rows: [string, Json, string[]][] = [
    ['a list', { extendedKeyUsages: 'System.Object[]' }, ['profile-invalid extendedKeyUsages', 'value-cut extendedKeyUsages']],
    [
      'an object',
      { extendedKeyUsages: ['@{name=Client Authentication; objectIdentifier=1.3.6.1.5.5.7.3.2}'] },
      ['profile-invalid extendedKeyUsages[0]', 'value-cut extendedKeyUsages[0]'],
    ],
    [
      'a hashtable',
      { assignments: [{ target: 'System.Collections.Hashtable' }] },
      ['value-cut assignments[0].target', 'assignment-invalid assignments[0].target'],
    ],
    [
      'a dictionary',
      { roleScopeTagIds: 'System.Collections.Generic.Dictionary`2[System.String,System.Object]' },
      ['value-cut roleScopeTagIds'],
    ],
    [
      'an object of the SDK',
      { assignments: null, deviceStatusOverview: 'Microsoft.Graph.PowerShell.Models.MicrosoftGraphDeviceOverview' },
      ['value-cut deviceStatusOverview'],
    ],
    ['a name that only looks so', { displayName: 'System.Objects at @{home}' }, []],
  ]
  for (const [name, members, expected] of rows) {
    const { findings } = imported(iosRoot, { ...iosScep, ...members, 'rootCertificate@odata.bind': bindTo('root-1') })
    t.same(
      findings.map(({ id, path }) => `${id} ${path}`),
      expected,
      name,
    )
    for (const { id, severity, action } of findings) t.match([severity, action], ['error', id === 'value-cut' ? /-Depth 20/ : String])
  }
})

t.test('a number as text is an error that says so', async (t) => {
  const { findings } = imported({ ...iosScep, renewalThresholdPercentage: '20' })
  t.match(findings[0], { id: 'profile-invalid', path: 'renewalThresholdPercentage', message: /whole number from 1 to 99, found "20"$/ })
})

t.test('two profiles of one name are never guessed between', async (t) => {
  const link = { '#CustomRef_rootCertificate': 'Root|:|#microsoft.graph.iosTrustedRootCertificate' }
  const result = imported({ ...iosScep, ...link }, iosRoot, { ...iosRoot, id: 'root-2' })
  t.same(told(result), ['error link-ambiguous 0.json #CustomRef_rootCertificate'])
  t.match(profileOf(result, 'scep-1'), { link: { problem: /2 Trusted profiles/ } })
})

t.test('an answer that was not typed belongs to no profile', async (t) => {
  t.same(told(imported(untypedScep)), ['warning type-missing 0.json'])
})
