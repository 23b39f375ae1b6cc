import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import { buildSignedData } from '@certfleet/agent-core/cms'
import { parseCertificate } from '@certfleet/agent-core/pki'
import {
  type Delivery,
  type FactOverrides,
  parseOs,
  readDeliveryFile,
  readMobileconfig,
  renderFor,
  renderMobileconfig,
  type ScepDelivery,
} from '@certfleet/platforms'
import fc from 'fast-check'
import { buildBinary, parse } from 'plist'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { root as folder } from '../tooling/root.ts'

const key = await testKey('root')
const rootCertificate = await testCertificate({ subject: 'CN=Root', key, ca: true })
const issuing = await testCertificate({
  subject: 'CN=Issuing',
  key: await testKey('issuing'),
  issuer: { subject: 'CN=Root', key },
  ca: true,
})
const [ios, macos] = [parseOs('ios', '18.1'), parseOs('macos', '15.1')]

const wifi: ScepDelivery = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  urls: ['https://ndes.example.com/certsrv/mscep/mscep.dll'],
  challenge: 'open-sesame',
  subject: 'CN=laptop-1,O="Example, Inc."',
  subjectAltNames: [{ type: 'dns', value: 'laptop-1.example.com' }],
  keyBits: 2048,
  keyUsages: ['digitalSignature', 'keyEncipherment'],
  retries: { count: 5, delayMs: 60_000 },
  rootThumbprint: 'ab'.repeat(20),
  rootId: 'root',
}
/** Every setting that there is. */
const full: Delivery = {
  deviceId: 'laptop-1',
  roots: [
    { id: 'root', displayName: 'Root', certificate: rootCertificate, destinationStore: 'computer-root' },
    { id: 'issuing', displayName: 'Issuing', certificate: issuing },
  ],
  scep: [
    {
      ...wifi,
      urls: [...wifi.urls, 'https://second.example.com/scep'],
      keyStorage: 'useTpmKspOtherwiseFail',
      extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
      validity: { value: 1, scale: 'years' },
      hashes: ['sha256'],
      renewalThresholdPercent: 20,
    },
  ],
  pfx: [
    {
      ...{ id: 'mail', displayName: 'Mail', principal: 'device', pfx: new Uint8Array([0x30, 0]), password: 'pfx-password' },
      ...{ keyStorage: 'useSoftwareKsp', exportable: true },
    },
  ],
}

interface Profile {
  // biome-ignore lint/suspicious/noExplicitAny: the tests name what they expect
  [key: string]: any
}
const payloadsOf = (text: string): Profile[] => (parse(text) as Profile).PayloadContent
const scepOf = (delivery: Delivery, os = ios): Profile =>
  payloadsOf(renderMobileconfig(delivery, os).text).find(({ PayloadType }) => PayloadType === 'com.apple.security.scep') as Profile
const only = (scep: Partial<ScepDelivery>): Delivery => ({ deviceId: 'd', roots: [], scep: [{ ...wifi, ...scep }], pfx: [] })

t.test('a delivery is a profile with a payload each', async (t) => {
  const { text, mediaType, extension } = renderMobileconfig(full, ios)
  t.match({ mediaType, extension }, { mediaType: 'application/x-apple-aspen-config', extension: '.mobileconfig' })
  t.match(parse(text), {
    PayloadType: 'Configuration',
    PayloadIdentifier: 'certfleet.laptop-1',
    PayloadVersion: 1,
    PayloadUUID: /^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/,
  })
  const [root, other, scep, pfx] = payloadsOf(text)
  t.match([root?.PayloadType, other?.PayloadType], ['com.apple.security.root', 'com.apple.security.pkcs1'])
  t.ok(Buffer.compare(root?.PayloadContent, rootCertificate) === 0)
  t.equal(scep?.PayloadCertificateUUID, root?.PayloadUUID)
  t.strictSame(
    { ...scep?.PayloadContent, CAFingerprint: Buffer.from(scep?.PayloadContent.CAFingerprint).toString('hex') },
    {
      URL: 'https://ndes.example.com/certsrv/mscep/mscep.dll',
      Name: 'Wi-Fi',
      Subject: [[['CN', 'laptop-1']], [['O', 'Example, Inc.']]],
      SubjectAltName: { dNSName: 'laptop-1.example.com' },
      Challenge: 'open-sesame',
      'Key Type': 'RSA',
      Keysize: 2048,
      'Key Usage': 5,
      CAFingerprint: 'ab'.repeat(20),
      Retries: 5,
      RetryDelay: 60,
    },
  )
  t.match(pfx, { PayloadType: 'com.apple.security.pkcs12', Password: 'pfx-password' })
  t.notOk(Object.hasOwn(pfx as Profile, 'KeyIsExtractable'), 'iOS has no such key')
  t.equal(payloadsOf(renderMobileconfig(full, macos).text)[3]?.KeyIsExtractable, true)
})

