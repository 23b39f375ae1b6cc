import { factOverrides, parseOs, type ReadDelivery, readSyncMl, renderSyncMl, type ScepDelivery } from '@certfleet/platforms'
import t from 'tap'
import { add, atomic, command, delivery, message, refusal, root, rootDer, rootSha1, sample, wifi } from './syncml.ts'

const os = parseOs('windows', '10.0.19045')
const tree = './Device/Vendor/MSFT/ClientCertificateInstall'
const stores = './Device/Vendor/MSFT/RootCATrustedCertificates'
const thumbprint = rootSha1.toUpperCase()

const required = {
  ServerURL: 'https://a.example/scep',
  Challenge: 'cw==',
  SubjectName: 'CN=ada',
  KeyUsage: '160',
  KeyLength: '2048',
  HashAlgorithm: 'SHA-2',
  EKUMapping: '1.3.6.1.5.5.7.3.2',
  CAThumbprint: thumbprint,
}
type Nodes = Readonly<Record<string, string | undefined>>

const adds = (nodes: Nodes, path = `${tree}/SCEP/p1`): string[] =>
  Object.entries(nodes).flatMap(([name, value]) => (value === undefined ? [] : [add(`${path}/Install/${name}`, value)]))
const enroll = command('Exec', `${tree}/SCEP/p1/Install/Enroll`)
const request = (nodes: Nodes = {}): string => message(atomic(...adds({ ...required, ...nodes }), enroll))

const read = (text: string, on = os): ReadDelivery => readSyncMl(text, on)
const scepOf = (nodes: Nodes, on = os): ScepDelivery => read(request(nodes), on).scep[0] as ScepDelivery
const refused = (text: string, on = os): string => refusal(() => read(text, on)).replace(/^ERR_PROFILE_INVALID: /, '')

const pfxNodes = { KeyLocation: '3', PFXCertPassword: 'pw', PFXCertBlob: 'AQI=' }
const pfx = (nodes: Nodes): string => {
  const given = Object.entries<string | undefined>({ ...pfxNodes, ...nodes })
  return message(atomic(...given.flatMap(([name, value]) => (value === undefined ? [] : [add(`${tree}/PFXCertInstall/x/${name}`, value)]))))
}

t.test('a delivery is rendered node by node, Enroll and the blob last', async (t) => {
  const { text, mediaType, extension } = renderSyncMl(delivery, os)
  t.strictSame([mediaType, extension], ['application/vnd.syncml.dm+xml', '.syncml.xml'])
  const nodes = [...text.matchAll(/<LocURI>\.\/(\w+)\/Vendor\/MSFT\/([^<]*)<\/LocURI>.*?(?:<Data>(.*?)<\/Data>)?<\/Item>/g)]
  const scep = 'ClientCertificateInstall/SCEP/wifi'
  t.strictSame(
    nodes.map(([, scope, path, data]) => [scope, path, data]),
    [
      ['Device', `RootCATrustedCertificates/Root/${thumbprint}/EncodedCertificate`, 'MAMCAQE='],
      ['Device', scep, undefined],
      ['Device', `${scep}/Install/ServerURL`, 'https://a.example/scep;https://b.example/scep?x=1&amp;y=2'],
      ['Device', `${scep}/Install/Challenge`, Buffer.from('p<a>&s').toString('base64')],
      ['Device', `${scep}/Install/SubjectName`, 'CN=&quot;ada, the first&quot;,O=Example'],
      ['Device', `${scep}/Install/KeyUsage`, '160'],
      ['Device', `${scep}/Install/KeyLength`, '2048'],
      ['Device', `${scep}/Install/HashAlgorithm`, 'SHA-1+SHA-2'],
      ['Device', `${scep}/Install/EKUMapping`, '1.3.6.1.5.5.7.3.2+1.3.6.1.4.1.311.10.3.4'],
      ['Device', `${scep}/Install/CAThumbprint`, thumbprint],
      ['Device', `${scep}/Install/KeyProtection`, '2'],
      ['Device', `${scep}/Install/RetryCount`, '3'],
      ['Device', `${scep}/Install/RetryDelay`, '1'],
      ['Device', `${scep}/Install/SubjectAlternativeNames`, '11+ada+wifi@contoso.example;2+ada@contoso.example;3+ada.example;7+urn:ada'],
      ['Device', `${scep}/Install/ValidPeriod`, 'Years'],
      ['Device', `${scep}/Install/ValidPeriodUnits`, '2'],
      ['Device', `${scep}/Install/Enroll`, undefined],
      ['User', 'ClientCertificateInstall/PFXCertInstall/mail', undefined],
      ['User', 'ClientCertificateInstall/PFXCertInstall/mail/KeyLocation', '3'],
      ['User', 'ClientCertificateInstall/PFXCertInstall/mail/PFXCertPassword', ' p&amp;w '],
      ['User', 'ClientCertificateInstall/PFXCertInstall/mail/PFXCertPasswordEncryptionType', '0'],
      ['User', 'ClientCertificateInstall/PFXCertInstall/mail/PFXKeyExportable', 'true'],
      ['User', 'ClientCertificateInstall/PFXCertInstall/mail/PFXCertBlob', 'AQI='],
    ],
  )
  t.equal(text.match(/<Atomic>/g)?.length, 2)
  const ids = [...text.matchAll(/<CmdID>(\d+)<\/CmdID>/g)].map(([, id]) => Number(id))
  t.strictSame(
    ids,
    [...ids.keys()].map((index) => index + 1),
    'no CmdID is used twice',
  )
})

