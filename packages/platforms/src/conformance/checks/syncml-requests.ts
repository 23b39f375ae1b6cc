import type { Check } from '../check.ts'
import { type Nodes, scepMessage } from '../messages.ts'
import { onWindows } from './readings.ts'

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

/** What the nodes of a SCEP request come to on Windows. */
export const syncMlRequestChecks: readonly Check[] = [
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
    'windows.key-usage.required',
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
