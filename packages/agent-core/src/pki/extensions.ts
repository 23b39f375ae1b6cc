import { hash } from 'node:crypto'
import {
  bitString,
  boolean,
  explicit,
  integer,
  isOid,
  octetString,
  oid,
  primitive,
  readBitString,
  readSequence,
  sequence,
  tlv,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import type { SubjectAltName } from '../types.ts'
import { ExtensionOid, type KeyUsageBit } from './certificate-extensions.ts'
import { encodeSubjectAltNames } from './subject-alt-names.ts'

/** One extension to be written. */
export interface ExtensionValue {
  readonly oid: string
  /** Default false. */
  readonly critical?: boolean
  /** What goes into extnValue: the extension's own DER. */
  readonly value: Uint8Array
}

/** Extensions, the SEQUENCE (RFC 5280 4.2). */
export function encodeExtensions(extensions: readonly ExtensionValue[]): Uint8Array {
  return sequence(
    ...extensions.map(({ oid: type, critical, value }) =>
      critical ? sequence(oid(type), boolean(true), octetString(value)) : sequence(oid(type), octetString(value)),
    ),
  )
}

const usageBits: Record<KeyUsageBit, number> = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
  encipherOnly: 7,
  decipherOnly: 8,
}

/** Critical, as RFC 5280 4.2.1.3 wants it. `usages` holds at least one. */
export function keyUsageExtension(usages: readonly KeyUsageBit[]): ExtensionValue {
  const octets = new Uint8Array(2)
  for (const usage of usages) octets[usageBits[usage] >> 3] = (octets[usageBits[usage] >> 3] as number) | (0x80 >> (usageBits[usage] & 7))
  const used = octets[1] ? octets : octets.subarray(0, 1)
  const last = used[used.length - 1] as number
  return { oid: ExtensionOid.KeyUsage, critical: true, value: bitString(used, Math.min(7, 31 - Math.clz32(last & -last))) }
}

/** `purposes` are dotted OIDs, at least one; text that is none: `ERR_PROFILE_INVALID`. */
export function extendedKeyUsageExtension(purposes: readonly string[]): ExtensionValue {
  const wrong = purposes.find((purpose) => !isOid(purpose))
  if (wrong !== undefined) throw new AgentError('ERR_PROFILE_INVALID', `"${wrong}" is not the dotted OID of an extended key usage`)
  return { oid: ExtensionOid.ExtendedKeyUsage, value: sequence(...purposes.map(oid)) }
}

/** `critical` must be true when the subject is empty (RFC 5280 4.2.1.6). */
export function subjectAltNameExtension(names: readonly SubjectAltName[], critical = false): ExtensionValue {
  return { oid: ExtensionOid.SubjectAltName, critical, value: encodeSubjectAltNames(names) }
}

/** Critical in a CA certificate (RFC 5280 4.2.1.9). An end entity's is empty. */
export function basicConstraintsExtension({ ca, pathLength }: { ca: boolean; pathLength?: number }): ExtensionValue {
  const parts = ca ? [boolean(true), ...(pathLength === undefined ? [] : [integer(pathLength)])] : []
  return { oid: ExtensionOid.BasicConstraints, critical: ca, value: sequence(...parts) }
}

/** Method 1 of RFC 5280 4.2.1.2. `publicKey` is a SubjectPublicKeyInfo. */
export function subjectKeyIdentifierExtension(publicKey: Uint8Array): ExtensionValue {
  return { oid: ExtensionOid.SubjectKeyIdentifier, value: octetString(keyIdentifierOf(publicKey)) }
}

/** `keyIdentifier` is the issuer's subjectKeyIdentifier: {@link keyIdentifierOf} its key where it has none. */
export function authorityKeyIdentifierExtension(keyIdentifier: Uint8Array): ExtensionValue {
  return { oid: ExtensionOid.AuthorityKeyIdentifier, value: sequence(tlv(primitive(0), keyIdentifier)) }
}

/** One distribution point with one full name a URL (RFC 5280 4.2.1.13). */
export function crlDistributionPointsExtension(urls: readonly string[]): ExtensionValue {
  const points = urls.map((url) => sequence(explicit(0, explicit(0, tlv(primitive(6), Buffer.from(url, 'latin1'))))))
  return { oid: ExtensionOid.CrlDistributionPoints, value: sequence(...points) }
}

/** SHA-1 of the subjectPublicKey BIT STRING's octets, 20 bytes (RFC 5280 4.2.1.2; a name, not a protection). */
export function keyIdentifierOf(publicKey: Uint8Array): Uint8Array {
  const { bytes } = readBitString(readSequence(publicKey, 'subjectPublicKeyInfo')[1], 'subjectPublicKey')
  return hash('sha1', bytes, 'buffer')
}
