import { parsePolicy } from '@certfleet/agent-core'
import t from 'tap'
import {
  assignProfiles,
  type CertificateIntent,
  type Device,
  type Import,
  type ImportedRevision,
  importGraph,
  parseTenant,
  renderPfxRequests,
  renderPolicy,
  retarget,
} from '#emulator/tenant/index.ts'
import { bindTo, file, imported, importedPfx, type Json, pkcs, profileOf, rootCertificate, scep, told, trustedRoot } from './graph.ts'

const lifetime = { renewalThresholdPercentage: 20, certificateValidityPeriodValue: 1, certificateValidityPeriodScale: 'years' }
const clientAuth = { objectIdentifier: '1.3.6.1.5.5.7.3.2' }

function pfxOf(from: Import, id: string): Exclude<CertificateIntent, { kind: 'scep' }> {
  const profile = profileOf(from, id)
  if (profile.kind !== 'pkcs' && profile.kind !== 'imported-pfx') throw new Error(`${id} is ${profile.kind}`)
  return profile
}

const nameless = { subjectNameFormat: 'commonName', subjectNameFormatString: undefined }
const store = { certificateStore: 'user', customSubjectAlternativeNames: [] }
const eku = { extendedKeyUsages: [clientAuth] }
const base = { ...lifetime, subjectNameFormat: 'commonName', subjectAlternativeNameType: 'none' }
const access = { certificateAccessType: 'userApproval', silentCertificateAccessDetails: [] }

const types: [type: string, root: string, family: string, members: Json][] = [
  ['iosPkcs', 'iosTrustedRoot', 'ios', store],
  ['macOSPkcs', 'macOSTrustedRoot', 'macos', { ...store, allowAllAppsAccess: false, deploymentChannel: 'userChannel' }],
  ['androidPkcs', 'androidTrustedRoot', 'androidDeviceAdministrator', { ...nameless, ...eku }],
  [
    'androidDeviceOwnerPkcs',
    'androidDeviceOwnerTrustedRoot',
    'androidDeviceOwner',
    { ...store, ...eku, ...access, certificationAuthorityType: 'microsoft' },
  ],
  ['androidForWorkPkcs', 'androidForWorkTrustedRoot', 'androidForWork', { ...nameless, ...eku }],
  ['androidWorkProfilePkcs', 'androidWorkProfileTrustedRoot', 'androidWorkProfile', { ...store, ...eku }],
  ['aospDeviceOwnerPkcs', 'aospDeviceOwnerTrustedRoot', 'aosp', { ...store, ...eku, certificationAuthorityType: 'microsoft' }],
  ['windows10Pkcs', 'windows81TrustedRoot', 'windows81', { ...store, ...eku, keyStorageProvider: 'useTpmKspOtherwiseFail' }],
  ['iosImportedPFX', 'iosTrustedRoot', 'ios', {}],
  ['macOSImportedPFX', 'macOSTrustedRoot', 'macos', { ...base, deploymentChannel: 'userChannel' }],
  ['androidImportedPFX', 'androidTrustedRoot', 'androidDeviceAdministrator', { ...base, ...eku }],
  ['androidDeviceOwnerImportedPFX', 'androidDeviceOwnerTrustedRoot', 'androidDeviceOwner', { ...base, ...eku, ...access }],
  ['androidForWorkImportedPFX', 'androidForWorkTrustedRoot', 'androidForWork', { ...base, ...eku }],
  ['androidForWorkImportedPFX', 'androidWorkProfileTrustedRoot', 'androidForWork', { ...base, ...eku }],
  ['windows10ImportedPFX', 'windows81TrustedRoot', 'windows81', { ...base, keyStorageProvider: 'useSoftwareKsp' }],
  ['windows10PFXImport', 'windows81TrustedRoot', 'windows81', { intendedPurpose: undefined, keyStorageProvider: 'useSoftwareKsp' }],
  ['windowsPhone81ImportedPFX', 'windowsPhone81TrustedRoot', 'windowsPhone81', base],
]

t.test('each type imports without a word and finds its root', async (t) => {
  for (const [type, root, family, members] of types) {
    const typed = { '@odata.type': `#microsoft.graph.${type}CertificateProfile`, id: 'x', displayName: 'X', ...members }
    const result = imported(
      trustedRoot({ '@odata.type': `#microsoft.graph.${root}Certificate` }),
      type.endsWith('Pkcs') ? pkcs(typed) : importedPfx(typed),
    )
    t.same(told(result), [], type)
    const kind = type.endsWith('Pkcs') ? 'pkcs' : 'imported-pfx'
    t.match(pfxOf(result, 'x'), { kind, family, typeName: `${type}CertificateProfile`, link: { rootProfileId: 'root-1' } }, type)
  }
})

