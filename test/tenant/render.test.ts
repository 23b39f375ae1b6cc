import { parsePolicy } from '@certfleet/agent-core'
import t from 'tap'
import { assignProfiles, type Device, generateTenant, parseTenant, renderPolicy, type Tenant, type User } from '#emulator/tenant/index.ts'
import { imported, type Json, rootCertificate, scep, told, trustedRoot } from './graph.ts'

const jane: User = {
  id: 'jane',
  upn: 'jane@contoso.example',
  userName: 'jane',
  email: 'jane.doe@contoso.example',
  onPremDistinguishedName: 'CN=Doe\\, Jane,OU=Users \\C3\\A9,DC=contoso,DC=example',
  onPremSamAccountName: 'jdoe',
  onPremUserPrincipalName: 'jane@corp.example',
  department: 'R&D, "special" + <odd>',
  sid: 'S-1-5-21-1-2-3-1104',
}
const laptop: Device = {
  id: 'd1',
  platform: 'windows',
  osVersion: '10.0.26100',
  user: 'jane',
  serial: 'PF0',
  imei: '004401001234567',
  meid: 'A1',
  wifiMac: '02:00:5E:00:53:01',
  deviceName: 'LAPTOP',
  aadDeviceId: 'aad-1',
  fqdn: 'laptop.corp.example',
  sid: 'S-1-5-21-9',
}

type Changes<T> = { [K in keyof T]?: T[K] | undefined }

function tenantOf(device: Changes<Device> = {}, user: Changes<User> = {}): Tenant {
  return {
    file: 'tenant',
    users: new Map([['jane', { ...jane, ...user } as User]]),
    devices: new Map([['d1', { ...laptop, ...device } as Device]]),
    groups: new Map(),
    assignments: [],
    assign: 'all',
  }
}

function render(members: Json, tenant = tenantOf(), root: Json = {}) {
  const { intent } = assignProfiles(imported(trustedRoot(root), scep(members)), tenant)
  return renderPolicy(intent, tenant, 'd1', { revision: 7 })
}

t.test('the document is what the agent reads', async (t) => {
  const document = render({
    hashAlgorithm: 'sha2',
    subjectAlternativeNameType: 'emailAddress',
    keyStorageProvider: 'useTpmKspOtherwiseFail',
  })
  t.strictSame(document, {
    schemaVersion: 1,
    revision: 7,
    deviceId: 'd1',
    trustedRoots: [
      {
        id: 'root-1',
        displayName: 'Root',
        certificate: rootCertificate,
        destinationStore: 'computer-root',
        assignedTo: ['device', 'user'],
      },
    ],
    scepProfiles: [
      {
        id: 'scep-1',
        displayName: 'Scep',
        principal: 'user',
        assignedTo: ['device', 'user'],
        scepUrls: ['https://ndes.example/certsrv/mscep/mscep.dll'],
        rootProfileId: 'root-1',
        hash: 'sha256',
        renewalThresholdPercent: 20,
        subject: 'CN=d1',
        subjectAltNames: [{ type: 'email', value: 'jane.doe@contoso.example' }],
        keyBits: 2048,
        keyStorage: 'useTpmKspOtherwiseFail',
        keyUsages: ['digitalSignature', 'keyEncipherment'],
        extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
        validity: { value: 1, scale: 'years' },
      },
    ],
    failedProfiles: [],
  })
  const policy = parsePolicy(Buffer.from(JSON.stringify(document)), 'd1')
  t.match(policy, {
    revision: 7,
    trustedRoots: [{ id: 'root-1' }],
    scepProfiles: [{ id: 'scep-1', request: { subject: 'CN=d1' } }],
    failedProfiles: [],
  })
})