const changed = (change: Partial<ScepDelivery>) => renderSyncMl({ ...delivery, scep: [{ ...wifi, ...change }] }, os)
const without = (name: keyof ScepDelivery) => {
  const { [name]: _, ...rest } = wifi
  return () => renderSyncMl({ ...delivery, roots: [], scep: [rest as ScepDelivery] }, os)
}

const values: readonly (readonly [fact: string, what: string, change: Partial<ScepDelivery>, node: string, value: string])[] = [
  ['windows.csp.key-protection', 'the first option', { keyStorage: 'useTpmKspOtherwiseUseSoftwareKsp' }, 'KeyProtection', '2'],
  ['windows.csp.key-protection', 'the second option', { keyStorage: 'useTpmKspOtherwiseFail' }, 'KeyProtection', '1'],
  ['windows.csp.key-protection', 'the third option', { keyStorage: 'usePassportForWorkKspOtherwiseFail' }, 'KeyProtection', '4'],
  ['windows.csp.key-protection', 'the fourth option', { keyStorage: 'useSoftwareKsp' }, 'KeyProtection', '3'],
  ['windows.csp.container-name', 'Passport', { keyStorage: 'usePassportForWorkKspOtherwiseFail' }, 'ContainerName', 'wifi'],
  ['windows.csp.key-usage', 'signature alone', { keyUsages: ['digitalSignature'] }, 'KeyUsage', '128'],
  ['windows.csp.key-usage', 'encipherment alone', { keyUsages: ['keyEncipherment'] }, 'KeyUsage', '32'],
  ['windows.csp.subject-quoting', 'a comma', { subject: 'CN=a\\, b' }, 'SubjectName', 'CN=&quot;a, b&quot;'],
  ['windows.csp.subject-quoting', 'a quote', { subject: 'CN=a\\"b' }, 'SubjectName', 'CN=&quot;a&quot;&quot;b&quot;'],
  ['windows.csp.subject-quoting', 'space around it', { subject: 'CN=" a "' }, 'SubjectName', 'CN=&quot; a &quot;'],
  ['windows.csp.subject-quoting', 'several parts', { subject: 'CN=a+OU=b, O=ü' }, 'SubjectName', 'CN=a+OU=b,O=ü'],
  ['windows.csp.hash-names', 'SHA-512 by its family', { hashes: ['sha512'] }, 'HashAlgorithm', 'SHA-2'],
  ['windows.csp.hash-names', 'a family once', { hashes: ['sha256', 'sha512'] }, 'HashAlgorithm', 'SHA-2'],
  ['windows.csp.validity', 'days', { validity: { value: 30, scale: 'days' } }, 'ValidPeriod', 'Days'],
  ['windows.csp.validity', 'months', { validity: { value: 6, scale: 'months' } }, 'ValidPeriod', 'Months'],
  ['windows.csp.retry-delay-unit', 'a minute and a bit', { retries: { count: 0, delayMs: 61_000 } }, 'RetryDelay', '2'],
]
for (const [fact, what, change, node, value] of values) {
  t.test(`${fact}: ${what}`, async (t) => {
    t.equal(new RegExp(`/Install/${node}</LocURI>.*?<Data>(.*?)</Data>`).exec(changed(change).text)?.[1], value)
  })
}