t.test('what the payload has no place for is told, with the fact', async (t) => {
  const told = (os = ios) =>
    renderMobileconfig(full, os).lost.map(({ id, setting, reason }) => `${id} ${setting} ${/\(([^()]+)\)$/.exec(reason)?.[1]}`)
  const lost = [
    'root destinationStore destination-store.ignored',
    'wifi urls apple.scep.urls',
    'wifi keyStorage key-storage.apple-ignored',
    'wifi extendedKeyUsages extended-key-usage.apple-ignored',
    'wifi validity validity.apple-template',
    'wifi hashes hash.apple-negotiated',
    'wifi renewalThresholdPercent apple.scep-payload.no-threshold',
    'mail keyStorage key-storage.apple-ignored',
  ]
  t.strictSame(told(), [...lost, 'mail exportable exportable.ios-not-offered'])
  t.strictSame(told(macos), lost)
  t.strictSame(renderMobileconfig(only({}), ios).lost, [])
  const threshold = renderMobileconfig(only({ renewalThresholdPercent: 20 }), ios).lost
  t.match(
    threshold,
    [{ reason: /^the SCEP payload has no renewal threshold: .* \(apple\.scep-payload\.no-threshold\)$/ }],
    'apple.scep-payload.no-threshold',
  )
})

t.test("docs/renderings.md: the table of Apple's systems is what is rendered", async (t) => {
  const page = readFileSync(join(folder, 'docs/renderings.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (root|SCEP|PFX) \| `(\w+)` \| ([^|]+) \| ([^|]+) \|$/gm)].map(
    (row) => row.slice(1) as [string, string, string, string],
  )
  const user = <T extends { principal: string }>(requests: readonly T[]) => requests.map((one) => ({ ...one, principal: 'user' as const }))
  const delivery = { ...full, scep: user(full.scep), pfx: user(full.pfx) }
  const profiles = { root: delivery.roots[0], SCEP: delivery.scep[0], PFX: delivery.pfx[0] }
  const settings = Object.entries(profiles).flatMap(([of, profile]) =>
    Object.keys(profile ?? {}).flatMap((name) => (name === 'id' ? [] : [`${of} ${name}`])),
  )
  t.strictSame(rows.map(([of, setting]) => `${of} ${setting}`).sort(), settings.sort(), 'every setting has its row')
  for (const [os, column] of [
    [ios, 2],
    [macos, 3],
  ] as const) {
    const { text, lost } = renderMobileconfig(delivery, os)
    for (const row of rows) {
      const [of, setting, cell] = [row[0] as keyof typeof profiles, row[1], row[column]]
      const told = lost.find((one) => one.id === profiles[of]?.id && one.setting === setting)
      const fact = /lost: `([^`]+)`/.exec(cell)?.[1]
      t.equal(told && /\(([^()]+)\)$/.exec(told.reason)?.[1], fact, `${os.system} ${of} ${setting}`)
      const key = /^`([^`]+)`/.exec(cell)?.[1]
      if (key !== undefined) t.ok(text.includes(`<key>${key}</key>`), `${os.system} ${of} ${setting}: ${key}`)
    }
  }
})

t.test('apple.profile.replaced-by: the same device and profile have the same identifiers again', async (t) => {
  const ids = (delivery: Delivery) =>
    payloadsOf(renderMobileconfig(delivery, ios).text).map(({ PayloadIdentifier, PayloadUUID }) => `${PayloadIdentifier} ${PayloadUUID}`)
  t.strictSame(ids(only({ challenge: 'another' })), ids(only({})))
  t.notSame(ids({ ...only({}), deviceId: 'e' }), ids(only({})), 'another device has others')
  t.notSame(ids(only({ id: 'vpn' })), ids(only({})))
  const twice = [wifi, { ...wifi, principal: 'user' as const }]
  t.equal(readMobileconfig(renderMobileconfig({ ...full, scep: twice }, macos).text).scep.length, 2, 'one id for device and user')
})

t.test('facts of the payload', async (t) => {
  const rows: [string, Partial<ScepDelivery>, ReturnType<typeof parseOs>, Profile][] = [
    ['apple.scep-payload.key-usage', { keyUsages: ['digitalSignature'] }, ios, { 'Key Usage': 1 }],
    ['apple.scep-payload.key-usage', { keyUsages: ['keyEncipherment'] }, ios, { 'Key Usage': 4 }],
    ['apple.scep-payload.key-usage', { keyUsages: [] }, ios, { 'Key Usage': 0 }],
    ['macos.scep-payload.no-key-usage', {}, parseOs('macos', '10.10'), { 'Key Usage': undefined, Retries: 5 }],
    ['macos.scep-payload.no-key-usage', {}, parseOs('macos', '10.11'), { 'Key Usage': 5 }],
    ['macos.scep-payload.no-retries', {}, parseOs('macos', '10.9'), { Retries: undefined, RetryDelay: undefined }],
    ['macos.scep-payload.no-retries', {}, parseOs('macos', '10.10'), { Retries: 5, RetryDelay: 60 }],
    ['apple.scep-payload.retry-delay', { retries: { count: 1, delayMs: 1_500 } }, ios, { RetryDelay: 2 }],
    ['apple.scep-payload.key-type', {}, ios, { 'Key Type': 'RSA' }],
    ['apple.scep-payload.key-sizes', { keyBits: 4096 }, ios, { Keysize: 4096 }],
    [
      'apple.scep-payload.alternative-names',
      {
        subjectAltNames: [
          { type: 'email', value: 'a@example.com' },
          { type: 'upn', value: 'ada' },
          { type: 'uri', value: 'urn:x' },
          { type: 'email', value: 'b@example.com' },
        ],
      },
      ios,
      { SubjectAltName: { rfc822Name: ['a@example.com', 'b@example.com'], ntPrincipalName: 'ada', uniformResourceIdentifier: 'urn:x' } },
    ],
    [
      'apple.scep-payload.subject',
      { subject: 'C=DE,S=Bayern,L=Ort,OU=a+CN=b,E=a@example.com' },
      ios,
      {
        Subject: [
          [['C', 'DE']],
          [['ST', 'Bayern']],
          [['L', 'Ort']],
          [
            ['OU', 'a'],
            ['CN', 'b'],
          ],
          [['1.2.840.113549.1.9.1', 'a@example.com']],
        ],
      },
    ],
  ]
  for (const [fact, scep, os, expected] of rows) t.match(scepOf(only(scep), os).PayloadContent, expected, fact)
  t.match(renderMobileconfig(only({}), parseOs('macos', '10.9')).lost, [{ setting: 'keyUsages' }, { setting: 'retries' }])
  t.match(renderMobileconfig(only({ retries: { count: 1, delayMs: 1_500 } }), ios).lost, [{ setting: 'retries' }])
  t.throws(() => renderMobileconfig(only({ keyBits: 3072 }), ios), { code: 'ERR_UNSUPPORTED', message: /"wifi".*1024, 2048, 4096/ })

  await t.test('macos.profile.scope: one for the whole profile, on macOS alone', async (t) => {
    const user = only({ principal: 'user' })
    const scope = (delivery: Delivery, os = macos) => (parse(renderMobileconfig(delivery, os).text) as Profile).PayloadScope
    t.equal(scope(only({})), 'System')
    t.equal(scope(user), 'User')
    t.equal(scope(user, ios), undefined)
    t.equal(scope(user, parseOs('macos', '10.7')), undefined)
    t.match(renderMobileconfig(user, ios).lost, [{ id: 'wifi', setting: 'principal', reason: /macos\.profile\.scope/ }])
    t.strictSame(renderMobileconfig(user, macos).lost, [])
    const mixed = { ...user, scep: [...user.scep, { ...wifi, id: 'vpn' }] }
    t.equal(scope(mixed), 'System')
    t.match(renderMobileconfig(mixed, macos).lost, [{ id: 'wifi', setting: 'principal' }])
    t.match(readMobileconfig(renderMobileconfig(user, macos).text).scep, [{ principal: 'user' }])
  })
})

t.test('what no profile can say is refused', async (t) => {
  const rows: [string, Delivery, RegExp][] = [
    ['a URL too few', only({ urls: [] }), /payload "wifi": it has no URL/],
    ['a control character', only({ challenge: 'canary\0' }), /payload "wifi": Challenge: it holds a character that XML cannot carry/],
    ['a character that was lost', only({ displayName: '\ufffd' }), /XML cannot carry/],
    ['half a character', only({ displayName: '\ud800' }), /XML cannot carry/],
    [
      'a certificate that is none',
      { ...full, roots: [{ id: 'root', displayName: 'Root', certificate: new Uint8Array([1]) }] },
      /payload "root".*9005/,
    ],
  ]
  for (const [name, delivery, message] of rows) {
    t.throws(() => renderMobileconfig(delivery, ios), { code: 'ERR_PROFILE_INVALID', message }, name)
  }
  t.throws(() => renderFor('ios', 'new', full), { code: 'ERR_UNSUPPORTED' })
  t.equal(renderFor('ios', '18.1', full).text, renderMobileconfig(full, ios).text)
})

const letters = fc.stringMatching(/^[ -~éü€😀\t\n\r]{0,20}$/u)
const text = fc.stringMatching(/^[!-~é😀][ -~é😀]{0,20}$/u)
const id = fc.uuid()
const alternativeName = fc.record(
  { type: fc.constantFrom('email', 'upn', 'dns', 'uri'), value: fc.stringMatching(/^[!-~]{1,20}$/) },
  { noNullPrototype: true },
)
const nameKeys = fc.constantFrom('CN', 'O', 'OU', 'L', 'S', 'C', 'E', 'DC', '1.2.3')
const subject = fc
  .array(fc.tuple(nameKeys, fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9 .-]{0,8}[a-zA-Z0-9]$/)), { minLength: 1, maxLength: 4 })
  .map((pairs) => pairs.map(([type, value]) => `${type}=${value}`).join(','))
