import { sources } from '../sources.ts'

/** What the source keys of the checks stand for: those of the facts, and those that no fact rests on. All are public. */
export const checkSources: Readonly<Record<string, string>> = {
  ...sources,
  Graph: 'Microsoft Graph, reference of device configuration resources, beta',
  IRA: 'Microsoft, Intune-Resource-Access, src/CsrValidation with its test matrix',
  'M-CFG': 'Microsoft Intune, "Configure infrastructure to support SCEP", 2024',
  RFC5280: 'Internet X.509 Public Key Infrastructure, rfc-editor.org/rfc/rfc5280',
  SSCEP: 'issues of github.com/certnanny/sscep',
  'W-ROOT': 'Windows RootCATrustedCertificates configuration service provider',
}