t.test('what has no place is told with its fact', async (t) => {
  const told = (change: Partial<ScepDelivery>) =>
    changed(change).lost.flatMap(({ id, setting, reason }) => (id === 'wifi' ? [`${setting} ${/\(([\w.-]+)\)$/.exec(reason)?.[1]}`] : []))
  const always = ['displayName windows.csp.install-nodes', 'renewalThresholdPercent windows.csp.install-nodes']
  t.strictSame(told({}), always)
  t.strictSame(told({ hashes: ['sha384'] }), [...always, 'hashes windows.csp.hash-names'])
  t.strictSame(told({ hashes: [] }), [...always, 'hashes windows.csp.required-nodes'])
  t.strictSame(told({ subjectAltNames: [{ type: 'dns', value: 'a;b' }] }), [...always, 'subjectAltNames windows.csp.san-separators'])
  t.strictSame(told({ retries: { count: 1, delayMs: 1 } }), [...always, 'retries windows.csp.retry-delay-unit'])
  const ofRoots = renderSyncMl({ ...delivery, roots: [root, { ...root, id: 'again' }] }, os).lost.filter(({ id }) => id === 'again')
  t.strictSame(
    ofRoots.map(({ setting }) => setting),
    ['certificate', 'id', 'displayName'],
  )
})

const notRendered: readonly (readonly [what: string, run: () => unknown, expected: RegExp])[] = [
  [
    'no key size',
    without('keyBits'),
    /ERR_PROFILE_INVALID: "wifi" has no keyBits, and KeyLength must be there \(windows\.csp\.required-nodes\)/,
  ],
  ['no key usages', without('keyUsages'), /KeyUsage must be there/],
  ['no root', without('rootThumbprint'), /CAThumbprint must be there/],
  ['no kind of usage', () => changed({ keyUsages: [] }), /windows\.key-usage\.required/],
  ['a key size of another kind', () => changed({ keyBits: 3072 }), /KeyLength 3072 .*windows\.csp\.key-length/],
  ['a URL with a semicolon', () => changed({ urls: ['https://a/;b'] }), /windows\.csp\.url-separator/],
  ['no URL', () => changed({ urls: [] }), /windows\.csp\.required-nodes/],
  ['no OID', () => changed({ extendedKeyUsages: ['clientAuth'] }), /EKUMapping/],
  ['a subject that is none', () => changed({ subject: 'ada' }), /invalid subject name/],
  ['a challenge that is no text', () => changed({ challenge: 's3cret\u0000' }), /windows\.csp\.challenge/],
  ['an id that is no text', () => changed({ id: 'a\ud800' }), /cannot name a node/],
  [
    'a control character in a password',
    () => renderSyncMl({ ...delivery, pfx: delivery.pfx.map((one) => ({ ...one, password: 's3cret\u0001' })) }, os),
    /PFXCertPassword" holds a character/,
  ],
  [
    'an exportable key in the TPM',
    () => renderSyncMl({ ...delivery, pfx: delivery.pfx.map((one) => ({ ...one, keyStorage: 'useTpmKspOtherwiseFail' as const })) }, os),
    /windows\.pfx\.exportable/,
  ],
  [
    'one id twice in another case',
    () => renderSyncMl({ ...delivery, scep: [wifi, { ...wifi, id: 'WIFI' }] }, os),
    /status 418.*windows\.csp\.existing-node/,
  ],
  [
    'Passport with a key of 4096 bits',
    () => changed({ keyStorage: 'usePassportForWorkKspOtherwiseFail', keyBits: 4096 }),
    /ERR_UNSUPPORTED.*windows\.passport\.key-size/,
  ],
]
for (const [what, run, expected] of notRendered) {
  t.test(`not rendered: ${what}`, async (t) => {
    const said = refusal(run)
    t.match(said, expected)
    t.notMatch(said, 's3cret')
  })
}

t.test('one id for the device and for the user is two requests', async (t) => {
  const { text } = renderSyncMl({ ...delivery, scep: [wifi, { ...wifi, principal: 'user' }] }, os)
  t.strictSame(
    read(text).scep.map(({ principal }) => principal),
    ['device', 'user'],
  )
})

