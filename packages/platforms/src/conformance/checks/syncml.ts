import type { Check } from '../check.ts'

import { androidMessage, atomic, command, enroll, type Nodes, pfxMessage, scepAdds, scepMessage, syncMl, thumbprint } from '../messages.ts'
import { type Reading, reading } from './readings.ts'

type Row = Pick<Reading, 'id' | 'given' | 'text' | 'of' | 'is' | 'names' | 'facts'> & { readonly source: string }

const onWindows = ({ id, ...row }: Row): Check => reading({ on: ['windows'], id: `syncml.${id}`, ...row })
const onAndroid = ({ id, ...row }: Row): Check => reading({ on: ['android'], id: `syncml.${id}`, ...row })

/** A SCEP request with these nodes instead of the ordinary ones. */
const node = (id: string, given: string, nodes: Nodes, is: unknown, fact: string, source: string): Check =>
  onWindows({ id, given, text: scepMessage(nodes), facts: [fact], source, ...(is !== undefined && { is }) })

/** As `keys.passport`, from the nodes themselves; a smaller key and an older hash than the fact's stay refused whatever else it says. */
const refusedHello = (id: string, given: string, nodes: Nodes, names: string, source: string): Check =>
  onWindows({
    id: `hello.${id}`,
    given,
    text: scepMessage({ KeyProtection: '4', ContainerName: 'hello', ...nodes }),
    names,
    facts: [],
    source,
  })

const tree = './Device/Vendor/MSFT/ClientCertificateInstall'
const stores = 'Vendor/MSFT/RootCATrustedCertificates'
const older = './Vendor/MSFT/CertificateStore'
/** What nobody reads here, with its SHA-1. */
const blob = { base64: 'AQI=', sha1: '0CA623E2855F2C75C842AD302FE820E41B4D197D' }

