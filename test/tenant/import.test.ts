import { isDeepStrictEqual } from 'node:util'
import { AgentError } from '@certfleet/agent-core'
import fc from 'fast-check'
import t from 'tap'
import { importGraph } from '#emulator/tenant/index.ts'
import { parseJson } from '#emulator/tenant/json.ts'
import { file, imported, type Json, profileOf, rootCertificate, scep, scepOf, told, trustedRoot } from './graph.ts'

t.test('every notation of a list gives its objects', async (t) => {
  const one = trustedRoot()
  const two = trustedRoot({ id: 'root-2' })
  const rows: [string, unknown, string[]][] = [
    ['a single object', one, ['root-1']],
    ['a documentation example', { value: one }, ['root-1']],
    [
      'an answer of Graph',
      { '@odata.context': 'https://graph.microsoft.com/beta/$metadata#x', '@odata.count': 2, value: [one, two] },
      ['root-1', 'root-2'],
    ],
    ['an array', [one, two], ['root-1', 'root-2']],
    ['an array of answers', [{ value: [one] }, { value: two }], ['root-1', 'root-2']],
    ['an empty answer', { value: [] }, []],
  ]
  for (const [name, document, ids] of rows) {
    const result = imported(document)
    t.same([result.profiles.map((profile) => profile.id), told(result)], [ids, []], name)
  }
})

t.test('every encoding of a JSON file is read or refused in words', async (t) => {
  const text = JSON.stringify(trustedRoot())
  const bigEndian = Buffer.from(`\ufeff${text}`, 'utf16le').swap16()
  const readable: [string, Uint8Array][] = [
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${text}`)],
    ['UTF-16LE with a byte order mark', Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16LE without', Buffer.from(text, 'utf16le')],
    ['UTF-16BE with a byte order mark', bigEndian],
  ]
  for (const [name, bytes] of readable) t.equal(imported(bytes).profiles[0]?.kind, 'trusted-root', name)
  const refused: [string, Uint8Array | string, RegExp][] = [
    ['octets outside UTF-8', Buffer.from([0x7b, 0xff, 0xfe]), /^not UTF-8 text at byte 2; save it as UTF-8$/],
    ['nothing', '', /^not JSON at line 1, column 1: expected a value$/],
    ['an object that ends early', '{"a":\n 1', /^not JSON at line 2, column 3: expected "," or "}"$/],
    ['a stray character', '{\n  "a": x}', /^not JSON at line 2, column 8: expected a value$/],
    ['a comma too many', '{"a": 1,}', /column 9: expected the name of a member$/],
    ['a comma too many in an array', '[1,]', /column 4: expected a value$/],
    ['no colon', '{"a" 1}', /column 6: expected ":"$/],
    ['an open string', '{"a": "b}', /column 7: expected a string that is closed/],
    ['a control character in a string', '["a\u0001"]', /column 2: expected a string/],
    ['a number of another kind', '[01]', /column 3: expected "," or "]"$/],
    ['text behind the value', '{} {}', /column 4: expected the end of the file$/],
    ['a member twice', '{"id": 1,\n "id": 2}', /^not JSON at line 2, column 2: expected each member once, found "id" again$/],
    ['a string', '"text"', /^expected a JSON object, found a string$/],
    ['null', 'null', /^expected a JSON object, found null$/],
    ['65 levels', '['.repeat(65) + ']'.repeat(65), /column 65: expected at most 64 levels$/],
    ['64 levels', '['.repeat(64) + ']'.repeat(64), /^expected a JSON object, found an array$/],
    ['100,000 levels', '['.repeat(100_000), /expected at most 64 levels$/],
  ]
  for (const [name, content, message] of refused) {
    const result = importGraph([file(content, 'bad.json'), file(trustedRoot(), 'good.json')])
    t.equal(result.profiles.length, 1, `${name}: the other file is read`)
    t.match(result.findings, [{ id: 'file-malformed', severity: 'error', file: 'bad.json', message }], name)
  }
})

const families = [
  ['ios', 'ios', 'iosTrustedRootCertificate', 'iosScepCertificateProfile'],
  ['macos', 'macos', 'macOSTrustedRootCertificate', 'macOSScepCertificateProfile'],
  ['androidDeviceAdministrator', 'android', 'androidTrustedRootCertificate', 'androidScepCertificateProfile'],
  ['androidDeviceOwner', 'android', 'androidDeviceOwnerTrustedRootCertificate', 'androidDeviceOwnerScepCertificateProfile'],
  ['androidForWork', 'android', 'androidForWorkTrustedRootCertificate', 'androidForWorkScepCertificateProfile'],
  ['androidWorkProfile', 'android', 'androidWorkProfileTrustedRootCertificate', 'androidWorkProfileScepCertificateProfile'],
  ['aosp', 'android', 'aospDeviceOwnerTrustedRootCertificate', 'aospDeviceOwnerScepCertificateProfile'],
  ['windows81', 'windows', 'windows81TrustedRootCertificate', 'windows81SCEPCertificateProfile'],
  ['windowsPhone81', 'windows', 'windowsPhone81TrustedRootCertificate', 'windowsPhone81SCEPCertificateProfile'],
] as const

for (const [family, platform, rootType, scepType] of families) {
  t.test(`${rootType} and ${scepType} import without a word`, async (t) => {
    const result = imported(
      trustedRoot({ '@odata.type': `#microsoft.graph.${rootType}` }),
      scep({ '@odata.type': `microsoft.graph.${scepType}` }),
    )
    t.same(told(result), [])
    t.match(profileOf(result, 'root-1'), { kind: 'trusted-root', family, platform })
    t.match(scepOf(result), { family, platform, link: { rootProfileId: 'root-1' } })
  })
}