const rules: readonly (readonly [fact: string, what: string, text: string, expected: string | RegExp])[] = [
  ['windows.csp.enroll-last', 'no Enroll', message(atomic(...adds(required))), /SCEP\/p1 has no Exec of Install\/Enroll/],
  [
    'windows.csp.enroll-last',
    'Enroll before the end',
    message(atomic(...adds(required), enroll, ...adds({ RetryCount: '1' }))),
    /Add follows Enroll of "p1"/,
  ],
  ['windows.csp.enroll-last', 'Enroll twice', message(atomic(...adds(required), enroll, enroll)), /Exec follows Enroll/],
  [
    'windows.csp.enroll-last',
    'a command of another request behind it',
    message(atomic(...adds(required), enroll, add(`${stores}/Root/${thumbprint}/EncodedCertificate`, 'MAMCAQE='))),
    'accepted',
  ],
  ['windows.csp.atomic', 'no Atomic', message(...adds(required), enroll), /Enroll stands in no Atomic/],
  ['windows.csp.atomic', 'Enroll alone in it', message(...adds(required), atomic(enroll)), /Install\/\w+ stands outside/i],
  [
    'windows.csp.atomic',
    'two of them',
    message(atomic(...adds({ ServerURL: 'https://a' })), atomic(...adds({ ...required, ServerURL: undefined }), enroll)),
    /stands outside/,
  ],
  [
    'windows.csp.atomic',
    'a Sequence in it',
    message(atomic(`<Sequence><CmdID>1</CmdID>${adds(required).join('')}</Sequence>`, enroll)),
    'accepted',
  ],
  [
    'windows.csp.atomic',
    'a PFX outside',
    message(...Object.entries(pfxNodes).map(([name, value]) => add(`${tree}/PFXCertInstall/x/${name}`, value))),
    /do not stand in one Atomic/,
  ],
  ...Object.keys(required).map(
    (name) =>
      ['windows.csp.required-nodes', `no ${name}`, request({ [name]: undefined }), new RegExp(`"p1" has no Install/${name}`)] as const,
  ),
  ['windows.key-usage.required', 'neither bit', request({ KeyUsage: '64' }), /Install\/KeyUsage 64 has neither 128 nor 32/],
  ['windows.csp.key-usage', 'not decimal', request({ KeyUsage: '0xA0' }), /Install\/KeyUsage .* is refused: expected a whole number/],
  ['windows.csp.key-length', '512', request({ KeyLength: '512' }), /Install\/KeyLength 512 is none of 1024, 2048, 4096/],
  ['windows.csp.key-length', '1024', request({ KeyLength: '1024' }), 'accepted'],
  ['windows.csp.key-length', '4096', request({ KeyLength: '4096' }), 'accepted'],
  ['windows.csp.key-protection', 'a fifth', request({ KeyProtection: '5' }), /KeyProtection 5 is none of 1 to 4/],
  ['windows.csp.key-protection', 'none', request({ KeyProtection: '0' }), /KeyProtection 0 is none of 1 to 4/],
  ['windows.csp.container-name', 'Passport without it', request({ KeyProtection: '4' }), /KeyProtection 4 without Install\/ContainerName/],
  ['windows.csp.container-name', 'Passport with it', request({ KeyProtection: '4', ContainerName: 'c' }), 'accepted'],
  ['windows.csp.container-name', 'a PFX for Passport', pfx({ KeyLocation: '4' }), /KeyLocation 4 without ContainerName/],
  ['windows.csp.ca-thumbprint', '19 bytes', request({ CAThumbprint: thumbprint.slice(2) }), /CAThumbprint .*expected 20 bytes in hex/],
  ['windows.csp.ca-thumbprint', '21 bytes', request({ CAThumbprint: `${thumbprint}00` }), /CAThumbprint .*expected 20 bytes in hex/],
  ['windows.csp.ca-thumbprint', 'no hex', request({ CAThumbprint: 'Z'.repeat(40) }), /CAThumbprint .*expected 20 bytes in hex/],
  ['windows.csp.hash-names', 'a hash of nobody', request({ HashAlgorithm: 'MD5' }), /names no hash that is known here/],
  [
    'windows.csp.san-separators',
    'a name without a kind',
    request({ SubjectAlternativeNames: 'ada@x' }),
    /Install\/SubjectAlternativeNames holds no kind/,
  ],
  ['windows.csp.validity', 'weeks', request({ ValidPeriod: 'Weeks', ValidPeriodUnits: '1' }), /Install\/ValidPeriod .* is refused/],
  [
    'windows.pfx.exportable',
    'in the TPM',
    pfx({ KeyLocation: '2', PFXKeyExportable: 'true' }),
    /PFXKeyExportable is true, KeyLocation is 2/,
  ],
  ['windows.pfx.exportable', 'in software', pfx({ PFXKeyExportable: 'True' }), 'accepted'],
  ['windows.pfx.exportable', 'not, in the TPM', pfx({ KeyLocation: '1', PFXKeyExportable: 'false' }), 'accepted'],
  ['windows.pfx.key-location', 'a fifth', pfx({ KeyLocation: '5' }), /KeyLocation 5 is none of 1 to 4/],
  ['windows.pfx.key-location', 'none', pfx({ KeyLocation: undefined }), /PFXCertInstall\/x\/KeyLocation .* is refused/],
  ['windows.csp.pfx-nodes', 'no blob', pfx({ PFXCertBlob: undefined }), /PFXCertInstall\/x has no PFXCertBlob/],
  ['windows.csp.pfx-nodes', 'no base64', pfx({ PFXCertBlob: 'a_b=' }), /PFXCertBlob .* is refused: expected base64/],
  [
    'windows.pfx.replace',
    'a blob that is not there',
    message(atomic(add(`${tree}/PFXCertInstall/x/KeyLocation`, '3'), command('Replace', `${tree}/PFXCertInstall/x/PFXCertBlob`, 'AQI='))),
    /Replace of pfxcertblob, which does not exist, fails/,
  ],
  [
    'windows.csp.no-user-root',
    "a user's root",
    message(add(`./User/Vendor/MSFT/RootCATrustedCertificates/Root/${thumbprint}/EncodedCertificate`, 'MAMCAQE=')),
    /the Root store of a user/,
  ],
  [
    'windows.csp.no-user-root',
    "a user's intermediate",
    message(add(`./User/Vendor/MSFT/RootCATrustedCertificates/CA/${thumbprint}/EncodedCertificate`, 'MAMCAQE=')),
    'accepted',
  ],
  [
    'windows.csp.root-nodes',
    'line breaks',
    message(add(`${stores}/Root/${thumbprint}/EncodedCertificate`, 'MAMC\nAQE=')),
    /EncodedCertificate \(windows\.csp\.root-nodes\) is refused: expected base64 without line breaks/,
  ],
  [
    'windows.csp.root-mismatch',
    'another SHA-1',
    message(add(`${stores}/Root/${'0'.repeat(40)}/EncodedCertificate`, 'MAMCAQE=')),
    /has another SHA-1.*status 500/,
  ],
  [
    'windows.csp.store-replace',
    'below CertificateStore',
    message(command('Replace', `./Vendor/MSFT/CertificateStore/ROOT/System/${thumbprint}/EncodedCertificate`, 'MAMCAQE=')),
    /which does not exist, is refused \(status 404\)/,
  ],
  [
    'windows.csp.store-replace',
    'below RootCATrustedCertificates',
    message(command('Replace', `${stores}/Root/${thumbprint}/EncodedCertificate`, 'MAMCAQE=')),
    'accepted',
  ],
  [
    'windows.csp.existing-node',
    'a node added twice',
    message(atomic(...adds(required), ...adds({ KeyLength: '2048' }), enroll)),
    /Add of install\/keylength, which exists, is refused \(status 418\)/,
  ],
  [
    'windows.csp.existing-node',
    'in another case',
    message(atomic(...adds(required), add(`${tree}/SCEP/P1/install/KEYLENGTH`, '2048'), enroll)),
    /status 418/,
  ],
  [
    'windows.csp.atomic-commands',
    'Get',
    message(atomic(command('Get', `${tree}/SCEP/p1/Status`))),
    /Get in an Atomic is refused \(status 500\)/,
  ],
  ['windows.csp.atomic-commands', 'an Atomic', message(atomic(atomic(...adds(required), enroll))), /Atomic in an Atomic is refused/],
  [
    'windows.csp.atomic-commands',
    'an Atomic in a Sequence',
    message(`<Sequence><CmdID>1</CmdID>${atomic(...adds(required), enroll)}</Sequence>`),
    'accepted',
  ],
  [
    'windows.csp.atomic-commands',
    'Add and Replace of one node',
    message(atomic(...adds(required), command('Replace', `${tree}/SCEP/p1/Install/KeyLength`, '1024'), enroll)),
    /added in the same Atomic, is refused/,
  ],
  ['windows.csp.malformed-command', 'no CmdID', message('<Add><Item/></Add>'), /line 1: Add without a CmdID is refused \(status 400\)/],
  ['windows.csp.malformed-command', 'no command', message('<Install><CmdID>1</CmdID></Install>'), /an element that is no command/],
]
for (const [fact, what, text, expected] of rules) {
  t.test(`${fact}: ${what}`, async (t) => {
    const said = refused(text)
    if (typeof expected === 'string') t.equal(said, expected)
    else {
      t.match(said, expected)
      t.ok(said.includes(`(${fact})`), fact)
    }
  })
}

