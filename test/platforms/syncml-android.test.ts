import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Delivery,
  factOverrides,
  parseOs,
  type ReadDelivery,
  readSyncMl,
  readXml,
  renderSyncMl,
  type ScepDelivery,
} from '@certfleet/platforms'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { root as folder } from '../tooling/root.ts'
import { add, command, delivery, message, refusal, root, rootSha1, sample, wifi } from './syncml.ts'

const os = parseOs('android', '14')
const store = './Vendor/MSFT/CertificateStore'

const read = (text: string, on = os): ReadDelivery => readSyncMl(text, on)
const refused = (text: string): string => refusal(() => read(text)).replace(/^ERR_PROFILE_INVALID: /, '')

/** The request of a message, and its settings, as documents. */
function documentsIn(text: string) {
  const commands = readXml(text).children.find(({ name }) => name === 'SyncBody')?.children ?? []
  const items = commands.flatMap(({ children }) => children.filter(({ name }) => name === 'Item'))
  const data = items.flatMap(({ children }) => children.filter(({ name }) => name === 'Data')).find((one) => one.text.startsWith('<'))
  const request = readXml(data?.text ?? '')
  return { request, settings: readXml(request.children[0]?.text ?? '') }
}

const pairs = (element: ReturnType<typeof readXml>) => element.children.map(({ name, text, children }) => [name, text, children.length])

t.test('a delivery is rendered as the published message is, nested twice', async (t) => {
  const { text, lost } = renderSyncMl(delivery, os)
  const paths = [...text.matchAll(/<LocURI>(\.\/[^<]*)</g)].map(([, path]) => path)
  t.equal(paths[0], `${store}/Root/root/EncodedCertificate`)
  t.match(paths[1], /^\.\/Vendor\/MSFT\/CertificateStore\/Enroll\/ModelName=wifi%3BHash=-?\d+\/Install$/)
  const { request, settings } = documentsIn(text)
  t.equal(
    settings.namespace,
    'http://schemas.microsoft.com/SystemCenterConfigurationManager/2012/03/07/CertificateEnrollment/ConfigurationParameters',
  )
  t.strictSame(pairs(settings), [
    ['ExpirationThreshold', '20', 0],
    ['RetryCount', '3', 0],
    ['RetryDelay', '1', 0],
    ['TemplateName', '', 0],
    ['KeyStorageProviderSetting', '0', 0],
    ['KeyUsage', '160', 0],
    ['KeyLength', '2048', 0],
    ['HashAlgorithms', '', 2],
    ['NDESUrls', '', 2],
    ['CAThumbprint', rootSha1.toUpperCase(), 0],
    ['ValidityPeriod', '2', 0],
    ['ValidityPeriodUnit', 'Years', 0],
    ['EKUMapping', '', 2],
  ])
  const parameters = request.children[1] as ReturnType<typeof readXml>
  t.strictSame(pairs(parameters), [
    ['CertificateRequestToken', 'p<a>&s', 0],
    ['SubjectName', 'CN="ada, the first",O=Example', 0],
    ['SubjectAlternativeName', '', 1],
    ['NDESUrl', 'https://a.example/scep', 0],
  ])
  t.strictSame(
    lost.map(({ id, setting, reason }) => [id, setting, /\(([\w.-]+)\)$/.exec(reason)?.[1]]),
    [
      ['root', 'displayName', 'android.syncml.root'],
      ['root', 'destinationStore', 'android.syncml.root'],
      ['wifi', 'displayName', 'android.syncml.enroll'],
      ['mail', 'pfx', 'android.syncml.no-pfx'],
    ],
  )
})

t.test('android.syncml.issuers: the subject of the root, its parts behind semicolons', async (t) => {
  const certificate = await testCertificate({ subject: 'CN="Root, first",DC=local', key: await testKey('root'), ca: true })
  const { text } = renderSyncMl({ ...delivery, roots: [{ ...root, certificate }] }, os)
  const parameters = documentsIn(text).request.children[1]
  t.equal(parameters?.children.find(({ name }) => name === 'Issuers')?.text, 'CN="Root, first"; DC=local')
})

const changed = (change: Partial<ScepDelivery>, on = os) => renderSyncMl({ ...delivery, scep: [{ ...wifi, ...change }] }, on)
const again = (change: Partial<ScepDelivery>, on = os) => read(changed(change, on).text, on).scep[0]