t.test('renewal.usual-threshold, pfx-profile.authority: settings', async (t) => {
  const rows: [string, Json, object][] = [
    [
      'defaults of a PKCS profile',
      pkcs(),
      {
        principal: 'user',
        renewalThresholdPercent: 20,
        keyStorage: 'useSoftwareKsp',
        subjectTemplate: 'CN={{UserName}}',
        subjectAltNames: [],
        extendedKeyUsages: [],
        validity: { value: 1, scale: 'years' },
        certificateTemplateName: 'User',
        certificationAuthority: 'ca.contoso.example',
        certificationAuthorityName: 'Contoso CA',
      },
    ],
    ['the machine store', pkcs({ certificateStore: 'machine' }), { principal: 'device' }],
    ['a CA without a name', pkcs({ certificationAuthorityName: null }), { certificationAuthorityName: '' }],
    [
      'names by flag',
      pkcs({ subjectAlternativeNameType: 'userPrincipalName' }),
      { subjectAltNames: [{ type: 'upn', value: '{{UserPrincipalName}}' }] },
    ],
    ['a purpose given twice', pkcs({ extendedKeyUsages: [clientAuth, clientAuth] }), { extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'] }],
    [
      'defaults of an imported PFX profile',
      importedPfx({ id: 'pkcs-1', intendedPurpose: null }),
      { principal: 'user', renewalThresholdPercent: 20, keyStorage: 'useSoftwareKsp', intendedPurpose: 'unassigned' },
    ],
    [
      'all that an imported PFX profile says',
      importedPfx({ id: 'pkcs-1', intendedPurpose: 'wifi', renewalThresholdPercentage: 5, keyStorageProvider: 'useTpmKspOtherwiseFail' }),
      { renewalThresholdPercent: 5, keyStorage: 'useTpmKspOtherwiseFail', intendedPurpose: 'wifi' },
    ],
  ]
  for (const [name, document, settings] of rows) t.match(pfxOf(imported(trustedRoot(), document), 'pkcs-1'), settings, name)
})

t.test('pfx-profile.template-name, pfx-profile.without: what is wrong is told, and the others stand', async (t) => {
  const rows: [string, Json, string, RegExp][] = [
    [
      'no template',
      pkcs({ certificateTemplateName: '' }),
      'error profile-invalid 2.json certificateTemplateName',
      /name of a certificate template/,
    ],
    ['no CA', pkcs({ certificationAuthority: null }), 'error profile-invalid 2.json certificationAuthority', /found null/],
    ['a threshold of 100', pkcs({ renewalThresholdPercentage: 100 }), 'error profile-invalid 2.json renewalThresholdPercentage', /1 to 99/],
    ['no subject', pkcs({ subjectNameFormatString: '' }), 'error profile-invalid 2.json subjectNameFormatString', /found nothing/],
    ['a purpose', importedPfx({ intendedPurpose: 'mail' }), 'error profile-invalid 2.json intendedPurpose', /smimeSigning/],
    [
      'a threshold of 0',
      importedPfx({ renewalThresholdPercentage: 0 }),
      'error profile-invalid 2.json renewalThresholdPercentage',
      /1 to 99/,
    ],
    [
      'a template beyond ASCII',
      pkcs({ certificateTemplateName: 'Benützer' }),
      'error template-name 2.json certificateTemplateName',
      /not ASCII/,
    ],
    ["a setting of SCEP's", pkcs({ keySize: 'size2048' }), 'info member-unknown 2.json keySize', /no such member/],
  ]
  for (const [name, document, finding, message] of rows) {
    const result = imported(trustedRoot(), scep(), document)
    t.same(told(result), [finding], name)
    t.match(result.findings[0]?.message, message, name)
    t.equal(profileOf(result, 'scep-1').kind, 'scep', name)
  }
})

t.test('links', async (t) => {
  const ios = trustedRoot({ id: 'root-ios', displayName: 'iOS root', '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' })
  const { 'rootCertificate@odata.bind': _, ...unlinked } = pkcs()
  const missing = imported(trustedRoot(), unlinked)
  t.same(told(missing), ['warning link-missing 1.json'])
  t.match(pfxOf(missing, 'pkcs-1').link, { problem: /Graph keeps no such link for its type/ })
  const android = '#microsoft.graph.androidWorkProfilePkcsCertificateProfile'
  t.match(pfxOf(imported({ ...unlinked, '@odata.type': android }), 'pkcs-1').link, { problem: /a plain export loses that link/ })
  t.match(pfxOf(imported(ios, pkcs({ 'rootCertificate@odata.bind': bindTo('root-ios') })), 'pkcs-1').link, {
    problem: /of ios, expected a Trusted profile of windows81/,
  })
  const sidecar = { links: [{ profile: 'Pkcs', rootCertificate: 'Root' }] }
  const named = importGraph([file(trustedRoot(), 'a.json'), file(unlinked, 'b.json'), file(sidecar, 'links.json')])
  t.same([told(named), pfxOf(named, 'pkcs-1').link], [[], { rootProfileId: 'root-1' }], 'links.json')
  const { '@odata.type': __, ...expanded } = trustedRoot()
  const nested = imported({ ...unlinked, '@odata.type': android, rootCertificate: expanded })
  t.same([told(nested), pfxOf(nested, 'pkcs-1').link], [[], { rootProfileId: 'root-1' }], 'an expanded object')
})

type Changes = { readonly [K in keyof Device]?: Device[K] | undefined }

function tenantOf(device: Changes = {}) {
  const tenant = parseTenant(
    Buffer.from(`users: [{ id: jane, upn: jane@contoso.example, email: jd@contoso.example }]
devices: [{ id: d1, platform: windows, osVersion: 10.0.26100, user: jane }]
assign: all`),
    'tenant.yaml',
  )
  return { ...tenant, devices: new Map([['d1', { ...(tenant.devices.get('d1') as Device), ...device } as Device]]) }
}

function render(documents: readonly Json[], importedRevision?: ImportedRevision, device: Changes = {}) {
  const tenant = tenantOf(device)
  const { intent } = assignProfiles(imported(trustedRoot(), ...documents), tenant)
  const policy = renderPolicy(intent, tenant, 'd1', { revision: 1, ...(importedRevision && { importedRevision }) })
  return { policy, requests: renderPfxRequests(intent, tenant, 'd1') }
}

t.test('the policy names what the connector delivers', async (t) => {
  const { policy, requests } = render(
    [pkcs({ subjectAlternativeNameType: 'emailAddress', ...eku }), importedPfx({ keyStorageProvider: 'useTpmKspOtherwiseFail' }), scep()],
    (upn, purpose) => `${upn} ${purpose} 7`,
  )
  const common = { principal: 'user', assignedTo: ['device', 'user'], rootProfileId: 'root-1', renewalThresholdPercent: 20 } as const
  const certificateRevision = policy.pfxProfiles?.[0]?.certificateRevision ?? ''
  t.match(certificateRevision, /^[0-9a-f]{64}$/)
  t.strictSame(policy.pfxProfiles, [
    { id: 'pkcs-1', displayName: 'Pkcs', ...common, kind: 'pkcs', certificateRevision, keyStorage: 'useSoftwareKsp' },
    {
      ...{ id: 'pfx-1', displayName: 'Pfx', ...common, kind: 'imported' },
      ...{ certificateRevision: 'jane@contoso.example smimeSigning 7', keyStorage: 'useTpmKspOtherwiseFail' },
    },
  ])
  t.strictSame(requests, [
    {
      kind: 'pkcs',
      profileId: 'pkcs-1',
      principal: 'user',
      certificateTemplateName: 'User',
      certificationAuthority: 'ca.contoso.example',
      certificationAuthorityName: 'Contoso CA',
      subject: 'CN=jane',
      subjectAltNames: [{ type: 'email', value: 'jd@contoso.example' }],
      keyBits: 2048,
      extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
      validity: { value: 1, scale: 'years' },
    },
    { kind: 'imported', profileId: 'pfx-1', principal: 'user', userPrincipalName: 'jane@contoso.example', intendedPurpose: 'smimeSigning' },
  ])
  const read = parsePolicy(Buffer.from(JSON.stringify(policy)), 'd1')
  t.match(read, { scepProfiles: [{ id: 'scep-1' }], pfxProfiles: [{ id: 'pkcs-1' }, { id: 'pfx-1' }], failedProfiles: [] })
  t.notOk('pfxProfiles' in render([scep()]).policy, 'a policy without any stays as it was')
})

t.test('a profile that cannot be delivered fails, and is asked of nobody', async (t) => {
  const rows: [string, Json, Changes, object][] = [
    ['nothing imported', importedPfx(), {}, { code: 'ERR_PROFILE_INVALID', message: /no PFX for smimeSigning .* "jane@contoso.example"/ }],
    ['a device without a user', importedPfx(), { user: undefined }, { code: 'ERR_PROFILE_INVALID', message: /"d1" has no user/ }],
    ['a variable without a value', pkcs(), { user: undefined }, { code: 'ERR_VARIABLE_UNRESOLVED', message: /UserName/ }],
    ['a root of nobody', pkcs({ 'rootCertificate@odata.bind': bindTo('gone') }), {}, { code: 'ERR_PROFILE_INVALID', message: /"gone"/ }],
    [
      'a format without a variable',
      pkcs({ subjectNameFormat: 'commonNameAsDurableDeviceId' }),
      {},
      { code: 'ERR_UNSUPPORTED', message: /commonNameAsDurableDeviceId/ },
    ],
    ['an invalid one', pkcs({ certificateTemplateName: '' }), {}, { code: 'ERR_PROFILE_INVALID', message: /^certificateTemplateName/ }],
  ]
  for (const [name, document, device, failure] of rows) {
    const { policy, requests } = render([document], undefined, device)
    t.match(policy.failedProfiles, [{ ...failure, principal: 'user' }], name)
    t.notOk(policy.pfxProfiles, name)
    if (name !== 'nothing imported') t.same(requests, [], name)
  }
})

t.test('Windows takes them from 10 on (S4); before, they are for no device and no failure (S12)', async (t) => {
  const documents = [pkcs(), importedPfx(), pkcs({ id: 'invalid', displayName: 'Invalid', certificateTemplateName: '' })]
  for (const [osVersion, count] of [
    ['8.1', 0],
    ['6.3', 0],
    ['10.0.10240', 2],
  ] as const) {
    const { policy, requests } = render(documents, () => 'x', { osVersion })
    t.equal(policy.trustedRoots.length, 1, osVersion)
    t.equal(policy.pfxProfiles?.length ?? 0, count, osVersion)
    t.equal(policy.failedProfiles.length, count === 0 ? 0 : 1, osVersion)
    t.equal(requests.length, count, osVersion)
    const told = (policy.notApplicable ?? []).map(({ id, factId }) => `${id} ${factId}`)
    t.same(told, count === 0 ? ['pkcs-1', 'pfx-1', 'invalid'].map((id) => `${id} windows.pfx-applies`) : [], osVersion)
  }
})

t.test('the revision is another where another certificate is asked for, and nowhere else', async (t) => {
  const revisionOf = (members: Json, device: Changes = {}) =>
    render([pkcs({ ...store, ...members })], undefined, device).policy.pfxProfiles?.[0]?.certificateRevision
  const before = revisionOf({})
  const changed: [string, Json][] = [
    ['subject', { subjectNameFormatString: 'CN={{UserName}},O=Contoso' }],
    ['names', { customSubjectAlternativeNames: [{ sanType: 'emailAddress', name: '{{EmailAddress}}' }] }],
    ['template', { certificateTemplateName: 'Other' }],
    ['CA', { certificationAuthority: 'ca2.contoso.example' }],
    ["the CA's name", { certificationAuthorityName: 'Other CA' }],
    ['usages', eku],
    ['validity', { certificateValidityPeriodValue: 2 }],
    ['scale', { certificateValidityPeriodScale: 'months' }],
  ]
  for (const [name, members] of changed) t.not(revisionOf(members), before, name)
  const same: [string, Json][] = [
    ['display name', { displayName: 'Renamed' }],
    ['threshold', { renewalThresholdPercentage: 30 }],
    ['storage', { keyStorageProvider: 'useTpmKspOtherwiseFail' }],
  ]
  for (const [name, members] of same) t.equal(revisionOf(members), before, name)
})

t.test('retarget names the CA of a run', async (t) => {
  const root = new Uint8Array(Buffer.from(rootCertificate, 'base64'))
  const scepUrl = 'http://127.0.0.1:8085/certsrv/mscep/mscep.dll'
  const before = imported(trustedRoot(), pkcs(), pkcs({ id: 'pkcs-2', displayName: 'Two', certificateTemplateName: 'mail' }), importedPfx())
  const { imported: after, replaced } = retarget(before, { root, scepUrl, templateNames: ['Mail'] })
  const ca = { certificationAuthority: '127.0.0.1', certificationAuthorityName: /^Contoso Example Root/ }
  t.match(pfxOf(after, 'pkcs-1'), { ...ca, certificateTemplateName: 'CertfleetDevice' })
  t.match(pfxOf(after, 'pkcs-2'), { ...ca, certificateTemplateName: 'mail' }, 'a template that the CA has, in any case')
  t.same(pfxOf(after, 'pfx-1'), pfxOf(before, 'pfx-1'))
  t.match(
    replaced.map(({ profileId, member, from }) => [profileId, member, from]),
    [
      ['pkcs-1', 'certificateTemplateName', 'User'],
      ['pkcs-1', 'certificationAuthority', 'ca.contoso.example'],
      ['pkcs-1', 'certificationAuthorityName', 'Contoso CA'],
      ['pkcs-2', 'certificationAuthority', 'ca.contoso.example'],
      ['pkcs-2', 'certificationAuthorityName', 'Contoso CA'],
    ],
  )
  t.same(retarget(after, { root, scepUrl, templateNames: ['Mail'] }).replaced, [], 'what is there already is not told')

  const linkedOnly = retarget(imported(trustedRoot({ destinationStore: 'computerCertStoreIntermediate' }), pkcs()), { root, scepUrl })
  t.match(profileOf(linkedOnly.imported, 'root-1'), { destinationStore: 'computer-root' }, 'the root of a PKCS profile is a linked one')
})