const reads: readonly (readonly [fact: string, what: string, found: () => unknown, expected: unknown])[] = [
  ['windows.csp.challenge', 'base64 of text is decoded', () => scepOf({ Challenge: 'bGFi' }).challenge, 'lab'],
  [
    'windows.csp.challenge',
    'base64 of no text stays',
    () => scepOf({ Challenge: '1234CB055B7EBF384A9486A22B7559A5' }).challenge,
    '1234CB055B7EBF384A9486A22B7559A5',
  ],
  ['windows.csp.challenge', 'text that is no base64 stays', () => scepOf({ Challenge: 'not base64' }).challenge, 'not base64'],
  ['windows.csp.challenge', 'an empty one is none', () => scepOf({ Challenge: '' }).challenge, undefined],
  ['windows.csp.challenge', 'plain where that is said', () => scepOf({ Challenge: 'bGFi' }, plain).challenge, 'bGFi'],
  [
    'windows.csp.challenge',
    'rendered plain where that is said',
    () => /Challenge<.*?<Data>(.*?)</.exec(renderSyncMl({ ...delivery, scep: [{ ...wifi, challenge: 'lab' }] }, plain).text)?.[1],
    'lab',
  ],
  [
    'windows.csp.key-usage',
    'other bits are passed over',
    () => scepOf({ KeyUsage: '224' }).keyUsages,
    ['digitalSignature', 'keyEncipherment'],
  ],
  [
    'windows.csp.key-usage',
    'and told',
    () => read(request({ KeyUsage: '224' })).skipped,
    ['p1: Install/KeyUsage: 64 of it is not modelled'],
  ],
  ['windows.csp.key-protection-default', 'software', () => scepOf({}).keyStorage, 'useSoftwareKsp'],
  ['windows.csp.key-protection', 'TPM', () => scepOf({ KeyProtection: '1' }).keyStorage, 'useTpmKspOtherwiseFail'],
  ['windows.csp.url-separator', 'two URLs', () => scepOf({ ServerURL: 'https://a; https://b;' }).urls, ['https://a', 'https://b']],
  ['windows.csp.eku-separator', 'two purposes', () => scepOf({ EKUMapping: '1.2.3+1.2.4' }).extendedKeyUsages, ['1.2.3', '1.2.4']],
  ['windows.csp.eku-separator', 'none', () => scepOf({ EKUMapping: '' }).extendedKeyUsages, []],
  ['windows.csp.hash-names', 'both families', () => scepOf({ HashAlgorithm: 'SHA-1+sha-2' }).hashes, ['sha1', 'sha256']],
  ['windows.csp.hash-names', 'SHA-3 is told', () => read(request({ HashAlgorithm: 'SHA-2+SHA-3' })).skipped.length, 1],
  [
    'windows.csp.san-types',
    'the four kinds',
    () => scepOf({ SubjectAlternativeNames: '2+a;3+b;7+c;11+d' }).subjectAltNames.map(({ type }) => type),
    ['email', 'dns', 'uri', 'upn'],
  ],
  ['windows.csp.san-types', 'another kind is told', () => read(request({ SubjectAlternativeNames: '8+1.2.3.4' })).skipped.length, 1],
  [
    'windows.csp.san-separators',
    'a + in a name',
    () => scepOf({ SubjectAlternativeNames: '2+a+b@x' }).subjectAltNames,
    [{ type: 'email', value: 'a+b@x' }],
  ],
  ['windows.csp.validity', 'days unless said', () => scepOf({ ValidPeriodUnits: '30' }).validity, { value: 30, scale: 'days' }],
  ['windows.csp.validity', 'none unless said', () => scepOf({ ValidPeriod: 'Years' }).validity, undefined],
  ['windows.pending.polls', 'the CSP default', () => scepOf({ RetryDelay: '2' }).retries, { count: 3, delayMs: 120_000 }],
  ['windows.pending.delay', 'the CSP default', () => scepOf({ RetryCount: '99' }).retries, { count: 99, delayMs: 300_000 }],
  [
    'windows.csp.caseless-paths',
    'other cases',
    () => read(request().replaceAll('Vendor/MSFT/ClientCertificateInstall', 'VENDOR/msft/CLIENTcertificateINSTALL')).scep.length,
    1,
  ],
  [
    'windows.csp.caseless-paths',
    'no scope is the device',
    () => read(request().replaceAll('./Device/', './')).scep[0]?.principal,
    'device',
  ],
  [
    'windows.csp.install-nodes',
    'a node of nobody is told',
    () => read(request({ Colour: 'red' })).skipped,
    ['p1: no node is called colour'],
  ],
  [
    'windows.csp.install-nodes',
    'a node that is not modelled is told',
    () => read(request({ TemplateName: '1.2' })).skipped,
    ['p1: Install/TemplateName: not modelled'],
  ],
  ['windows.csp.pfx-password', 'one for a certificate is passed over', () => read(pfx({ PFXCertPasswordEncryptionType: '2' })).pfx, []],
  ['windows.csp.pfx-password', 'and told', () => read(pfx({ PFXCertPasswordEncryptionType: '1' })).skipped.length, 1],
  [
    'windows.csp.snapshot',
    'later changes are told',
    () => read(message(atomic(...adds(required), enroll), command('Replace', `${tree}/SCEP/p1/Install/KeyLength`, '4096'))).skipped,
    [`Replace ${tree}/SCEP/p1/Install/KeyLength: after Enroll (windows.csp.snapshot)`],
  ],
  ['windows.csp.old-tree', 'its own spellings', () => oldTree('HashAlgrithm', 'ValidPeriodUnit')?.validity, { value: 5, scale: 'days' }],
  [
    'windows.csp.old-tree',
    'in its tree only',
    () => refused(request({ HashAlgorithm: undefined, HashAlgrithm: 'SHA-2' })),
    '"p1" has no Install/HashAlgorithm, which must be there (windows.csp.required-nodes)',
  ],
  [
    'windows.csp.root-nodes',
    'each store',
    () =>
      read(
        message(
          ...[`${stores}/Root`, `${stores}/CA`, './User/Vendor/MSFT/RootCATrustedCertificates/CA'].map((path) =>
            add(`${path}/${thumbprint}/EncodedCertificate`, 'MAMCAQE='),
          ),
        ),
      ).roots.map(({ destinationStore }) => destinationStore),
    ['computer-root', 'computer-intermediate', 'user-intermediate'],
  ],
  [
    'windows.csp.root-nodes',
    'the older stores',
    () =>
      read(
        message(
          ...['ROOT/System', 'CA'].map((path) =>
            add(`./Vendor/MSFT/CertificateStore/${path}/${thumbprint}/EncodedCertificate`, 'MAMCAQE='),
          ),
        ),
      ).roots.map(({ destinationStore }) => destinationStore),
    ['computer-root', 'computer-intermediate'],
  ],
]
const plain = parseOs('windows', '10', factOverrides({ 'windows.csp.challenge': 'plain' }))
function oldTree(hash: string, units: string) {
  const { HashAlgorithm, ...others } = required
  const path = './Vendor/MSFT/CertificateStore/MY/SCEP/p1'
  return read(message(atomic(...adds({ ...others, [hash]: HashAlgorithm, [units]: '5' }, path), command('Exec', `${path}/Install/Enroll`))))
    .scep[0]
}
for (const [fact, what, found, expected] of reads) t.test(`${fact}: ${what}`, async (t) => t.strictSame(found(), expected))