/** The rendered message with one element of its settings, or of its request, changed. */
function rewritten(from: string, to: string): string {
  const twice = (text: string) => text.replaceAll('<', '&amp;lt;').replaceAll('>', '&amp;gt;')
  const once = (text: string) => text.replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  const { text } = renderSyncMl(delivery, os)
  const result = text.replace(twice(from), twice(to)).replace(once(from), once(to))
  if (result === text) throw new Error(`${from} is not there`)
  return result
}

const moreMinutes = parseOs('android', '14', factOverrides({ 'android.syncml.retry-delay-unit': 1000 }))
const reads: readonly (readonly [fact: string, what: string, found: () => unknown, expected: unknown])[] = [
  [
    'android.syncml.root',
    'the profile names the node',
    () => read(message(add(`${store}/Root/a%2Fb/EncodedCertificate`, 'MAMCAQE='))).roots[0]?.id,
    'a/b',
  ],
  [
    'android.syncml.root',
    'in any case of the path',
    () => read(message(add('./vendor/msft/certificatestore/ROOT/Ab/encodedcertificate', 'MAMCAQE='))).roots[0]?.id,
    'Ab',
  ],
  ['android.syncml.enroll', 'all is for the device', () => again({ principal: 'user' })?.principal, 'device'],
  [
    'android.syncml.enroll',
    'which is told',
    () => changed({ principal: 'user' }).lost.some(({ setting }) => setting === 'principal'),
    true,
  ],
  ['android.syncml.node-name', 'any id comes back', () => again({ id: 'a/b;Hash=1 %41=ü' })?.id, 'a/b;Hash=1 %41=ü'],
  [
    'android.syncml.node-name',
    'another name is the id',
    () => read(renderSyncMl(delivery, os).text.replace(/ModelName=wifi%3BHash=-?\d+/, 'abc')).scep[0]?.id,
    'abc',
  ],
  ['android.syncml.nesting', 'text that would be markup', () => again({ challenge: ']]>&lt;<a/>' })?.challenge, ']]>&lt;<a/>'],
  [
    'android.syncml.namespace',
    'it is not looked at',
    () => read(renderSyncMl(delivery, os).text.replace('SystemCenterConfigurationManager', 'x')).scep.length,
    1,
  ],
  [
    'android.syncml.retry-delay-unit',
    'minutes',
    () => again({ retries: { count: 0, delayMs: 120_000 } })?.retries,
    { count: 0, delayMs: 120_000 },
  ],
  [
    'android.syncml.retry-delay-unit',
    'part of one is told',
    () => changed({ retries: { count: 1, delayMs: 1 } }).lost.at(-2)?.setting,
    'retries',
  ],
  [
    'android.syncml.retry-delay-unit',
    'seconds where that is said',
    () => again({ retries: { count: 1, delayMs: 5000 } }, moreMinutes)?.retries,
    { count: 1, delayMs: 5000 },
  ],
  [
    'android.pending.polls',
    'taken where only the delay is said',
    () => read(rewritten('<RetryCount>3</RetryCount>', '')).scep[0]?.retries,
    { count: 3, delayMs: 60_000 },
  ],
  [
    'android.pending.delay',
    'taken where only the count is said',
    () => read(rewritten('<RetryDelay>1</RetryDelay>', '')).scep[0]?.retries,
    { count: 3, delayMs: 60_000 },
  ],
  [
    'android.syncml.key-storage',
    'the last option',
    () =>
      documentsIn(changed({ keyStorage: 'useSoftwareKsp' }).text).settings.children.find(({ name }) => name === 'KeyStorageProviderSetting')
        ?.text,
    '3',
  ],
  ['android.syncml.key-storage', 'and back', () => again({ keyStorage: 'useTpmKspOtherwiseFail' })?.keyStorage, 'useTpmKspOtherwiseFail'],
  ['android.syncml.key-usage', 'encipherment alone', () => again({ keyUsages: ['keyEncipherment'] })?.keyUsages, ['keyEncipherment']],
  ['android.syncml.hash-names', 'SHA-512 as its family', () => again({ hashes: ['sha512'] })?.hashes, ['sha256']],
  [
    'android.syncml.hash-names',
    'which is told',
    () => changed({ hashes: ['sha512'] }).lost.some(({ setting }) => setting === 'hashes'),
    true,
  ],
  ['android.syncml.hash-names', 'none is none', () => again({ hashes: [] })?.hashes, undefined],
  ['android.syncml.validity', 'months', () => again({ validity: { value: 6, scale: 'months' } })?.validity, { value: 6, scale: 'months' }],
  ['android.syncml.ca-thumbprint', 'ties the root', () => again({})?.rootId, 'root'],
  ['android.syncml.san-types', 'all kinds', () => again({})?.subjectAltNames, wifi.subjectAltNames],
  [
    'android.syncml.san-types',
    'a name without text is none',
    () => again({ subjectAltNames: [{ type: 'dns', value: ' ' }] })?.subjectAltNames,
    [],
  ],
  [
    'android.syncml.san-types',
    'another kind is told',
    () => read(renderSyncMl(delivery, os).text.replace('AltNameType=&quot;7&quot;', 'AltNameType=&quot;8&quot;')).skipped.length,
    1,
  ],
  ['android.syncml.token', 'as it stands', () => again({ challenge: 'bGFi' })?.challenge, 'bGFi'],
  [
    'android.syncml.chosen-url',
    'comes first',
    () =>
      read(
        rewritten(
          '<NDESUrl>https://a.example/scep</NDESUrl></RequestParameters>',
          '<NDESUrl>https://c.example</NDESUrl></RequestParameters>',
        ),
      ).scep[0]?.urls,
    ['https://c.example', ...wifi.urls],
  ],
  ['android.syncml.no-pfx', 'there is none', () => read(renderSyncMl(delivery, os).text).pfx, []],
]
for (const [fact, what, found, expected] of reads) t.test(`${fact}: ${what}`, async (t) => t.strictSame(found(), expected))