const required: (keyof ScepDelivery)[] = ['id', 'displayName', 'principal', 'urls', 'subject', 'subjectAltNames']
const scepDelivery = fc.record(
  {
    id,
    displayName: letters,
    principal: fc.constantFrom('device', 'user'),
    urls: fc.array(fc.webUrl(), { minLength: 1, maxLength: 3 }),
    challenge: text,
    subject,
    subjectAltNames: fc.array(alternativeName, { maxLength: 5 }),
    keyBits: fc.constantFrom(1024, 2048, 4096),
    keyUsages: fc.subarray(['digitalSignature', 'keyEncipherment'] as const),
    keyStorage: fc.constant('useSoftwareKsp'),
    extendedKeyUsages: fc.constant(['1.2.3']),
    validity: fc.constant({ value: 1, scale: 'years' }),
    hashes: fc.constant(['sha256']),
    renewalThresholdPercent: fc.integer({ min: 1, max: 99 }),
    retries: fc.record({ count: fc.nat(100), delayMs: fc.nat(600).map((seconds) => seconds * 1000) }, { noNullPrototype: true }),
    rootThumbprint: fc.constantFrom('ab'.repeat(20), '00'.repeat(16)),
    rootId: fc.constant('root'),
  },
  { requiredKeys: required, noNullPrototype: true },
) as fc.Arbitrary<ScepDelivery>
const pfxDelivery = fc.record(
  {
    id,
    displayName: letters,
    principal: fc.constantFrom('device' as const, 'user' as const),
    pfx: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    password: letters,
    exportable: fc.boolean(),
  },
  { requiredKeys: ['id', 'displayName', 'principal', 'pfx', 'password'], noNullPrototype: true },
)
const deliveries: fc.Arbitrary<Delivery> = fc.record({
  deviceId: text,
  roots: fc.constant(full.roots),
  scep: fc.uniqueArray(scepDelivery, { maxLength: 3, selector: (scep) => scep.id }),
  pfx: fc.uniqueArray(pfxDelivery, { maxLength: 2, selector: (pfx) => pfx.id }),
})