t.test('subjects', async (t) => {
  const custom = (subjectNameFormatString: string): Json => ({ subjectNameFormatString })
  const named = (subjectNameFormat: string): Json => ({ subjectNameFormat })
  const rows: [Json, string][] = [
    [named('commonName'), 'CN=jane'],
    [named('commonNameIncludingEmail'), 'CN=jane,E=jane.doe@contoso.example'],
    [named('commonNameAsEmail'), 'CN=jane.doe@contoso.example'],
    [named('commonNameAsIMEI'), 'CN=004401001234567'],
    [named('commonNameAsSerialNumber'), 'CN=PF0'],
    [named('commonNameAsAadDeviceId'), 'CN=aad-1'],
    [named('commonNameAsIntuneDeviceId'), 'CN=d1'],
    [custom('CN={{UserName}},OU=Static, O=Contoso'), 'CN=jane,OU=Static,O=Contoso'],
    [custom('cn={{USERNAME}};ou={{ deviceid }}'), 'CN=jane,OU=d1'],
    [custom('CN={{UserName}}-{{DeviceName}}'), 'CN=jane-LAPTOP'],
    [custom('CN={{UserName}}+OU=x,2.5.4.5={{Device_Serial}}'), 'CN=jane+OU=x,SERIALNUMBER=PF0'],
    [
      custom('CN={{AAD_Device_ID}},OU={{AzureADDeviceId}},O={{WiFiMacAddress}},L={{MEID}},DC={{FullyQualifiedDomainName}}'),
      'CN=aad-1,OU=aad-1,O=02:00:5E:00:53:01,L=A1,DC=laptop.corp.example',
    ],
    [custom('CN={{OnPremisesSamAccountName}},OU={{OnPremisesUserPrincipalName}}'), 'CN=jdoe,OU=jane@corp.example'],
    [custom('CN="Doe, {{UserName}}",O="say ""hi"""'), 'CN="Doe, jane",O="say ""hi"""'],
    [custom('CN=x,OU={{Department}}'), 'CN=x,OU="R&D, ""special"" + <odd>"'],
    [custom('{{OnPrem_Distinguished_Name}}'), 'CN="Doe, Jane",OU=Users é,DC=contoso,DC=example'],
    [custom('{{onprem_distinguished_name}},O=Contoso'), 'CN="Doe, Jane",OU=Users é,DC=contoso,DC=example,O=Contoso'],
    [custom('CN={{OnPrem_Distinguished_Name}}'), 'CN="CN=Doe\\, Jane,OU=Users \\C3\\A9,DC=contoso,DC=example"'],
  ]
  for (const [members, subject] of rows) {
    const { scepProfiles, failedProfiles } = render(members)
    t.same([scepProfiles[0]?.subject, failedProfiles], [subject, []], JSON.stringify(members))
  }
})

t.test('a value cannot change the structure of the subject', async (t) => {
  for (const userName of ['a,O=Evil', 'a+O=Evil', 'a;O=Evil', 'a"b', ' a', '#a', 'a=b', '{{DeviceId}}', 'a\\', '$&']) {
    const { scepProfiles } = render({ subjectNameFormatString: 'CN={{UserName}},O=Contoso' }, tenantOf({}, { userName }))
    const policy = parsePolicy(Buffer.from(JSON.stringify({ ...render({}), scepProfiles })))
    t.equal(policy.scepProfiles[0]?.request.subject, scepProfiles[0]?.subject)
    const { parseDistinguishedName } = await import('@certfleet/agent-core/pki')
    t.same(
      parseDistinguishedName(scepProfiles[0]?.subject as string),
      [[{ type: '2.5.4.3', value: userName }], [{ type: '2.5.4.10', value: 'Contoso' }]],
      userName,
    )
  }
})

