import { says } from '../../fact.ts'
import type { Os } from '../../os.ts'
import { payloadFacts } from '../payload-facts.ts'
import type { Part } from './fields.ts'
import { profileErrors, refuse } from './problem.ts'

const pemBlock = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g

/** The one certificate of a payload, DER. A payload of the type for DER may hold PEM all the same. */
export function readCertificateData(part: Part, content: Uint8Array, type: string, os: Os): Uint8Array {
  const text = Buffer.from(content).toString('latin1')
  if (!text.includes('-----BEGIN')) return content
  if (type !== says(payloadFacts.certificateTypes, os).pem && !says(payloadFacts.certificateContents, os)) {
    refuse(part.name, 'PayloadContent is PEM, expected DER', profileErrors.malformedCertificate)
  }
  const [block, ...more] = [...text.matchAll(pemBlock)]
  if (block === undefined) return refuse(part.name, 'PayloadContent holds no certificate', profileErrors.malformedCertificate)
  if (more.length > 0) refuse(part.name, 'PayloadContent holds more than one certificate', profileErrors.tooManyCertificates)
  return new Uint8Array(Buffer.from(block[1] as string, 'base64'))
}