t.test('Windows 10X types are read with members of their own', async (t) => {
  const type = '#microsoft.graph.windows10XSCEPCertificateProfile'
  const members: Json = {
    '@odata.type': type,
    rootCertificateId: 'root-1',
    hashAlgorithm: ['sha2'],
    subjectAlternativeNameFormats: [{ sanType: 'emailAddress', name: '{{EmailAddress}}' }],
  }
  const { 'rootCertificate@odata.bind': _bind, subjectNameFormat: _format, ...rest } = scep(members)
  const result = imported(trustedRoot({ '@odata.type': '#microsoft.graph.windows10XTrustedRootCertificate' }), rest)
  t.same(told(result), [])
  t.match(scepOf(result), {
    family: 'windows10X',
    hash: 'sha256',
    link: { rootProfileId: 'root-1' },
    subjectAltNames: [{ type: 'email', value: '{{EmailAddress}}' }],
  })
})

t.test('JSON is read as JSON.parse reads it', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(2), (value, indent) =>
      isDeepStrictEqual(parseJson(JSON.stringify(value, null, indent)), JSON.parse(JSON.stringify(value))),
    ),
  )
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:0123.eE-+tfnu\\ \n') }), (text) => {
      const [own, engine] = [attempt(() => parseJson(text)), attempt(() => JSON.parse(text))]
      return own.ok
        ? engine.ok && isDeepStrictEqual(own.value, engine.value)
        : own.error instanceof AgentError && (!engine.ok || /once/.test(own.error.message))
    }),
    { numRuns: 2000 },
  )
  t.pass('and refuses what it refuses')
})

function attempt(read: () => unknown): { ok: true; value: unknown } | { ok: false; error: unknown } {
  try {
    return { ok: true, value: read() }
  } catch (error) {
    return { ok: false, error }
  }
}

t.test('what is not evaluated is told and skipped', async (t) => {
  const rows: [unknown, string[]][] = [
    [{ value: [{ '@odata.type': '#microsoft.graph.userPFXCertificate' }] }, ['info type-ignored 0.json value[0]']],
    [{ '@odata.type': '#microsoft.graph.managedDeviceCertificateState' }, ['info type-ignored 0.json']],
    [{ '@odata.type': '#microsoft.graph.windows10CompliancePolicy' }, ['info type-unknown 0.json']],
    [{ '@odata.type': '#microsoft.graph.visionOSScepCertificateProfile' }, ['warning type-unknown 0.json']],
    [{ '@odata.type': '#microsoft.graph.iosCertificateProfile' }, ['warning type-unknown 0.json']],
    [{ displayName: 'x' }, ['info type-missing 0.json']],
    [{ displayName: 'x', scepServerUrls: [] }, ['warning type-missing 0.json']],
    [{ error: { code: 'Forbidden' } }, ['warning type-missing 0.json']],
  ]
  for (const [document, findings] of rows)
    t.same([imported(document).profiles, told(imported(document))], [[], findings], JSON.stringify(document))
})