t.test('subject.alt-name-types, subject.sid: subject alternative names', async (t) => {
  const names: [string, string][] = [
    ['userPrincipalName', '{{UserPrincipalName}}'],
    ['emailAddress', 'x.{{EmailAddress}}'],
    ['domainNameService', '{{DeviceName}}.example'],
    ['universalResourceIdentifier', '{{OnPremisesSecurityIdentifier}}'],
    ['universalResourceIdentifier', 'urn:dev:{{SerialNumber}}'],
  ]
  const { scepProfiles } = render({ customSubjectAlternativeNames: names.map(([sanType, name]) => ({ sanType, name })) })
  t.same(scepProfiles[0]?.subjectAltNames, [
    { type: 'upn', value: 'jane@contoso.example' },
    { type: 'email', value: 'x.jane.doe@contoso.example' },
    { type: 'dns', value: 'LAPTOP.example' },
    { type: 'uri', value: 'tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104' },
    { type: 'uri', value: 'urn:dev:PF0' },
  ])
})

t.test('variables.unresolved, variables.userless, subject.formats: a variable without a value fails the profile', async (t) => {
  const subject = (subjectNameFormatString: string): Json => ({ subjectNameFormatString })
  const uri = (name: string): Json => ({ customSubjectAlternativeNames: [{ sanType: 'universalResourceIdentifier', name }] })
  const machine = { certificateStore: 'machine' }
  const rows: [string, Json, Tenant, RegExp][] = [
    [
      'an attribute the device lacks',
      subject('CN={{IMEI}}'),
      tenantOf({ imei: undefined }),
      /^\{\{IMEI\}\} cannot be resolved: device "d1" has no imei$/,
    ],
    [
      'an attribute the user lacks',
      subject('CN={{EmailAddress}}'),
      tenantOf({}, { email: '' }),
      /\{\{EmailAddress\}\}.*user "jane" has no email/,
    ],
    ['in a name', uri('urn:{{MEID}}'), tenantOf({ meid: undefined }), /\{\{MEID\}\}.*no meid/],
    ['a name nobody knows', subject('CN={{ShoeSize}}'), tenantOf(), /\{\{ShoeSize\}\}.*no such variable/],
    ['a userless device', subject('CN={{UserName}}'), tenantOf({ user: undefined }), /\{\{UserName\}\}.*device "d1" has no user/],
    ['the machine store', { ...machine, ...subject('CN={{UserName}}') }, tenantOf(), /\{\{UserName\}\}.*machine store/],
    [
      'the machine store with a named format (S32)',
      { ...machine, subjectNameFormat: 'commonNameIncludingEmail' },
      tenantOf(),
      /machine store/,
    ],
    ['a SID in a subject', subject('CN={{OnPremisesSecurityIdentifier}}'), tenantOf(), /URI subject alternative name only/],
    ['a user without SID', uri('{{OnPremisesSecurityIdentifier}}'), tenantOf({}, { sid: undefined }), /the user has no sid/],
  ]
  for (const [name, members, tenant, message] of rows) {
    const { scepProfiles, failedProfiles, trustedRoots } = render(members, tenant)
    t.match(failedProfiles, [{ id: 'scep-1', code: 'ERR_VARIABLE_UNRESOLVED', message }], name)
    t.same([scepProfiles.length, trustedRoots.length], [0, 1], 'the root goes on')
  }
  t.match(render({ ...machine, ...uri('{{OnPremisesSecurityIdentifier}}') }).scepProfiles, [
    { principal: 'device', subjectAltNames: [{ value: /sid:S-1-5-21-9$/ }] },
  ])
})