/** What is left when what was lost is taken away. */
function minus<T extends { readonly id: string }>(
  profiles: readonly T[],
  lost: readonly { id: string; setting: string }[],
  scope: string,
): object[] {
  return profiles.map((profile) => {
    const gone = new Set(lost.filter((one) => one.id === profile.id).map(({ setting }) => setting))
    const kept = Object.entries(profile).filter(([name]) => !gone.has(name) || name === 'urls')
    const { urls, subjectAltNames, ...rest } = Object.fromEntries(kept) as unknown as ScepDelivery
    return {
      ...rest,
      principal: scope,
      ...(urls && { urls: urls.slice(0, 1) }),
      ...(subjectAltNames && { subjectAltNames: byType(subjectAltNames) }),
    }
  })
}
const byType = (names: ScepDelivery['subjectAltNames']) => [...names].sort((a, b) => a.type.localeCompare(b.type))

t.test('what is rendered is read back, but for what is lost', async (t) => {
  fc.assert(
    fc.property(deliveries, fc.constantFrom(ios, macos, parseOs('macos', '10.9')), (delivery, os) => {
      const { text, lost } = renderMobileconfig(delivery, os)
      const scope = /<string>User<\/string>\s*<\/dict>\s*<\/plist>/.test(text) ? 'user' : 'device'
      const read = readMobileconfig(text)
      t.strictSame(
        { ...read, scep: read.scep.map((scep) => ({ ...scep, subjectAltNames: byType(scep.subjectAltNames) })), pfx: bare(read.pfx) },
        {
          deviceId: delivery.deviceId,
          roots: bare(minusStore(delivery)),
          scep: minus(delivery.scep, lost, scope),
          pfx: bare(minus(delivery.pfx, lost, scope)),
          skipped: [],
        },
      )
    }),
    { numRuns: 60 },
  )
})
const bare = (values: readonly object[]) =>
  values.map((value) =>
    Object.fromEntries(Object.entries(value).map(([name, one]) => [name, one instanceof Uint8Array ? new Uint8Array(one) : one])),
  )
const minusStore = ({ roots }: Delivery) => roots.map(({ destinationStore: _, ...root }) => root)

/** A profile around payloads, with everything that is required. */
function profileWith(...payloads: string[]): string {
  return wrapped(`<key>PayloadContent</key><array>${payloads.join('')}</array>`)
}
const wrapped = (inside: string, type = 'Configuration') => `<plist version="1.0"><dict>${inside}${head('top', type)}</dict></plist>`
const head = (name: string, type: string) =>
  `<key>PayloadIdentifier</key><string>${name}</string><key>PayloadUUID</key><string>uuid-${name}</string>` +
  `<key>PayloadType</key><string>${type}</string><key>PayloadVersion</key><integer>1</integer>`
const payload = (name: string, type: string, inside: string) => `<dict>${head(name, `com.apple.${type}`)}${inside}</dict>`
const scep = (inner: string, beside = '', name = 'wifi') =>
  payload(name, 'security.scep', `<key>PayloadContent</key><dict>${inner}</dict>${beside}`)
const url = '<key>URL</key><string>http://a.example/scep</string>'
const data = (bytes: Uint8Array | string) => `<key>PayloadContent</key><data>${Buffer.from(bytes).toString('base64')}</data>`
const pem = (der: Uint8Array) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
const oneScep = (inner: string) => profileWith(scep(`${url}${inner}`))

