import type { Check } from '../check.ts'
import { androidMessage, command, syncMl } from '../messages.ts'
import { reading, type SyncMlReading } from './readings.ts'

const onAndroid = ({ id, ...row }: SyncMlReading): Check => reading({ on: ['android'], id: `syncml.${id}`, ...row })

/** What nobody reads here. */
const certificate = 'AQI='

/** One setting of a request as the agent on Android is told it. */
const setting = (id: string, given: string, text: string, is: unknown, fact: string): Check =>
  onAndroid({ id, given, text, facts: [fact], source: 'SA-DEP Android sample', ...(is !== undefined && { is }) })

/** What the agent on Android takes of a message. */
export const syncMlAndroidChecks: readonly Check[] = [
  setting(
    'key-usage',
    'KeyUsage 160',
    androidMessage('<KeyUsage>160</KeyUsage>'),
    { keyUsages: ['digitalSignature', 'keyEncipherment'] },
    'android.syncml.key-usage',
  ),
  setting(
    'key-storage',
    'KeyStorageProviderSetting 1',
    androidMessage('<KeyStorageProviderSetting>1</KeyStorageProviderSetting>'),
    { keyStorage: 'useTpmKspOtherwiseFail' },
    'android.syncml.key-storage',
  ),
  setting(
    'hash',
    'HashAlgorithms with SHA-2',
    androidMessage('<HashAlgorithms><HashAlgorithm>SHA-2</HashAlgorithm></HashAlgorithms>'),
    { hashes: ['sha256'] },
    'android.syncml.hash-names',
  ),
  setting(
    'retry-delay',
    'RetryCount 3 and RetryDelay 1',
    androidMessage('<RetryCount>3</RetryCount><RetryDelay>1</RetryDelay>'),
    { retries: { count: 3, delayMs: 60_000 } },
    'android.syncml.retry-delay-unit',
  ),
  setting(
    'threshold',
    'ExpirationThreshold 20',
    androidMessage('<ExpirationThreshold>20</ExpirationThreshold>'),
    { renewalThresholdPercent: 20 },
    'android.syncml.threshold',
  ),
  setting(
    'threshold.0',
    'ExpirationThreshold 0',
    androidMessage('<ExpirationThreshold>0</ExpirationThreshold>'),
    undefined,
    'android.syncml.threshold',
  ),
  setting(
    'thumbprint',
    'a CAThumbprint of 19 bytes',
    androidMessage(`<CAThumbprint>${'5A'.repeat(19)}</CAThumbprint>`),
    undefined,
    'android.syncml.ca-thumbprint',
  ),
  setting(
    'validity',
    'ValidityPeriod 2 in Years',
    androidMessage('<ValidityPeriod>2</ValidityPeriod><ValidityPeriodUnit>Years</ValidityPeriodUnit>'),
    { validity: { value: 2, scale: 'years' } },
    'android.syncml.validity',
  ),
  setting(
    'names',
    'SANs of the types 2 and 11',
    androidMessage(
      '',
      '<SubjectAlternativeName><SANs><SAN AltNameType="2">ada@contoso.example</SAN><SAN AltNameType="11">ada</SAN></SANs></SubjectAlternativeName>',
    ),
    {
      subjectAltNames: [
        { type: 'email', value: 'ada@contoso.example' },
        { type: 'upn', value: 'ada' },
      ],
    },
    'android.syncml.san-types',
  ),
  setting(
    'token',
    'a CertificateRequestToken',
    androidMessage('', '<CertificateRequestToken>secret</CertificateRequestToken>'),
    { challenge: 'secret' },
    'android.syncml.token',
  ),
  setting(
    'chosen-url',
    'NDESUrls beside the NDESUrl that was chosen',
    androidMessage('<NDESUrls><NDESUrl>https://other.example/scep</NDESUrl></NDESUrls>'),
    { urls: ['https://ndes.example/scep', 'https://other.example/scep'] },
    'android.syncml.chosen-url',
  ),
  setting(
    'enroll',
    'a request below CertificateStore/Enroll',
    androidMessage(''),
    { id: 'wifi', principal: 'device' },
    'android.syncml.enroll',
  ),
  onAndroid({
    id: 'root',
    given: 'a root below CertificateStore/Root',
    text: syncMl(command('Add', './Vendor/MSFT/CertificateStore/Root/root/EncodedCertificate', certificate)),
    of: ({ roots }) => roots.map(({ id }) => id),
    is: ['root'],
    facts: ['android.syncml.root'],
    source: 'SA-DEP Android sample CertificateStore/Root',
  }),
  onAndroid({
    id: 'existing',
    given: 'a root that is added twice',
    text: syncMl(...[1, 2].map(() => command('Add', './Vendor/MSFT/CertificateStore/Root/root/EncodedCertificate', certificate))),
    names: 'status 418',
    facts: ['android.syncml.existing-node'],
    source: 'MS-DM status codes',
  }),
]