t.test('android.variables.work-profile, android.variables.device-owner, android.variables.aosp: what is kept back', async (t) => {
  const render12 = (type: string, osVersion: string, members: Json) =>
    render({ '@odata.type': `#microsoft.graph.${type}ScepCertificateProfile`, ...members }, tenantOf({ platform: 'android', osVersion }), {
      '@odata.type': `#microsoft.graph.${type}TrustedRootCertificate`,
    })
  const serial = { subjectNameFormatString: 'CN={{SerialNumber}}' }
  const upnOfName = { customSubjectAlternativeNames: [{ sanType: 'userPrincipalName', name: '{{UserName}}' }] }
  const rows: [string, string, Json, boolean][] = [
    ['androidWorkProfile', '11.9', serial, true],
    ['androidWorkProfile', '12', serial, false],
    ['androidForWork', '12', serial, false],
    ['androidDeviceOwner', '15', serial, true],
    ['androidDeviceOwner', '15', upnOfName, false],
    ['androidWorkProfile', '15', upnOfName, true],
    ['aospDeviceOwner', '13', { subjectNameFormatString: 'CN={{OnPremisesSamAccountName}}' }, false],
    ['aospDeviceOwner', '13', serial, true],
  ]
  for (const [type, osVersion, members, delivered] of rows) {
    const { scepProfiles, failedProfiles } = render12(type, osVersion, members)
    t.same([scepProfiles.length, failedProfiles.length], delivered ? [1, 0] : [0, 1], `${type} ${osVersion} ${JSON.stringify(members)}`)
  }
})

t.test('what cannot be delivered fails alone', async (t) => {
  const rows: [string, Json, Json, string, RegExp][] = [
    ['no root link', { 'rootCertificate@odata.bind': undefined }, {}, 'ERR_PROFILE_INVALID', /names no Trusted profile/],
    ['a bad profile', { keySize: 'size3' }, {}, 'ERR_PROFILE_INVALID', /^keySize: expected one of/],
    [
      'a format that no variable fills',
      { subjectNameFormat: 'commonNameAsDurableDeviceId' },
      {},
      'ERR_UNSUPPORTED',
      /commonNameAsDurableDeviceId/,
    ],
  ]
  for (const [name, members, root, code, message] of rows) {
    const document = render(members, tenantOf(), root)
    t.match(
      document,
      { trustedRoots: [{ id: 'root-1' }], scepProfiles: [], failedProfiles: [{ id: 'scep-1', principal: 'user', code, message }] },
      name,
    )
    t.equal(parsePolicy(Buffer.from(JSON.stringify(document))).failedProfiles.length, 1)
  }
  const badRoot = render({}, tenantOf(), { trustedRootCertificate: 'AAAA' })
  t.match(
    badRoot,
    {
      trustedRoots: [],
      scepProfiles: [{ id: 'scep-1' }],
      failedProfiles: [{ id: 'root-1', principal: 'device', code: 'ERR_PROFILE_INVALID' }],
    },
    'a bad root: the device judges the rest (S11)',
  )
  const long = render({ displayName: '', id: 'x'.repeat(5000), scepServerUrls: ['y'.repeat(9000)] })
  t.equal(
    parsePolicy(Buffer.from(JSON.stringify(long))).failedProfiles.length,
    1,
    'whatever the profile holds, the document stays readable',
  )
})