t.test('a request is tied to its root by the thumbprint', async (t) => {
  const { roots, scep } = read(
    message(add(`${stores}/Root/${thumbprint}/EncodedCertificate`, 'MAMCAQE='), atomic(...adds(required), enroll)),
  )
  t.equal(scep[0]?.rootId, roots[0]?.id)
  t.strictSame(Buffer.from(roots[0]?.certificate ?? []), rootDer)
})

t.test('commands of other kinds are passed over and told, Delete leaves nothing', async (t) => {
  const body = [
    ...['Get', 'Add', 'Replace'].map((verb) => command(verb, './Vendor/MSFT/DMClient/Provider', 'x')),
    `<Status><CmdID>1</CmdID><Data>200</Data></Status><Alert><CmdID>1</CmdID><Data>1201</Data></Alert>`,
    command('Delete', `${tree}/PFXCertInstall/old`),
    add(`${stores}/TrustedPeople/${thumbprint}/EncodedCertificate`, 'MAMCAQE='),
    atomic(...adds(required)),
    command('Delete', `${tree}/SCEP/p1`),
  ]
  const { roots, scep, skipped } = read(message(...body))
  t.strictSame([roots, scep], [[], []])
  t.strictSame(skipped, [
    ...['Get', 'Add', 'Replace'].map((verb) => `${verb} ./Vendor/MSFT/DMClient/Provider`),
    'Alert',
    `Delete ${tree}/PFXCertInstall/old`,
    `Add ${stores}/TrustedPeople/${thumbprint}/EncodedCertificate`,
  ])
})

