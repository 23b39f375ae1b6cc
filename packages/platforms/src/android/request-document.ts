import { AgentError, type SubjectAltName } from '@certfleet/agent-core'
import { decodeName, formatName, parseCertificate } from '@certfleet/agent-core/pki'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { RootDelivery, ScepDelivery } from '../rendering/delivery.ts'
import { hashNameIn } from '../rendering/values.ts'
import { type XmlMarkup, xmlElement } from '../rendering/xml.ts'
import { androidSyncMlFacts } from './syncml-facts.ts'

/** A SCEP request as the XML that stands, escaped, in the message. Text that XML cannot hold: `ERR_PROFILE_INVALID`. */
export function requestDocument(scep: ScepDelivery, root: RootDelivery | undefined, os: Os): string {
  const settings = configurationParameters(scep, os).markup
  return xmlElement('CertificateRequest', [
    xmlElement('ConfigurationParametersDocument', settings),
    xmlElement('RequestParameters', requestParameters(scep, root, os)),
  ]).markup
}

function configurationParameters(scep: ScepDelivery, os: Os): XmlMarkup {
  const { retries, validity, keyStorage, keyUsages } = scep
  const { retryDelay, keyStorage: storage, keyUsage, namespace } = androidSyncMlFacts
  const said = (name: string, value: string | number | undefined) => (value === undefined ? [] : [xmlElement(name, String(value))])
  const bits = says(keyUsage, os)
  return xmlElement(
    'ConfigurationParameters',
    [
      ...said('ExpirationThreshold', scep.renewalThresholdPercent),
      ...said('RetryCount', retries?.count),
      ...said('RetryDelay', retries && Math.ceil(retries.delayMs / says(retryDelay, os))),
      xmlElement('TemplateName'),
      ...said('KeyStorageProviderSetting', keyStorage && says(storage, os).indexOf(keyStorage)),
      ...said(
        'KeyUsage',
        keyUsages?.reduce((sum, usage) => sum | bits[usage], 0),
      ),
      ...said('KeyLength', scep.keyBits),
      ...hashAlgorithms(scep, os),
      listOf('NDESUrls', 'NDESUrl', scep.urls),
      ...said('CAThumbprint', scep.rootThumbprint?.toUpperCase()),
      ...said('ValidityPeriod', validity?.value),
      ...said(
        'ValidityPeriodUnit',
        validity && says(androidSyncMlFacts.validity, os).find((unit) => unit.toLowerCase() === validity.scale),
      ),
      ...purposes(scep),
    ],
    { xmlns: says(namespace, os) },
  )
}

function hashAlgorithms({ hashes = [] }: ScepDelivery, os: Os): XmlMarkup[] {
  const names = new Set(hashes.map((hash) => hashNameIn(says(androidSyncMlFacts.hashNames, os), hash)))
  return names.size === 0 ? [] : [listOf('HashAlgorithms', 'HashAlgorithm', [...names])]
}

/** The names of purposes, which only people read, are left out. */
function purposes({ extendedKeyUsages }: ScepDelivery): XmlMarkup[] {
  if (extendedKeyUsages === undefined) return []
  return [
    xmlElement(
      'EKUMapping',
      extendedKeyUsages.map((oid) => xmlElement('EKUMap', [xmlElement('EKUName'), xmlElement('EKUOID', oid)])),
    ),
  ]
}

function listOf(name: string, each: string, values: readonly string[]): XmlMarkup {
  return xmlElement(
    name,
    values.map((value) => xmlElement(each, value)),
  )
}

function requestParameters(scep: ScepDelivery, root: RootDelivery | undefined, os: Os): XmlMarkup[] {
  const types = says(androidSyncMlFacts.sanTypes, os)
  const name = ({ type, value }: SubjectAltName) => xmlElement('SAN', value, { NameFormat: 'ID', AltNameType: String(types[type]) })
  const issuers = root && issuersOf(root, os)
  return [
    ...(scep.challenge === undefined ? [] : [xmlElement(says(androidSyncMlFacts.token, os), scep.challenge)]),
    xmlElement('SubjectName', scep.subject),
    ...(issuers === undefined ? [] : [xmlElement('Issuers', issuers)]),
    xmlElement('SubjectAlternativeName', [xmlElement('SANs', scep.subjectAltNames.map(name))]),
    xmlElement(says(androidSyncMlFacts.chosenUrl, os), scep.urls[0] ?? ''),
  ]
}

/** Nothing for a root that cannot be read: whoever installs it says why. */
function issuersOf({ certificate }: RootDelivery, os: Os): string | undefined {
  try {
    const names = decodeName(parseCertificate(certificate).subject)
    return names.map((name) => formatName([name])).join(says(androidSyncMlFacts.issuers, os))
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}