t.test('a profile goes to devices of its platform, management and OS version, and is nowhere else (S12)', async (t) => {
  const rows: [string, Partial<Device>, boolean][] = [
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '10.0.1' }, true],
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '11' }, true],
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '8.1' }, true],
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '6.3.9600' }, true],
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '8' }, false],
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '6.2.9200' }, false],
    ['windows81TrustedRootCertificate', { platform: 'ios', osVersion: '18' }, false],
    ['windows81TrustedRootCertificate', { platform: 'windows', osVersion: '8.1', management: 'windowsPhone81' }, false],
    ['windowsPhone81TrustedRootCertificate', { platform: 'windows', osVersion: '8.1', management: 'windowsPhone81' }, true],
    ['windowsPhone81TrustedRootCertificate', { platform: 'windows', osVersion: '10.0' }, false],
    ['windows10XTrustedRootCertificate', { platform: 'windows', osVersion: '10.0' }, false],
    ['iosTrustedRootCertificate', { platform: 'ios', osVersion: '6.0' }, true],
    ['iosTrustedRootCertificate', { platform: 'ios', osVersion: '5.1.1' }, false],
    ['macOSTrustedRootCertificate', { platform: 'macos', osVersion: '10.10' }, true],
    ['macOSTrustedRootCertificate', { platform: 'macos', osVersion: '10.8.5' }, false],
    ['androidTrustedRootCertificate', { platform: 'android', osVersion: '4.0' }, true],
    ['androidTrustedRootCertificate', { platform: 'android', osVersion: '3.2' }, false],
    ['androidWorkProfileTrustedRootCertificate', { platform: 'android', osVersion: '15' }, true],
    ['androidWorkProfileTrustedRootCertificate', { platform: 'android', osVersion: '15', management: 'workProfile' }, true],
    ['androidWorkProfileTrustedRootCertificate', { platform: 'android', osVersion: '15', management: 'deviceOwner' }, false],
    ['androidDeviceOwnerTrustedRootCertificate', { platform: 'android', osVersion: '15', management: 'deviceOwner' }, true],
    ['aospDeviceOwnerTrustedRootCertificate', { platform: 'android', osVersion: '15', management: 'aosp' }, true],
  ]
  for (const [type, device, reached] of rows) {
    const tenant = tenantOf(device)
    const { intent } = assignProfiles(imported(trustedRoot({ '@odata.type': `#microsoft.graph.${type}` })), tenant)
    const { trustedRoots, failedProfiles } = renderPolicy(intent, tenant, 'd1', { revision: 1 })
    t.same([trustedRoots.length, failedProfiles.length], [reached ? 1 : 0, 0], `${type} on ${JSON.stringify(device)}`)
  }
})

t.test('destination stores (S20), and what stands for them on types that name none', async (t) => {
  const rows: [string | null, string][] = [
    ['computerCertStoreRoot', 'computer-root'],
    ['computerCertStoreIntermediate', 'computer-intermediate'],
    ['userCertStoreIntermediate', 'user-intermediate'],
    [null, 'computer-root'],
  ]
  for (const [destinationStore, store] of rows)
    t.match(render({}, tenantOf(), { destinationStore }).trustedRoots, [{ destinationStore: store }])
})

const people = `
users: [{id: jane, upn: jane@a.example}, {id: omar, upn: omar@a.example}]
devices:
  - {id: of-jane, platform: windows, osVersion: 11, user: jane}
  - {id: of-omar, platform: windows, osVersion: 11, user: omar}
  - {id: kiosk, platform: windows, osVersion: 11}
groups:
  - {id: g-users, name: Users, users: [jane]}
  - {id: g-devices, devices: [of-jane, kiosk]}
  - {id: g-mixed, users: [omar], devices: [kiosk]}
`

function reach(yaml: string, assignments: Json[] = []) {
  const tenant = parseTenant(Buffer.from(people + yaml), 'tenant.yaml')
  const graph = imported(trustedRoot({ assignments }))
  const { intent, findings } = assignProfiles(graph, tenant)
  const assignedTo = (id: string) => renderPolicy(intent, tenant, id, { revision: 1 }).trustedRoots[0]?.assignedTo.join('+') ?? 'nobody'
  return { reached: [...tenant.devices.keys()].map(assignedTo), findings: told({ findings }) }
}