const requests: readonly Check[] = [
  node(
    'key-usage.sign',
    'KeyUsage 128',
    { KeyUsage: '128' },
    { keyUsages: ['digitalSignature'] },
    'windows.csp.key-usage',
    'W-CCI Install/KeyUsage',
  ),
  node(
    'key-usage.encrypt',
    'KeyUsage 32',
    { KeyUsage: '32' },
    { keyUsages: ['keyEncipherment'] },
    'windows.csp.key-usage',
    'W-CCI Install/KeyUsage',
  ),
  node(
    'key-usage.neither',
    'KeyUsage 1, which has neither 32 nor 128',
    { KeyUsage: '1' },
    undefined,
    'windows.csp.key-usage',
    'W-DDF Install/KeyUsage',
  ),
  node('key-length', 'KeyLength 3072', { KeyLength: '3072' }, undefined, 'windows.csp.key-length', 'W-CCI Install/KeyLength'),
  ...(['useTpmKspOtherwiseFail', 'useTpmKspOtherwiseUseSoftwareKsp', 'useSoftwareKsp'] as const).map((keyStorage, i) =>
    node(
      `key-protection.${i + 1}`,
      `KeyProtection ${i + 1}`,
      { KeyProtection: `${i + 1}` },
      { keyStorage },
      'windows.csp.key-protection',
      'W-CCI Install/KeyProtection',
    ),
  ),
  node(
    'key-protection.default',
    'no KeyProtection',
    {},
    { keyStorage: 'useSoftwareKsp' },
    'windows.csp.key-protection-default',
    'W-CCI Install/KeyProtection',
  ),
  node(
    'container-name',
    'KeyProtection 4 with a ContainerName',
    { KeyProtection: '4', ContainerName: 'hello' },
    { keyStorage: 'usePassportForWorkKspOtherwiseFail' },
    'windows.csp.key-protection',
    'W-DDF Install/ContainerName',
  ),
  node(
    'container-name.missing',
    'KeyProtection 4 without a ContainerName',
    { KeyProtection: '4' },
    undefined,
    'windows.csp.container-name',
    'W-DDF Install/ContainerName',
  ),
  ...(['1024', '4096'] as const).map((KeyLength) =>
    refusedHello(
      KeyLength,
      `KeyProtection 4 and KeyLength ${KeyLength}`,
      { KeyLength },
      'windows.passport.key-size',
      'W-DDF Install/KeyLength',
    ),
  ),
  refusedHello(
    'sha1',
    'KeyProtection 4 and HashAlgorithm SHA-1',
    { HashAlgorithm: 'SHA-1' },
    'windows.passport.hash',
    'W-DDF Install/HashAlgorithm',
  ),
  node(
    'hello.smart-card',
    'KeyProtection 4 for smart card logon',
    { KeyProtection: '4', ContainerName: 'hello', EKUMapping: '1.3.6.1.4.1.311.20.2.2' },
    undefined,
    'windows.passport.smart-card',
    'CM-CP Key storage provider',
  ),
  node(
    'challenge',
    'a Challenge in base64',
    { Challenge: 'c2VjcmV0' },
    { challenge: 'secret' },
    'windows.csp.challenge',
    'W-CCI Install/Challenge',
  ),
  node(
    'hash',
    'HashAlgorithm SHA-1+SHA-2',
    { HashAlgorithm: 'SHA-1+SHA-2' },
    { hashes: ['sha1', 'sha256'] },
    'windows.csp.hash-names',
    'W-CCI Install/HashAlgorithm',
  ),
  node(
    'purposes',
    'two purposes in EKUMapping',
    { EKUMapping: '1.3.6.1.5.5.7.3.2+1.3.6.1.5.5.7.3.4' },
    { extendedKeyUsages: ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.4'] },
    'windows.csp.eku-separator',
    'W-CCI Install/EKUMapping',
  ),
  node(
    'urls',
    'two URLs in ServerURL',
    { ServerURL: 'https://a;https://b' },
    { urls: ['https://a', 'https://b'] },
    'windows.csp.url-separator',
    'W-CCI Install/ServerURL',
  ),
  node(
    'names',
    'two SubjectAlternativeNames',
    { SubjectAlternativeNames: '11+ada@contoso.example;2+ada+1@contoso.example' },
    {
      subjectAltNames: [
        { type: 'upn', value: 'ada@contoso.example' },
        { type: 'email', value: 'ada+1@contoso.example' },
      ],
    },
    'windows.csp.san-separators',
    'W-CCI Install/SubjectAlternativeNames',
  ),
  node(
    'names.kinds',
    'SubjectAlternativeNames of the kinds 3 and 7',
    { SubjectAlternativeNames: '3+pc-1.example;7+urn:pc-1' },
    {
      subjectAltNames: [
        { type: 'dns', value: 'pc-1.example' },
        { type: 'uri', value: 'urn:pc-1' },
      ],
    },
    'windows.csp.san-types',
    'W-CCI Install/SubjectAlternativeNames',
  ),
  node(
    'validity',
    'ValidPeriodUnits 30 and no ValidPeriod',
    { ValidPeriodUnits: '30' },
    { validity: { value: 30, scale: 'days' } },
    'windows.csp.validity',
    'W-CCI Install/ValidPeriod',
  ),
  node(
    'retry-delay',
    'RetryCount 2 and RetryDelay 7',
    { RetryCount: '2', RetryDelay: '7' },
    { retries: { count: 2, delayMs: 420_000 } },
    'windows.csp.retry-delay-unit',
    'W-DDF Install/RetryDelay',
  ),
  node(
    'thumbprint',
    'a CAThumbprint of 19 bytes',
    { CAThumbprint: '5A'.repeat(19) },
    undefined,
    'windows.csp.ca-thumbprint',
    'W-CCI Install/CAThumbprint',
  ),
  node(
    'required',
    'a request without a SubjectName',
    { SubjectName: undefined },
    undefined,
    'windows.csp.required-nodes',
    'W-CCI Install; W-DDF Install',
  ),
]

const commands: readonly Check[] = [
  onWindows({
    id: 'install-nodes',
    given: 'a node below Install that the CSP does not know',
    text: scepMessage({ RenewalThreshold: '20' }),
    of: ({ skipped }) => skipped,
    is: ['wifi: no node is called renewalthreshold'],
    facts: ['windows.csp.install-nodes'],
    source: 'W-DDF Install',
  }),
  onWindows({
    id: 'atomic',
    given: 'a SCEP request outside an Atomic',
    text: syncMl(...scepAdds(), enroll),
    facts: ['windows.csp.atomic'],
    source: 'W-CCI introduction',
  }),
  onWindows({
    id: 'enroll.missing',
    given: 'a SCEP request without Exec of Enroll',
    text: syncMl(atomic(...scepAdds())),
    facts: ['windows.csp.enroll-last'],
    source: 'W-CCI introduction',
  }),
  onWindows({
    id: 'enroll.not-last',
    given: 'a node that is added after Enroll, in the same Atomic',
    text: syncMl(atomic(...scepAdds(), enroll, command('Add', `${tree}/SCEP/wifi/Install/RetryCount`, '9'))),
    facts: ['windows.csp.enroll-last'],
    source: 'W-CCI introduction',
  }),
  onWindows({
    id: 'snapshot',
    given: 'a node that is replaced after Enroll was accepted',
    text: syncMl(atomic(...scepAdds(), enroll), command('Replace', `${tree}/SCEP/wifi/Install/SubjectName`, 'CN=eve')),
    is: { subject: 'CN=ada' },
    facts: ['windows.csp.snapshot'],
    source: 'W-CCI Install',
  }),
  onWindows({
    id: 'existing',
    given: 'a node that is added twice',
    text: syncMl(atomic(...scepAdds(), command('Add', `${tree}/SCEP/wifi/Install/KeyLength`, '2048'), enroll)),
    names: 'status 418',
    facts: ['windows.csp.existing-node'],
    source: 'MS-DM status codes',
  }),
  onWindows({
    id: 'get-in-atomic',
    given: 'Get in an Atomic',
    text: syncMl(atomic(...scepAdds(), command('Get', `${tree}/SCEP/wifi`), enroll)),
    names: 'status 500',
    facts: ['windows.csp.atomic-commands'],
    source: 'MS-DM Atomic',
  }),
  onWindows({
    id: 'malformed',
    given: 'a command without a CmdID',
    text: scepMessage().replace('<Exec><CmdID>1</CmdID>', '<Exec>'),
    names: 'status 400',
    facts: ['windows.csp.malformed-command'],
    source: 'MS-DM CmdID',
  }),
  onWindows({
    id: 'caseless',
    given: 'paths in another case',
    text: scepMessage({ KeyLength: '1024' }).replaceAll(
      '/Vendor/MSFT/ClientCertificateInstall/SCEP',
      '/VENDOR/msft/clientCERTIFICATEinstall/scep',
    ),
    is: { keyBits: 1024 },
    facts: ['windows.csp.caseless-paths'],
    source: 'W-CS introduction',
  }),
  onWindows({
    id: 'old-tree',
    given: 'a request in the older tree, with HashAlgrithm',
    text: syncMl(
      atomic(
        ...scepAdds({ HashAlgorithm: undefined, HashAlgrithm: 'SHA-2' }, `${older}/MY/SCEP/wifi/Install`),
        command('Exec', `${older}/MY/SCEP/wifi/Install/Enroll`),
      ),
    ),
    is: { hashes: ['sha256'] },
    facts: ['windows.csp.old-tree'],
    source: 'W-CS MY/SCEP',
  }),
  onWindows({
    id: 'store-replace',
    given: 'Replace of a root in the older tree that is not there',
    text: syncMl(command('Replace', `${older}/ROOT/System/${blob.sha1}/EncodedCertificate`, blob.base64)),
    names: 'status 404',
    facts: ['windows.csp.store-replace'],
    source: 'W-CS introduction',
  }),
  onWindows({
    id: 'root',
    given: 'a certificate under its SHA-1 in the CA node of the user',
    text: syncMl(command('Add', `./User/${stores}/CA/${blob.sha1}/EncodedCertificate`, blob.base64)),
    of: ({ roots }) => roots.map(({ destinationStore }) => destinationStore),
    is: ['user-intermediate'],
    facts: ['windows.csp.root-nodes'],
    source: 'W-ROOT CA; SEED S20',
  }),
  onWindows({
    id: 'root.user',
    given: 'a certificate in a Root node of the user',
    text: syncMl(command('Add', `./User/${stores}/Root/${blob.sha1}/EncodedCertificate`, blob.base64)),
    facts: ['windows.csp.no-user-root'],
    source: 'W-ROOT Root',
  }),
  onWindows({
    id: 'root.mismatch',
    given: 'a certificate under the SHA-1 of another one',
    text: syncMl(command('Add', `./Device/${stores}/Root/${thumbprint}/EncodedCertificate`, blob.base64)),
    names: 'status 500',
    facts: ['windows.csp.root-mismatch'],
    source: 'W-ROOT CertHash',
  }),
  onWindows({
    id: 'pfx.exportable',
    given: 'PFXKeyExportable with KeyLocation 1',
    text: pfxMessage({ KeyLocation: '1', PFXKeyExportable: 'true' }),
    facts: ['windows.pfx.exportable'],
    source: 'W-CCI PFXCertInstall PFXKeyExportable',
  }),
  onWindows({
    id: 'pfx.exportable.software',
    given: 'PFXKeyExportable with KeyLocation 3',
    text: pfxMessage({ PFXKeyExportable: 'true' }),
    of: ({ pfx }) => pfx.map(({ exportable, keyStorage }) => [exportable, keyStorage]),
    is: [[true, 'useSoftwareKsp']],
    facts: ['windows.pfx.key-location'],
    source: 'W-CCI PFXCertInstall PFXKeyExportable, KeyLocation',
  }),
  onWindows({
    id: 'pfx.nodes',
    given: 'a PFX without its blob',
    text: pfxMessage({ PFXCertBlob: undefined }),
    facts: ['windows.csp.pfx-nodes'],
    source: 'W-CCI PFXCertInstall',
  }),
  onWindows({
    id: 'pfx.password',
    given: 'a PFX whose password is encrypted for a certificate of the device',
    text: pfxMessage({ PFXCertPasswordEncryptionType: '1' }),
    of: ({ pfx, skipped }) => [pfx.length, skipped.length],
    is: [0, 1],
    facts: ['windows.csp.pfx-password'],
    source: 'W-CCI PFXCertInstall PFXCertPasswordEncryptionType',
  }),
  onWindows({
    id: 'pfx.replace',
    given: 'Replace of a blob that is not there',
    text: pfxMessage()
      .replace(/<Add>(?=(?:(?!<Add>).)*PFXCertBlob)/, '<Replace>')
      .replace(/<\/Add><\/Atomic>/, '</Replace></Atomic>'),
    facts: ['windows.pfx.replace'],
    source: 'W-CCI PFXCertInstall PFXCertBlob',
  }),
  onWindows({
    id: 'pfx.add',
    given: 'Add of a blob where there is one',
    text: syncMl(pfxMessage().replace(/.*<SyncBody>|<Final.*/g, ''), command('Add', `${tree}/PFXCertInstall/mail/PFXCertBlob`, 'AQI=')),
    names: 'status 418',
    facts: ['windows.pfx.replace'],
    source: 'W-CCI PFXCertInstall PFXCertBlob',
  }),
]

/** One setting of a request as the agent on Android is told it. */
const setting = (id: string, given: string, text: string, is: unknown, fact: string): Check =>
  onAndroid({ id, given, text, facts: [fact], source: 'SA-DEP Android sample', ...(is !== undefined && { is }) })

const android: readonly Check[] = [
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
    text: syncMl(command('Add', './Vendor/MSFT/CertificateStore/Root/root/EncodedCertificate', blob.base64)),
    of: ({ roots }) => roots.map(({ id }) => id),
    is: ['root'],
    facts: ['android.syncml.root'],
    source: 'SA-DEP Android sample CertificateStore/Root',
  }),
  onAndroid({
    id: 'existing',
    given: 'a root that is added twice',
    text: syncMl(...[1, 2].map(() => command('Add', './Vendor/MSFT/CertificateStore/Root/root/EncodedCertificate', blob.base64))),
    names: 'status 418',
    facts: ['android.syncml.existing-node'],
    source: 'MS-DM status codes',
  }),
]

/** What the configuration service providers of Windows, and the agent on Android, take of a message. */
export const syncMlChecks: readonly Check[] = [...requests, ...commands, ...android]