const rules: readonly (readonly [fact: string, what: string, said: () => string, expected: RegExp])[] = [
  [
    'android.syncml.existing-node',
    'added twice',
    () => refused(message(...[1, 2].map(() => add(`${store}/Root/a/EncodedCertificate`, 'MAMCAQE=')))),
    /is added twice, which is refused \(status 418\)/,
  ],
  [
    'android.syncml.existing-node',
    'rendered twice',
    () => refusal(() => renderSyncMl({ ...delivery, roots: [root, root] }, os)),
    /the id "root" is there twice, which is refused \(status 418\)/,
  ],
  [
    'android.syncml.threshold',
    'none',
    () => refused(rewritten('<ExpirationThreshold>20<', '<ExpirationThreshold>0<')),
    /ExpirationThreshold 0 is none of 1 to 99/,
  ],
  [
    'android.syncml.threshold',
    'the whole',
    () => refused(rewritten('<ExpirationThreshold>20<', '<ExpirationThreshold>100<')),
    /ExpirationThreshold 100 is none of 1 to 99/,
  ],
  ['android.syncml.chosen-url', 'no URL', () => refusal(() => changed({ urls: [] })), /"wifi" has no NDESUrl/],
  [
    'android.syncml.key-storage',
    'a fifth',
    () => refused(rewritten('<KeyStorageProviderSetting>0<', '<KeyStorageProviderSetting>4<')),
    /KeyStorageProviderSetting 4 is none of 0 to 3/,
  ],
  [
    'android.syncml.ca-thumbprint',
    '19 bytes',
    () => refused(rewritten(`<CAThumbprint>${rootSha1.toUpperCase()}<`, '<CAThumbprint>00<')),
    /expected 20 bytes in hex/,
  ],
  [
    'android.syncml.nesting',
    'another document',
    () => refused(message(add(`${store}/Enroll/x/Install`, '<a/>'))),
    /the request "x" is refused: expected CertificateRequest/,
  ],
  [
    'android.syncml.nesting',
    'no document of settings',
    () =>
      refused(
        message(
          add(
            `${store}/Enroll/x/Install`,
            '<CertificateRequest><ConfigurationParametersDocument>&lt;a/&gt;</ConfigurationParametersDocument></CertificateRequest>',
          ),
        ),
      ),
    /the settings of "x" is refused: expected ConfigurationParameters/,
  ],
]
for (const [fact, what, said, expected] of rules) {
  t.test(`${fact}: ${what}`, async (t) => {
    t.match(said(), expected)
    t.ok(said().includes(`(${fact})`))
  })
}

t.test('an id that names nothing is refused', async (t) => {
  for (const id of ['', 'a\u0000', '\ud800'])
    t.match(
      refusal(() => changed({ id })),
      /^ERR_PROFILE_INVALID: the id ".*" cannot name a node$/,
    )
})

t.test('what a refusal names is cut short', async (t) => {
  const long = 'x'.repeat(100_000)
  t.ok(refused(message(add(`${store}/Enroll/${long}/Install`, '<a/>'))).length < 1000)
  t.ok(refused(message(...[1, 2].map(() => add(`${store}/Root/${long}/EncodedCertificate`, 'MAMCAQE=')))).length < 1000)
  t.ok(
    refusal(() =>
      readSyncMl(message(add(`./Vendor/MSFT/ClientCertificateInstall/SCEP/${long}/Install/KeyUsage`, '1')), parseOs('windows', '10')),
    ).length < 1000,
  )
})