t.test('profile.targets: assignments reach devices and users', async (t) => {
  const row = (members: string) => `assignments: [{profile: Root, ${members}}]`
  const rows: [string, string[]][] = [
    [row('allDevices: true'), ['device', 'device', 'device']],
    [row('allUsers: true'), ['user', 'user', 'nobody']],
    [row('allUsers: true, allDevices: true'), ['device+user', 'device+user', 'device']],
    [row('groups: [g-users]'), ['user', 'nobody', 'nobody']],
    [row('groups: [Users]'), ['user', 'nobody', 'nobody']],
    [row('groups: [g-devices]'), ['device', 'nobody', 'device']],
    [row('groups: [g-users, g-devices]'), ['device+user', 'nobody', 'device']],
    [row('groups: [g-mixed]'), ['nobody', 'user', 'device']],
    [row('allDevices: true, excludeGroups: [g-mixed]'), ['device', 'nobody', 'nobody']],
    [row('allUsers: true, excludeGroups: [g-users]'), ['nobody', 'user', 'nobody']],
    [row('intent: remove, allDevices: true'), ['nobody', 'nobody', 'nobody']],
    ['assign: all', ['device+user', 'device+user', 'device']],
  ]
  for (const [yaml, expected] of rows) t.same(reach(yaml), { reached: expected, findings: [] }, yaml)
  const graph = [{ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId: 'g-users' } }]
  t.same(reach('', graph), { reached: ['user', 'nobody', 'nobody'], findings: [] }, "the export's own")
  t.same(reach(row('allDevices: true'), graph).reached, ['device+user', 'device', 'device'], 'both together')
})

t.test('what cannot be assigned is told', async (t) => {
  const nobody = ['nobody', 'nobody', 'nobody']
  const group = [{ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId: 'elsewhere' } }]
  t.same(reach(''), { reached: nobody, findings: ['warning assignments-missing tenant.yaml'] })
  t.same(reach('assignments: [{profile: Nothing, allDevices: true}]').findings, [
    'error assignment-profile-unknown tenant.yaml assignments[0]',
    'warning assignments-missing tenant.yaml',
  ])
  t.same(reach('', group), { reached: nobody, findings: ['warning assignment-group-unknown 0.json assignments[0]'] })
  t.same(reach('assign: all', group).findings, ['info assignments-overridden tenant.yaml'])
  const twins = imported(trustedRoot(), trustedRoot({ id: 'root-2' }))
  const tenant = parseTenant(
    Buffer.from('assignments: [{profile: Root, allDevices: true}, {profile: root-2, allDevices: true}]'),
    'tenant.yaml',
  )
  t.match(
    assignProfiles(twins, tenant).findings,
    [{ id: 'assignment-profile-unknown', message: /2 profiles are named "Root"/ }],
    'a name that two have is not guessed',
  )
})

t.test('a device that the tenant lacks is an error', async (t) => {
  const { intent } = assignProfiles(imported(), tenantOf())
  t.throws(() => renderPolicy(intent, tenantOf(), 'nope', { revision: 1 }), { code: 'ERR_PROFILE_INVALID', message: /"nope"/ })
})

t.test('generated tenants have every attribute, the same for the same index', async (t) => {
  const tenant = generateTenant({ counts: { ios: 2, windows: 1, android: 1, macos: 1 }, domain: 'contoso.example' })
  t.same([...tenant.devices.keys()], ['ios-000001', 'ios-000002', 'macos-000001', 'android-000001', 'windows-000001'])
  t.equal(tenant.users.size, 5)
  const more = generateTenant({ counts: { ios: 3 }, domain: 'contoso.example' })
  t.same(more.devices.get('ios-000002'), tenant.devices.get('ios-000002'))
  t.match(tenant.devices.get('ios-000002'), {
    imei: /^\d{15}$/,
    meid: /^A1/,
    wifiMac: /^02(:[0-9A-F]{2}){5}$/,
    serial: /^[0-9A-F]{12}$/,
    user: 'ios-user-000002',
  })
  const names = [
    '{{UserName}}',
    '{{UserPrincipalName}}',
    '{{EmailAddress}}',
    '{{OnPremisesSamAccountName}}',
    '{{SerialNumber}}',
    '{{AAD_Device_ID}}',
    '{{DeviceName}}',
    '{{WiFiMacAddress}}',
    '{{FullyQualifiedDomainName}}',
    '{{Department}}',
  ]
  const { intent } = assignProfiles(
    imported(trustedRoot(), scep({ subjectNameFormatString: names.map((name) => `OU=${name}`).join(',') })),
    tenant,
  )
  t.match(renderPolicy(intent, tenant, 'windows-000001', { revision: 1 }), {
    failedProfiles: [],
    scepProfiles: [{ assignedTo: ['device', 'user'] }],
  })
  for (const count of [-1, 0.5, Number.NaN, 1_000_001])
    t.throws(() => generateTenant({ counts: { ios: count }, domain: 'a' }), { code: 'ERR_LIMIT_EXCEEDED' }, String(count))
})