t.test('what is no SyncML is refused, and Apple takes none', async (t) => {
  t.match(refused('<a/>'), /the file is no SyncML: expected SyncML with a SyncBody at line 1/)
  t.match(refused('<SyncML xmlns="urn:x"><SyncBody/></SyncML>'), /no SyncML/)
  t.match(refused('<SyncML><SyncHdr/></SyncML>'), /no SyncML/)
  t.equal(refused('<SyncML><SyncBody/></SyncML>'), 'accepted')
  t.match(refused(request(), parseOs('ios', '17')), /ERR_UNSUPPORTED: ios takes no SyncML/)
})

const enrollment = sample('scep-enroll.syncml.txt')
t.test('the published SCEP message', { skip: enrollment.missing }, async (t) => {
  t.match(refused(enrollment.text), /^the file is refused at line 8, column \d+: /, 'its placeholder is no XML')
  const named = enrollment.text.replaceAll('<InsertUniqueIDHere>', 'p1')
  t.match(refused(named), /CAThumbprint \(windows\.csp\.ca-thumbprint\)/, 'its thumbprint has 16 bytes')
  const { scep, skipped } = read(named.replace('12345087E648875D1DF5D9F9FF89DD10', thumbprint))
  t.strictSame(skipped, [])
  t.strictSame(scep, [
    {
      id: 'p1',
      displayName: 'p1',
      principal: 'device',
      urls: ['http://constoso.com/certsrv/mscep/mscep.dll'],
      subject: 'CN=ContosoCSP',
      subjectAltNames: [],
      keyBits: 1024,
      keyUsages: ['digitalSignature', 'keyEncipherment'],
      keyStorage: 'useSoftwareKsp',
      hashes: ['sha1'],
      extendedKeyUsages: ['1.3.6.1.4.1.311.10.3.12', '1.3.6.1.4.1.311.10.3.4', '1.3.6.1.4.1.311.20.2.2', '1.3.6.1.5.5.7.3.2'],
      rootThumbprint: rootSha1,
      challenge: '1234CB055B7EBF384A9486A22B7559A5',
      validity: { value: 1, scale: 'years' },
      retries: { count: 1, delayMs: 60_000 },
    },
  ])
})

const installation = sample('pfx-install.syncml.txt')
t.test('the published PFX message', { skip: installation.missing }, async (t) => {
  t.match(refused(installation.text), /windows\.pfx\.exportable/, 'it breaks the rule of its own page')
  const software = installation.text.replace('<Data>2</Data>', '<Data>3</Data>')
  t.match(refused(software), /PFXCertBlob .* is refused/, 'its blob is a placeholder')
  const blob = software.replace('Base64_Encode_Cert_Blob', 'AQI=')
  const { pfx: none, skipped } = read(blob)
  t.strictSame([none.length, skipped.length], [0, 2], 'what it deletes is not there, and the password is for a certificate')
  const open = blob.replace('<Data>2</Data>', '<Data>0</Data>')
  t.match(read(open).pfx, [
    { principal: 'user', keyStorage: 'useSoftwareKsp', exportable: true, password: 'Base64Encoded_Encrypted_Password_Blog' },
  ])
})