t.test('a profile that the OS would refuse is refused, by payload, key and its error', async (t) => {
  const secret = '<key>Challenge</key><string>canary-4711</string>'
  const rows: [string, string, RegExp][] = [
    ['no URL', profileWith(scep(secret)), /payload "wifi": URL is missing \(MCPayloadErrorDomain 2002\)/],
    ['a URL that is none', profileWith(scep(`<key>URL</key><string>ndes</string>${secret}`)), /"wifi": URL .*2004/],
    ['a URL with a password', profileWith(scep('<key>URL</key><string>http://a:canary-4711@b/</string>')), /"wifi": URL .*2004/],
    [
      'a number for a URL',
      profileWith(scep('<key>URL</key><integer>7</integer>')),
      /"wifi": URL has another type, expected a string .*2003/,
    ],
    ['a Challenge of another type', oneScep('<key>Challenge</key><array/>'), /"wifi": Challenge .*2003/],
    ['a key size between', oneScep('<key>Keysize</key><integer>3072</integer>'), /"wifi": Keysize .*1024, 2048, 4096 .*2004/],
    ['a key size in words', oneScep('<key>Keysize</key><string>2048</string>'), /"wifi": Keysize .*2003/],
    ['half a key', oneScep('<key>Keysize</key><real>0.5</real>'), /"wifi": Keysize .*2003/],
    ['an EC key', oneScep('<key>Key Type</key><string>ECSECPrimeRandom</string>'), /"wifi": Key Type .*RSA .*2004/],
    ['key usage 2', oneScep('<key>Key Usage</key><integer>2</integer>'), /"wifi": Key Usage is 2, .*\(MCSCEPErrorDomain 22000\)/],
    ['key usage 6', oneScep('<key>Key Usage</key><integer>6</integer>'), /22000/],
    ['key usage 8', oneScep('<key>Key Usage</key><integer>8</integer>'), /22000/],
    ['retries below zero', oneScep('<key>Retries</key><integer>-1</integer>'), /"wifi": Retries .*2003/],
    ['retries without end', oneScep('<key>Retries</key><integer>1000001</integer>'), /"wifi": Retries .*2004/],
    ['a delay without end', oneScep('<key>RetryDelay</key><integer>1000001</integer>'), /"wifi": RetryDelay .*2004/],
    [
      'a fingerprint of SHA-256',
      oneScep(`<key>CAFingerprint</key><data>${Buffer.alloc(32).toString('base64')}</data>`),
      /20 or 16 octets .*2004/,
    ],
    ['a flat subject', oneScep('<key>Subject</key><array><string>CN=a</string></array>'), /"wifi": Subject .*2004/],
    ['an unknown type in a subject', oneScep(subjectOf('commonName', 'a')), /"wifi": Subject .*C, L, ST, O, OU, CN or a dotted OID .*2004/],
    ['a type that no object has', oneScep(subjectOf('toString', 'a')), /"wifi": Subject .*2004/],
    ['a subject without a value', oneScep(subjectOf('CN', '')), /"wifi": Subject .*2004/],
    ['a country that cannot be', oneScep(subjectOf('C', 'ä')), /"wifi": Subject.*PrintableString.*2004/],
    [
      'a SAN that is no name',
      oneScep('<key>SubjectAltName</key><dict><key>dNSName</key><string>é</string></dict>'),
      /"wifi": SubjectAltName.*2004/,
    ],
    [
      'a SAN of numbers',
      oneScep('<key>SubjectAltName</key><dict><key>dNSName</key><array><integer>1</integer></array></dict>'),
      /SubjectAltName dNSName.*2004/,
    ],
    ['no contents', profileWith(payload('wifi', 'security.scep', '')), /"wifi": PayloadContent is missing .*2002/],
    ['a root of text', profileWith(payload('root', 'security.root', data('hello'))), /"root": .*9005/],
    ['a root without data', profileWith(payload('root', 'security.root', '')), /"root": PayloadContent is missing .*2002/],
    ['PEM without a certificate', profileWith(payload('root', 'security.pem', data('-----BEGIN KEY-----'))), /"root": .*9005/],
    [
      'two certificates in PEM',
      profileWith(payload('root', 'security.pem', data(pem(issuing).repeat(2)))),
      /"root": .*more than one.*9001/,
    ],
    [
      'another scope',
      wrapped('<key>PayloadContent</key><array/><key>PayloadScope</key><string>All</string>'),
      /profile: PayloadScope .*2004/,
    ],
    ['another type of profile', wrapped('<key>PayloadContent</key><array/>', 'Restriction'), /profile: PayloadType .*1003/],
    ['an encrypted profile', wrapped('<key>EncryptedPayloadContent</key><data/>'), /EncryptedPayloadContent is encrypted.*1010/],
    ['no payloads', wrapped(''), /profile: PayloadContent is missing .*2002/],
    ['a payload that is a number', profileWith('<integer>1</integer>'), /PayloadContent\[0\]: expected a dictionary .*2003/],
    ['a payload without a name', profileWith('<dict/>'), /PayloadContent\[0\]: PayloadIdentifier is missing .*2002/],
    ['another version', profileWith(scep(url)).replaceAll('<integer>1</integer>', '<integer>2</integer>'), /PayloadVersion .*2004/],
    ['an array for a profile', '<plist><array/></plist>', /profile: expected a dictionary .*1000/],
  ]
  for (const [name, profile, message] of rows) {
    const refusal = refusalOf(profile)
    t.match(refusal, { code: 'ERR_PROFILE_INVALID', message }, name)
    t.notMatch(refusal?.message, /canary/, name)
  }

  await t.test('apple.profile.unique: UUIDs and identifiers', async (t) => {
    const [one, two] = [scep(url, '', 'a'), scep(url, '', 'b')]
    t.equal(refusalOf(profileWith(one, two)), undefined)
    t.match(refusalOf(profileWith(one, two.replace('uuid-b', 'UUID-A'))), {
      message: /payload "b": PayloadUUID is that of another.*MCProfileErrorDomain 1007/,
    })
    t.match(refusalOf(profileWith(one, two.replace('<string>b', '<string>a'))), {
      message: /"a": PayloadIdentifier is that of another.*1008/,
    })
  })
})