t.test('unknown members are kept and told, annotations are not', async (t) => {
  const document = scep({
    keyFlavour: 'mint',
    '@microsoft.graph.tips': 'x',
    'assignments@odata.context': 'y',
    '#microsoft.graph.assign': {},
  })
  const result = imported(trustedRoot(), document)
  t.same(told(result), ['info member-unknown 1.json keyFlavour'])
  t.same([...scepOf(result).unknownMembers], [['keyFlavour', 'mint']])
  const hostile = imported(`{"__proto__": {"polluted": true}, ${JSON.stringify(trustedRoot()).slice(1)}`)
  t.same(told(hostile), ['info member-unknown 0.json __proto__'])
  t.equal(({} as Json).polluted, undefined)
})

t.test('settings of another platform are ignored and told (A7)', async (t) => {
  const ios = '#microsoft.graph.iosScepCertificateProfile'
  const root = trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate', destinationStore: 'userCertStoreIntermediate' })
  const result = imported(root, scep({ '@odata.type': ios, keyStorageProvider: 'nonsense', hashAlgorithm: 'sha2' }))
  t.same(told(result), [
    'info member-unknown 0.json destinationStore',
    'info member-unknown 1.json keyStorageProvider',
    'info member-unknown 1.json hashAlgorithm',
  ])
  t.match(scepOf(result), { keyStorage: 'useSoftwareKsp', hash: undefined })
  t.match(profileOf(result, 'root-1'), { kind: 'trusted-root', destinationStore: undefined })
})

t.test('profile.certificate-type: settings and their defaults', async (t) => {
  const rows: [string, Json, Partial<Record<string, unknown>>][] = [
    ['no key size', { keySize: null }, { keyBits: 2048 }],
    ['1024 bits', { keySize: 'size1024' }, { keyBits: 1024 }],
    ['4096 bits', { keySize: 'size4096' }, { keyBits: 4096 }],
    ['no hash', { hashAlgorithm: null }, { hash: undefined }],
    ['sha2', { hashAlgorithm: 'sha2' }, { hash: 'sha256' }],
    ['both hashes', { hashAlgorithm: 'sha1,sha2' }, { hash: 'sha256' }],
    ['no provider', { keyStorageProvider: null }, { keyStorage: 'useSoftwareKsp' }],
    ['a provider', { keyStorageProvider: 'useTpmKspOtherwiseFail' }, { keyStorage: 'useTpmKspOtherwiseFail' }],
    ['no store', { certificateStore: null }, { principal: 'user' }],
    ['the machine store', { certificateStore: 'machine' }, { principal: 'device' }],
    ['usages in any order', { keyUsage: 'digitalSignature, keyEncipherment' }, { keyUsages: ['digitalSignature', 'keyEncipherment'] }],
    ['one usage', { keyUsage: 'keyEncipherment' }, { keyUsages: ['keyEncipherment'] }],
    ['no extended usages', { extendedKeyUsages: null }, { extendedKeyUsages: [] }],
    [
      'an extended usage twice',
      { extendedKeyUsages: [{ objectIdentifier: '2.5.29.37.0' }, { name: 'Any Purpose', objectIdentifier: '2.5.29.37.0' }] },
      { extendedKeyUsages: ['2.5.29.37.0'] },
    ],
    ['the lowest threshold', { renewalThresholdPercentage: 1 }, { renewalThresholdPercent: 1 }],
    ['the highest threshold', { renewalThresholdPercentage: 99 }, { renewalThresholdPercent: 99 }],
    [
      'several URLs',
      { scepServerUrls: ['http://a.example/x', 'HTTPS://b.example'] },
      { scepUrls: ['http://a.example/x', 'HTTPS://b.example'] },
    ],
    ['a format left out for a string', { subjectNameFormat: null }, { subjectNameFormat: 'custom', subjectTemplate: 'CN={{DeviceId}}' }],
  ]
  for (const [name, members, expected] of rows) {
    const result = imported(trustedRoot(), scep(members))
    t.same(told(result), [], name)
    t.match(scepOf(result), expected, name)
  }
})