t.test('a generated tenant has the kinds of devices that are asked for', async (t) => {
  const tenant = generateTenant({
    kinds: [
      { platform: 'ios', count: 3, devicesPerUser: 2, groups: ['pilot'] },
      { platform: 'ios', count: 1, osVersion: '16.4', management: 'unmanaged' },
      { platform: 'windows', count: 1, hardware: 'no-tpm', groups: ['pilot', 'kiosk'] },
    ],
    management: { ios: 'managed' },
    domain: 'contoso.example',
  })
  const usual = { osVersion: '18.1', management: 'managed' }
  t.match(Object.fromEntries(tenant.devices), {
    'ios-000001': { ...usual, user: 'ios-user-000001' },
    'ios-000002': { ...usual, user: 'ios-user-000001' },
    'ios-000003': { ...usual, user: 'ios-user-000002' },
    'ios-000004': { osVersion: '16.4', management: 'unmanaged', user: 'ios-user-000003' },
    'windows-000001': { hardware: 'no-tpm', user: 'windows-user-000001' },
  })
  t.equal(tenant.users.size, 4)
  t.notOk('hardware' in (tenant.devices.get('ios-000001') ?? {}))
  const group = (id: string, users: string[], devices: string[]) => [id, { id, name: id, users: new Set(users), devices: new Set(devices) }]
  t.strictSame(
    [...tenant.groups],
    [
      group(
        'pilot',
        ['ios-user-000001', 'ios-user-000002', 'windows-user-000001'],
        ['ios-000001', 'ios-000002', 'ios-000003', 'windows-000001'],
      ),
      group('kiosk', ['windows-user-000001'], ['windows-000001']),
    ],
  )
  t.notOk('assign' in tenant, 'with groups the profiles go where their assignments say')
  t.equal(generateTenant({ kinds: [{ platform: 'ios', count: 1 }], domain: 'a' }).assign, 'all')
})

t.test('S28: multi-factor authentication is asked of profiles whose key goes to Passport for Work', async (t) => {
  const passport = { keyStorageProvider: 'usePassportForWorkKspOtherwiseFail' }
  const rows: readonly (readonly [
    name: string,
    members: Json,
    multiFactor: readonly string[],
    required: boolean,
    told: readonly RegExp[],
  ])[] = [
    ['named', passport, ['scep-1'], true, []],
    ['not named', passport, [], false, []],
    [
      'for a key elsewhere',
      { keyStorageProvider: 'useTpmKspOtherwiseFail' },
      ['scep-1'],
      false,
      [/only storage that can require more factors/],
    ],
    ['for nobody', passport, ['nobody'], false, [/no profile has the id or name "nobody"/]],
    ['for a root', passport, ['root-1'], false, [/only storage/]],
  ]
  for (const [name, members, multiFactor, required, messages] of rows) {
    const tenant = { ...tenantOf(), multiFactor }
    const { intent, findings } = assignProfiles(imported(trustedRoot(), scep(members)), tenant)
    const { scepProfiles } = parsePolicy(Buffer.from(JSON.stringify(renderPolicy(intent, tenant, 'd1', { revision: 1 }))))
    t.equal(scepProfiles[0]?.multiFactor ?? false, required, name)
    t.match(
      findings,
      messages.map((message) => ({ id: 'multi-factor-profile', severity: 'error', message })),
      name,
    )
    t.equal(findings.length, messages.length, name)
  }
})