function subjectOf(type: string, value: string): string {
  return `<key>Subject</key><array><array><array><string>${type}</string><string>${value}</string></array></array></array>`
}

function refusalOf(profile: string | Uint8Array): AgentError | undefined {
  try {
    readMobileconfig(profile)
    return undefined
  } catch (error) {
    if (error instanceof AgentError) return error
    throw error
  }
}

t.test('XML that is no property list of Apple is refused before the library sees it', async (t) => {
  const good = oneScep('')
  const apple = '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">'
  t.equal(refusalOf(apple + good), undefined)
  t.equal(
    refusalOf(`\ufeff<?xml version="1.0" encoding="utf-8"?>\n${apple.replace('Apple', 'Apple Computer')}\n<!-- by hand -->${good}`),
    undefined,
  )
  const bomb = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">'
  const deep = (levels: number) => `<plist>${'<array>'.repeat(levels)}${'</array>'.repeat(levels)}</plist>`
  const rows: [string, string | Uint8Array, RegExp][] = [
    ['an internal subset', apple.replace('>', ' [<!ENTITY a "b">]>') + good, /DOCTYPE/],
    ['an entity bomb', `<!DOCTYPE plist [${bomb}]>${good.replace('a.example', '&c;')}`, /DOCTYPE/],
    ['an external entity', `<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]>${good}`, /DOCTYPE/],
    ['a DTD elsewhere', apple.replace('www.apple.com', 'dtd.example.com') + good, /DOCTYPE/],
    ['an entity that nobody declared', good.replace('a.example', '&a;'), /well-formed/],
    ['CDATA', good.replace('wifi', '<![CDATA[wifi]]>'), /CDATA/],
    ['a comment inside a value', good.replace('wifi', 'wi<!-- -->fi'), /comment inside/],
    ['a processing instruction', `<?run me?>${good}`, /processing instruction/],
    ['another element', good.replaceAll('array', 'list'), /element that property lists/],
    ['an attribute', good.replace('<dict>', '<dict id="1">'), /attribute/],
    ['a namespace', good.replace('<plist', '<plist xmlns="urn:x"'), /attribute/],
    ['a key twice', oneScep(url), /there twice/],
    ['a key without a value', good.replace('</dict></plist>', '<key>x</key></dict></plist>'), /without a value/],
    ['a value without a key', good.replace('<dict>', '<dict><true/>'), /alternate/],
    ['a key in an array', good.replace('<array>', '<array><key>x</key>'), /alternate/],
    ['text between', good.replace('<dict>', '<dict>x'), /text outside/],
    ['an integer in words', good.replace('>1<', '>one<'), /<integer>/],
    ['an integer too long', good.replace('>1<', '>1234567890123456<'), /<integer>/],
    ['data that is not base64', profileWith(payload('root', 'security.root', data('').replace('<data>', '<data>*'))), /<data>/],
    [
      'data with spaces without end',
      profileWith(payload('root', 'security.root', data('').replace('<data>', `<data>${' '.repeat(500_000)}*`))),
      /<data>/,
    ],
    ['a real without end', good.replace('<integer>1</integer>', `<real>${'1'.repeat(500_000)}x</real>`), /<real>/],
    ['a prototype', oneScep('<key>__proto__</key><dict/>'), /cannot be read/],
    ['two values', good.replace('</plist>', '<true/></plist>'), /more than one value/],
    ['nothing', '<plist/>', /nothing in <plist>/],
    ['no plist', '<dict/>', /<plist> is not the first/],
    ['a plist in a plist', '<plist><plist/></plist>', /<plist> is not the first/],
    ['a character that was lost', oneScep('').replace('a.example', '\ufffd'), /U\+FFFD/],
    ['half a surrogate pair before a tag', oneScep('').replace('wifi<', '\ud800<'), /half a surrogate pair/],
    ['half a surrogate pair elsewhere', oneScep('').replace('wifi', '\udc00'), /half a surrogate pair/],
    ['cut short', good.slice(0, -4), /well-formed/],
    ['no text at all', '', /well-formed/],
    ['a DOCTYPE without a space', `${apple.replace(' plist', 'plist')}${good}`, /DOCTYPE/],
    ['a DOCTYPE with another space', `${apple.replace(' plist', '\u00a0plist')}${good}`, /DOCTYPE/],
    ['too many levels', deep(32), /32 levels/],
    ['too many elements', `<plist><array>${'<true/>'.repeat(10_000)}</array></plist>`, /10000 elements/],
    ['too many comments', `<plist>${'<!---->'.repeat(10_001)}<true/></plist>`, /10000 elements/],
    ['too long', ' '.repeat(512 * 1024) + good, /524288/],
    ['UTF-16 by its own words', `<?xml version="1.0" encoding="UTF-16"?>${good}`, /encoding/],
    ['UTF-16', Buffer.from(`\ufeff${good}`, 'utf16le'), /UTF-8|well-formed/],
    ['a binary property list', buildBinary({ PayloadType: 'Configuration' }), /binary property list.*plutil/],
    ['an OpenStep property list', '{ PayloadType = Configuration; }', /well-formed/],
  ]
  for (const [name, profile, message] of rows) t.match(refusalOf(profile), { code: 'ERR_PROFILE_INVALID', message }, name)
  t.match(refusalOf(deep(31)), { message: /expected a dictionary/ }, '32 levels with <plist>')
})