t.test('subject.alt-name-types, subject.alt-name-characters: custom names, and the flags that they leave uncovered', async (t) => {
  const custom = (...names: [string, string][]) => ({ customSubjectAlternativeNames: names.map(([sanType, name]) => ({ sanType, name })) })
  const rows: [string, Json, [string, string][], string[]][] = [
    ['null is none', { subjectAlternativeNameType: null }, [], []],
    ['none', { subjectAlternativeNameType: 'none' }, [], []],
    [
      'flags in any order',
      { subjectAlternativeNameType: 'userPrincipalName,emailAddress' },
      [
        ['upn', '{{UserPrincipalName}}'],
        ['email', '{{EmailAddress}}'],
      ],
      [],
    ],
    [
      'a summary of the custom names',
      {
        subjectAlternativeNameType: 'emailAddress,universalResourceIdentifier',
        ...custom(['emailAddress', 'a@b'], ['universalResourceIdentifier', 'x:y']),
      },
      [
        ['email', 'a@b'],
        ['uri', 'x:y'],
      ],
      [],
    ],
    [
      'one type twice',
      custom(['emailAddress', 'a@b'], ['emailAddress', 'c@d']),
      [
        ['email', 'a@b'],
        ['email', 'c@d'],
      ],
      [],
    ],
    ['a DNS name', custom(['domainNameService', '{{DeviceName}}.example']), [['dns', '{{DeviceName}}.example']], []],
    [
      'the older custom attribute',
      { subjectAlternativeNameType: 'customAzureADAttribute', subjectAlternativeNameFormatString: '{{OnPremisesUserPrincipalName}}' },
      [['upn', '{{OnPremisesUserPrincipalName}}']],
      [],
    ],
    [
      'a flag that nothing gives a value',
      { subjectAlternativeNameType: 'domainNameService' },
      [],
      ['warning san-without-value 1.json subjectAlternativeNameType'],
    ],
    [
      'a character that breaks the name',
      custom(['emailAddress', 'a|{{EmailAddress}}']),
      [['email', 'a|{{EmailAddress}}']],
      ['warning san-character 1.json customSubjectAlternativeNames[0].name'],
    ],
  ]
  for (const [name, members, expected, findings] of rows) {
    const result = imported(trustedRoot(), scep(members))
    t.same(
      scepOf(result).subjectAltNames.map(({ type, value }) => [type, value]),
      expected,
      name,
    )
    t.same(told(result), findings, name)
  }
})

t.test('scep-profile.url, renewal.threshold-range, validity.units, profile.name: a bad SCEP profile is an error', async (t) => {
  const rows: [string, unknown, string, RegExp][] = [
    ['threshold 0', { renewalThresholdPercentage: 0 }, 'renewalThresholdPercentage', /from 1 to 99, found 0$/],
    ['threshold 100', { renewalThresholdPercentage: 100 }, 'renewalThresholdPercentage', /from 1 to 99, found 100$/],
    ['threshold as text', { renewalThresholdPercentage: '20' }, 'renewalThresholdPercentage', /found "20"$/],
    ['no threshold', { renewalThresholdPercentage: undefined }, 'renewalThresholdPercentage', /found nothing$/],
    ['half a percent', { renewalThresholdPercentage: 20.5 }, 'renewalThresholdPercentage', /whole number/],
    ['validity 0', { certificateValidityPeriodValue: 0 }, 'certificateValidityPeriodValue', /from 1 to/],
    [
      'validity in weeks',
      { certificateValidityPeriodScale: 'weeks' },
      'certificateValidityPeriodScale',
      /one of days, months, years, found "weeks"/,
    ],
    ['key size', { keySize: 'size3072' }, 'keySize', /one of size1024, size2048, size4096/],
    ['no key usage', { keyUsage: '' }, 'keyUsage', /keyEncipherment, digitalSignature/],
    ['an unknown key usage', { keyUsage: 'digitalSignature,nonRepudiation' }, 'keyUsage', /comma-joined list/],
    ['an unknown hash', { hashAlgorithm: 'md5' }, 'hashAlgorithm', /sha1/],
    [
      'a URL without scheme',
      { scepServerUrls: ['ndes.example'] },
      'scepServerUrls[0]',
      /starts with http:\/\/ or https:\/\/, found "ndes.example"/,
    ],
    [
      'a URL of another scheme',
      { scepServerUrls: ['https://a.example', 'ftp://a.example'] },
      'scepServerUrls[1]',
      /http:\/\/ or https:\/\//,
    ],
    [
      'a URL with a password',
      { scepServerUrls: ['https://joe:secret@a.example'] },
      'scepServerUrls[0]',
      /^(?!.*secret).*without user name/,
    ],
    ['no URL', { scepServerUrls: [] }, 'scepServerUrls', /at least one URL/],
    ['null for the URLs', { scepServerUrls: null }, 'scepServerUrls', /expected an array, found null/],
    [
      'no OID',
      { extendedKeyUsages: [{ name: 'x', objectIdentifier: null }] },
      'extendedKeyUsages[0].objectIdentifier',
      /dotted OID, found null/,
    ],
    ['a bad OID', { extendedKeyUsages: [{ objectIdentifier: '1.99.3' }] }, 'extendedKeyUsages[0].objectIdentifier', /dotted OID/],
    [
      'an unknown name type',
      { customSubjectAlternativeNames: [{ sanType: 'x400', name: 'a' }] },
      'customSubjectAlternativeNames[0].sanType',
      /comma-joined/,
    ],
    [
      'a nameless name',
      { customSubjectAlternativeNames: [{ sanType: 'emailAddress', name: null }] },
      'customSubjectAlternativeNames[0].name',
      /value of the name/,
    ],
    [
      'an open variable in a name',
      { customSubjectAlternativeNames: [{ sanType: 'emailAddress', name: '{{EmailAddress' }] },
      'customSubjectAlternativeNames[0].name',
      /unpaired/,
    ],
    ['an unknown format', { subjectNameFormat: 'fancy' }, 'subjectNameFormat', /one of commonName,/],
    ['no display name', { displayName: null }, 'displayName', /expected a name/],
    ['an id that is a number', { id: 7 }, 'id', /expected an id/],
  ]
  for (const [name, members, path, message] of rows) {
    const { findings, profiles } = imported(trustedRoot(), scep(members as Json))
    t.match(findings, [{ id: 'profile-invalid', severity: 'error', file: '1.json', path, message }], name)
    t.equal(profiles[1]?.kind, 'invalid', name)
    t.equal(profiles[0]?.kind, 'trusted-root', 'the other profile stands')
  }
})