t.test('documents inside are read as strictly as the message', async (t) => {
  const inside = (text: string) => refused(message(add(`${store}/Enroll/x/Install`, text)))
  t.equal(inside('<!DOCTYPE a><a/>'), 'the request "x" is refused at line 1, column 1: a document type declaration')
  t.equal(
    inside(
      '<CertificateRequest><ConfigurationParametersDocument>&lt;!DOCTYPE a&gt;&lt;a/&gt;</ConfigurationParametersDocument></CertificateRequest>',
    ),
    'the settings of "x" is refused at line 1, column 1: a document type declaration',
  )
  t.match(inside(''), /^the request "x" is refused at line 1, column 1: document must contain a root element/)
})

t.test('commands of other kinds are passed over and told', async (t) => {
  const { skipped } = read(
    message(
      command('Get', `${store}/SCEP`),
      add('./Vendor/MSFT/GCM', 'x'),
      add(`${store}/Enroll/x`, 'y'),
      command('Delete', `${store}/Root/a/EncodedCertificate`),
    ),
  )
  t.strictSame(skipped, [
    `Get ${store}/SCEP`,
    'Add ./Vendor/MSFT/GCM',
    `Add ${store}/Enroll/x`,
    `Delete ${store}/Root/a/EncodedCertificate`,
  ])
})

const published = sample('android-scep.syncml.xml')
t.test('the published message', { skip: published.missing }, async (t) => {
  t.match(refused(published.text), /android\.syncml\.ca-thumbprint/, 'its thumbprint is a placeholder')
  const { deviceId, roots, scep, skipped } = read(published.text.replace('CAThumbprint&amp;gt;{GUID}', `CAThumbprint&amp;gt;${rootSha1}`))
  t.equal(deviceId, 'urn:uuid:UUID')
  t.strictSame(
    roots.map(({ id }) => id),
    ['{GUID}'],
  )
  t.equal(skipped.length, 12)
  const id = 'AC_51…/LogicalName_39907…'
  t.strictSame(scep, [
    {
      id,
      displayName: id,
      principal: 'device',
      urls: ['https://breezeappproxy-contoso.msappproxy.net/certsrv/mscep/mscep.dll'],
      subject: 'CN=name',
      subjectAltNames: [{ type: 'upn', value: 'john@contoso.onmicrosoft.com' }],
      challenge: 'PENlcnRFbn... Hash: 1,010,143,298',
      keyBits: 2048,
      keyUsages: ['keyEncipherment'],
      keyStorage: 'useTpmKspOtherwiseUseSoftwareKsp',
      hashes: ['sha1', 'sha256'],
      extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
      validity: { value: 2, scale: 'years' },
      renewalThresholdPercent: 20,
      retries: { count: 3, delayMs: 60_000 },
      rootThumbprint: rootSha1,
    },
  ])
})

/** What the forms do not carry of every delivery is not there; of this one they carry less. */
const demanding: Delivery = {
  ...delivery,
  roots: [{ ...root, id: 'first' }, root],
  scep: [
    {
      ...wifi,
      principal: 'user',
      hashes: ['sha512'],
      retries: { count: 1, delayMs: 1 },
      subjectAltNames: [' ', 'a;b'].map((value) => ({ type: 'dns', value })),
    },
  ],
}

t.test('docs/renderings.md tells what SyncML carries', async (t) => {
  const page = readFileSync(join(folder, 'docs/renderings.md'), 'utf8')
  const systems = [parseOs('windows', '10'), os]
  const loses = (one: Delivery, on: typeof os, id: string, setting: string) =>
    renderSyncMl(one, on).lost.some((told) => told.id === id && (told.setting === setting || told.setting === 'pfx'))
  const carried = (on: typeof os, id: string, setting: string) => {
    if (loses(delivery, on, id, setting)) return 'no'
    return loses(demanding, on, id, setting) ? 'in part' : 'yes'
  }
  const kinds = Object.entries({ root, SCEP: wifi, PFX: delivery.pfx[0] ?? {} })
  const rows = kinds.flatMap(([kind, one]) =>
    Object.keys(one).map(
      (setting) => `| ${kind} \`${setting}\` | ${systems.map((on) => carried(on, (one as typeof root).id, setting)).join(' | ')} |`,
    ),
  )
  t.strictSame(
    page.split('\n').filter((line) => /^\| (root|SCEP|PFX) `/.test(line)),
    rows,
  )
})