t.test('what the OS passes over is told', async (t) => {
  const rows: [string, string, RegExp[]][] = [
    ['another payload', profileWith(payload('mdm', 'mdm', ''), scep(url)), [/^payload "mdm": payloads of type "com\.apple\.mdm"$/]],
    [
      'apple.scep-payload.misplaced-keys',
      profileWith(scep(url, '<key>Challenge</key><string>canary</string>')),
      [/"wifi": Challenge, which is outside PayloadContent$/],
    ],
    ['a key of the same sound', oneScep('<key>KeyType</key><string>RSA</string>'), [/"wifi": the unknown key "KeyType"$/]],
    ['a key that changes nothing here', oneScep('<key>KeyIsExtractable</key><false/>'), [/"wifi": KeyIsExtractable/]],
    ['another kind of name', oneScep('<key>SubjectAltName</key><dict><key>iPAddress</key><string>::1</string></dict>'), [/"iPAddress"$/]],
    [
      'apple.profile.links',
      profileWith(scep(url, '<key>PayloadCertificateUUID</key><string>none</string>')),
      [/"wifi": the link to a certificate that is not/],
    ],
    ['a PFX without its password', profileWith(payload('mail', 'security.pkcs12', data('x'))), [/"mail": a PFX without its Password/]],
    ['nothing', oneScep(''), []],
  ]
  for (const [name, profile, expected] of rows) {
    const { skipped } = readMobileconfig(profile)
    t.equal(skipped.length, expected.length, name)
    t.match(skipped, expected, name)
    t.notMatch(skipped.join(), 'canary')
  }
  t.equal(readMobileconfig(profileWith(scep(url, '<key>Challenge</key><string>a</string>'))).scep[0]?.challenge, undefined)
  const strict: FactOverrides = new Map([['apple.scep-payload.misplaced-keys', false]])
  const misplaced = profileWith(scep(url, '<key>Challenge</key><string>a</string>'))
  t.throws(() => readMobileconfig(misplaced, parseOs('ios', '18', strict)), { message: /"wifi": Challenge outside PayloadContent/ })
})

t.test('what a profile leaves out is left to the OS', async (t) => {
  t.strictSame(
    readMobileconfig(oneScep('')).scep,
    [{ id: 'wifi', displayName: 'wifi', principal: 'device', urls: ['http://a.example/scep'], subject: '', subjectAltNames: [] }],
    'apple.scep-payload.required',
  )
  t.match(readMobileconfig(oneScep('<key>Retries</key><integer>7</integer>')).scep, [{ retries: { count: 7, delayMs: 10_000 } }])
  t.match(readMobileconfig(oneScep('<key>RetryDelay</key><integer>7</integer>')).scep, [{ retries: { count: 3, delayMs: 7_000 } }])
  t.match(readMobileconfig(oneScep('<key>Key Usage</key><integer>0</integer>')).scep, [{ keyUsages: [] }], 'apple.scep-payload.key-usage')
  t.match(
    readMobileconfig(oneScep(`<key>CAFingerprint</key><data>${Buffer.alloc(16).toString('base64')}</data>`)).scep,
    [{ rootThumbprint: '00'.repeat(16) }],
    'apple.scep-payload.fingerprint',
  )
})

t.test('apple.certificate-payload.types: DER and PEM, roots and others', async (t) => {
  for (const [type, content] of [
    ['security.root', rootCertificate],
    ['security.pkcs1', issuing],
    ['security.pem', pem(issuing)],
    ['security.root', pem(rootCertificate)],
  ] as const) {
    const { roots } = readMobileconfig(profileWith(payload('ca', type, data(content))))
    const expected = type === 'security.root' ? rootCertificate : issuing
    t.ok(Buffer.compare(roots[0]?.certificate as Uint8Array, expected) === 0, type)
  }
  const strict: FactOverrides = new Map([['apple.certificate-payload.pem-inside', false]])
  const inside = profileWith(payload('ca', 'security.root', data(pem(rootCertificate))))
  t.throws(() => readMobileconfig(inside, parseOs('ios', '18', strict)), { message: /"ca": PayloadContent is PEM, expected DER/ })
})

t.test('a signed profile is read when its signature is good, and its signer is told', async (t) => {
  const certificate = await testCertificate({ subject: 'CN=Signer', key })
  const signer = { certificate: parseCertificate(certificate), key }
  const sign = (content: string, certificates = [certificate]) =>
    buildSignedData({ content: Buffer.from(content), signer, hash: 'sha256', attributes: [], certificates })
  const signed = await sign(oneScep(''))
  t.match(readDeliveryFile(signed), {
    form: 'mobileconfig',
    delivery: { scep: [{ id: 'wifi' }], skipped: ['profile: signed by "CN=Signer", whom nobody vouched for'] },
  })
  const altered = Buffer.from(signed)
  altered[altered.indexOf('a.example')] = 'b'.charCodeAt(0)
  t.match(refusalOf(altered), { code: 'ERR_PROFILE_INVALID', message: /not the one that was signed.*MCProfileErrorDomain 1004/ })
  t.match(refusalOf(await sign(oneScep(''), [])), { message: /certificate is not enclosed.*1004/ })
  t.match(refusalOf(new Uint8Array([0x30, 0x80])), { message: /1004/ })
  t.match(refusalOf(await sign('bplist00')), { message: /binary property list/ })
})