t.test('subject.escape: a subject that is none is an error', async (t) => {
  for (const subject of [
    'no name at all',
    'CN',
    'CN=',
    'CN={{UserName',
    'CN=a,,O=b',
    'CN="a',
    'NOSUCH=a',
    '',
    ' ',
    null,
    'CN={{DeviceId}},{{UserName}}',
  ]) {
    const { findings, profiles } = imported(trustedRoot(), scep({ subjectNameFormatString: subject }))
    t.match(
      findings,
      [{ id: 'profile-invalid', severity: 'error', profile: 'Scep', path: 'subjectNameFormatString', message: /^expected/ }],
      String(subject),
    )
    t.equal(profiles[1]?.kind, 'invalid')
  }
  t.same(told(imported(trustedRoot(), scep({ subjectNameFormatString: 'CN=Doe\\, Jane' }))), [
    'warning subject-escape 1.json subjectNameFormatString',
  ])
  t.same(
    told(imported(trustedRoot(), scep({ subjectNameFormat: 'commonName', subjectNameFormatString: 'Subject Name Format String value' }))),
    [],
    'the string counts for the custom format only',
  )
})

t.test("Apple's types know no directory ids as subject", async (t) => {
  const ios = (subjectNameFormat: string) =>
    imported(
      trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
      scep({ '@odata.type': '#microsoft.graph.iosScepCertificateProfile', subjectNameFormat }),
    )
  t.same(told(ios('commonNameAsSerialNumber')), [])
  t.same(told(ios('commonNameAsAadDeviceId')), ['error profile-invalid 1.json subjectNameFormat'])
})

t.test('profile.root-kind: a trusted certificate is a CA certificate', async (t) => {
  const der = Buffer.from(rootCertificate, 'base64')
  const pem = `-----BEGIN CERTIFICATE-----\n${rootCertificate}\n-----END CERTIFICATE-----\n`
  const rows: [string, unknown, RegExp][] = [
    ['no certificate', Buffer.from('trustedRootCertificate').toString('base64'), /found bytes that are none/],
    ['no base64', '-----BEGIN CERTIFICATE-----', /found other characters/],
    ['nothing', '', /found other characters/],
    ['null', null, /expected a certificate in base64, found null/],
    ['bytes behind it', Buffer.concat([der, Buffer.from([0])]).toString('base64'), /found bytes that are none/],
    ['half of it', der.subarray(0, 300).toString('base64'), /found bytes that are none/],
  ]
  for (const [name, trustedRootCertificate, message] of rows) {
    const { findings, profiles } = imported(trustedRoot({ trustedRootCertificate }))
    t.match(findings, [{ id: 'profile-invalid', severity: 'error', path: 'trustedRootCertificate', message }], name)
    t.match(profiles, [{ kind: 'invalid', principal: 'device' }], name)
  }
  const fromPem = imported(trustedRoot({ trustedRootCertificate: Buffer.from(pem).toString('base64') }))
  t.same(told(fromPem), ['warning certificate-pem 0.json trustedRootCertificate'])
  t.match(profileOf(fromPem, 'root-1'), { certificate: new Uint8Array(der), selfSigned: true })
})

