import { integerBytes, primitive, readChildren, sequence, Tag, type Tlv, tlv } from '../der/index.ts'
import type { Certificate } from '../pki/certificate.ts'
import { sameName } from '../pki/names.ts'

/** IssuerAndSerialNumber (RFC 5652 10.2.4). */
export function issuerAndSerialNumber({ issuer, serialNumber }: Pick<Certificate, 'issuer' | 'serialNumber'>): Uint8Array {
  return sequence(issuer, tlv(Tag.Integer, serialNumber))
}

/** Whether a SignerIdentifier or RecipientIdentifier, by issuer and serial number or by `[0]` key identifier, means that certificate. */
export function namesCertificate(identifier: Tlv, certificate: Certificate): boolean {
  if (identifier.tag === primitive(0)) {
    const known = certificate.subjectKeyIdentifier
    return known !== undefined && Buffer.compare(known, identifier.value) === 0
  }
  if (identifier.tag !== Tag.Sequence) return false
  const [issuer, serialNumber, ...more] = readChildren(identifier.value, 'issuer and serial number')
  if (issuer === undefined || more.length > 0) return false
  return (
    Buffer.compare(integerBytes(serialNumber, 'serial number'), certificate.serialNumber) === 0 && sameName(issuer.raw, certificate.issuer)
  )
}