t.test('a file is read as the OS that is named, where the form is its own', async (t) => {
  const strict: FactOverrides = new Map([['apple.scep-payload.misplaced-keys', false]])
  const misplaced = Buffer.from(profileWith(scep(url, '<key>Challenge</key><string>a</string>')))
  t.throws(() => readDeliveryFile(misplaced, parseOs('macos', '15', strict)), { message: /outside PayloadContent/ })
  t.match(readDeliveryFile(misplaced, parseOs('windows', '11', strict)), { form: 'mobileconfig', platforms: ['ios', 'macos'] })
})

t.test('a file of another form is refused by name', async (t) => {
  for (const file of ['', 'hello', '<html/>', '<SyncML/>']) {
    t.throws(
      () => readDeliveryFile(Buffer.from(file)),
      { code: 'ERR_PROFILE_INVALID', message: /no known form; expected .*mobileconfig/ },
      file,
    )
  }
})

t.test('mutants of a profile are read or refused, and nothing else', async (t) => {
  const sources = [renderMobileconfig(full, macos).text, oneScep(subjectOf('CN', 'a')), profileWith(scep(url), payload('a', 'mdm', ''))]
  const told: string[] = []
  const { error } = console
  console.error = (...line: unknown[]) => void told.push(line.join(' '))
  t.teardown(() => {
    console.error = error
  })
  const pieces = [
    '<',
    '>',
    '&',
    '</dict>',
    '<dict>',
    '<key>',
    'PayloadUUID',
    '<array/>',
    '<integer>',
    '<data>',
    '\0',
    '\ud800',
    '<!--',
    ']]>',
    '"',
    '-1',
    '<true/>',
  ]
  const edit = fc.record({ at: fc.nat(), length: fc.nat(40), put: fc.oneof(fc.constantFrom(...pieces), letters) })
  fc.assert(
    fc.property(fc.constantFrom(...sources), fc.array(edit, { minLength: 1, maxLength: 3 }), fc.boolean(), (source, edits, asBytes) => {
      const mutant = edits.reduce((text, { at, length, put }) => {
        const start = at % text.length
        return text.slice(0, start) + put + text.slice(start + length)
      }, source)
      const refusal = refusalOf(asBytes ? Buffer.from(mutant) : mutant)
      return refusal === undefined || refusal.code === 'ERR_PROFILE_INVALID'
    }),
    { numRuns: 1_500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const refusal = refusalOf(bytes)
      return refusal?.code === 'ERR_PROFILE_INVALID'
    }),
    { numRuns: 300 },
  )
  t.strictSame(told, [], 'the library has nothing to say on stderr')
})

const samples = join(process.env.CERTFLEET_SAMPLES ?? join(folder, '../shared/samples'), 'mobileconfig')
const missing = existsSync(samples) ? false : 'no samples: set CERTFLEET_SAMPLES to a folder that holds mobileconfig/'

t.test('profiles of public projects are read', { skip: missing }, async (t) => {
  const read = (name: string) => readDeliveryFile(readFileSync(join(samples, `${name}.mobileconfig`))).delivery
  t.match(read('enroll'), {
    deviceId: undefined,
    roots: [],
    scep: [{ id: 'com.github.micromdm.scep', urls: ['https://mdm.example.org/scep'], keyBits: 2048, challenge: /^SCEP/ }],
    skipped: [/com\.apple\.mdm/],
  })
  const { roots, scep, skipped } = read('sceptest')
  t.match(scep, [{ displayName: 'SCEP', keyBits: 1024, retries: { count: 3, delayMs: 10_000 } }], 'PayloadVersion is a real there')
  t.match(roots, [{ displayName: 'ca.crt' }])
  t.equal(parseCertificate(roots[0]?.certificate as Uint8Array).basicConstraints?.ca, true, 'apple.certificate-payload.pem-inside')
  t.match(skipped, [/"KeyType"/])
})

const python = 'import plistlib,sys,json\np=plistlib.loads(sys.stdin.buffer.read())\nprint(json.dumps(p,default=lambda b:{"data":b.hex()}))'

t.test("Python's plistlib reads the same", { skip: hasPython() ? false : 'no python3' }, async (t) => {
  const odd = only({ displayName: 'ä <&> "]]>"\r\n\t', challenge: "x'&amp;\ty", subject: 'CN="a, ""b"""' })
  for (const delivery of [full, odd]) {
    const { text } = renderMobileconfig(delivery, macos)
    const read = JSON.parse(execFileSync('python3', ['-c', python], { input: text, encoding: 'utf8' }))
    t.strictSame(read, JSON.parse(JSON.stringify(asData(parse(text)))))
  }
  const { PayloadContent } = JSON.parse(
    execFileSync('python3', ['-c', python], { input: renderMobileconfig(odd, macos).text, encoding: 'utf8' }),
  )
  t.match(PayloadContent[0], {
    PayloadDisplayName: odd.scep[0]?.displayName,
    PayloadContent: { Challenge: "x'&amp;\ty", Subject: [[['CN', 'a, "b"']]] },
  })
})

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import plistlib'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function asData(value: unknown): unknown {
  if (value instanceof Uint8Array) return { data: Buffer.from(value).toString('hex') }
  if (Array.isArray(value)) return value.map(asData)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asData(one)]))
}