t.test('one profile an id', async (t) => {
  const same = imported(trustedRoot(), { value: [trustedRoot({ version: 9 })] })
  t.same([same.profiles.length, told(same)], [1, []], 'the same content twice is one profile')
  const other = imported(trustedRoot(), scep(), scep({ keySize: 'size4096' }))
  t.same(told(other), ['error profile-duplicate 2.json'])
  t.match(profileOf(other, 'scep-1'), { kind: 'invalid', principal: 'user', message: /1\.json and 2\.json hold different profiles/ })
})

t.test('an export without ids (IntuneCD) gets ids of its names', async (t) => {
  const { id: _id, ...nameless } = trustedRoot()
  const first = imported(nameless).profiles[0]
  t.match(first?.id, /^[0-9a-f-]{36}$/)
  t.equal(imported(nameless, 1).profiles[0]?.id, first?.id, 'the same every time')
  const { id: _other, ...renamed } = trustedRoot({ displayName: 'Other' })
  t.equal(imported(nameless, renamed).profiles.length, 2)
})

t.test('assignments are read where they are expanded and where they stand beside', async (t) => {
  const target = (type: string, more: Json = {}) => ({ target: { '@odata.type': `#microsoft.graph.${type}`, ...more } })
  const embedded = imported(
    trustedRoot({
      assignments: [
        target('allDevicesAssignmentTarget', {
          deviceAndAppManagementAssignmentFilterId: null,
          deviceAndAppManagementAssignmentFilterType: 'none',
        }),
        target('allLicensedUsersAssignmentTarget'),
        target('groupAssignmentTarget', { groupId: 'g1' }),
        { intent: 'remove', ...target('exclusionGroupAssignmentTarget', { groupName: 'Pilots' }) },
      ],
    }),
  )
  t.same(told(embedded), [])
  t.same(
    embedded.assignments.map((assignment) => [assignment.profileId, assignment.intent, assignment.target]),
    [
      ['root-1', 'apply', { kind: 'allDevices' }],
      ['root-1', 'apply', { kind: 'allUsers' }],
      ['root-1', 'apply', { kind: 'group', group: 'g1' }],
      ['root-1', 'remove', { kind: 'exclusionGroup', group: 'Pilots' }],
    ],
  )
  const beside = imported(trustedRoot(), { value: [{ id: 'root-1_g1', ...target('groupAssignmentTarget', { groupId: 'g1' }) }] })
  t.match(beside.assignments, [{ profileId: 'root-1', target: { kind: 'group', group: 'g1' }, file: '1.json', path: 'value[0]' }])
  const rows: [string, unknown, string[]][] = [
    ['no array', { assignments: 'all' }, ['error assignment-invalid 0.json assignments']],
    ['no target', { assignments: [{}] }, ['error assignment-invalid 0.json assignments[0].target']],
    ['no group', { assignments: [target('groupAssignmentTarget')] }, ['error assignment-invalid 0.json assignments[0].target.groupId']],
    [
      'a collection',
      { assignments: [target('configurationManagerCollectionAssignmentTarget', { collectionId: 'c' })] },
      ['warning assignment-target-ignored 0.json assignments[0].target'],
    ],
    [
      'a filter',
      {
        assignments: [
          target('allDevicesAssignmentTarget', {
            deviceAndAppManagementAssignmentFilterId: 'f',
            deviceAndAppManagementAssignmentFilterType: 'include',
          }),
        ],
      },
      ['warning assignment-filter-ignored 0.json assignments[0].target'],
    ],
  ]
  for (const [name, members, findings] of rows) t.same(told(imported(trustedRoot(members as Json))), findings, name)
  t.same(told(imported({ id: 'nobody_g1', ...target('groupAssignmentTarget', { groupId: 'g1' }) })), ['info type-ignored 0.json'])
})

t.test('applicability rules are told', async (t) => {
  const rule = { name: 'x', ruleType: 'include', minOSVersion: '10.0.1', maxOSVersion: null }
  t.same(
    told(imported(trustedRoot({ deviceManagementApplicabilityRuleOsVersion: rule, deviceManagementApplicabilityRuleOsEdition: null }))),
    ['warning applicability-rule-ignored 0.json deviceManagementApplicabilityRuleOsVersion'],
  )
})
