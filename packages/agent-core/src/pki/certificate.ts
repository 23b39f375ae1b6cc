import { hash, type KeyObject } from 'node:crypto'
import {
  constructed,
  expectTag,
  integerBytes,
  malformed,
  primitive,
  readBitString,
  readChildren,
  readCount,
  readSequence,
  readTime,
  Tag,
  type Tlv,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import type { Instant } from '../types.ts'
import { importPublicKey, readAlgorithmIdentifier } from './algorithms.ts'
import { decodeExtensions, type Extension, type KnownExtensions, readExtensions } from './certificate-extensions.ts'
import { isWorthKeeping, keepAuthority, knownAuthority } from './known-authorities.ts'
import { verifySignature } from './path/signature.ts'

/** An AlgorithmIdentifier (RFC 5280 4.1.1.2). `parameters` is the whole value behind the OID, DER. */
export interface AlgorithmIdentifier {
  readonly oid: string
  readonly parameters?: Uint8Array
}

/**
 * A certificate that kept to the letter of RFC 5280 4.1. All bytes are views of `raw`, which is the input or, for a CA's, a copy of it.
 * Nothing in it is trusted yet.
 */
export interface Certificate extends KnownExtensions {
  /** The whole certificate, DER. */
  readonly raw: Uint8Array
  /** What was signed, DER. */
  readonly tbs: Uint8Array
  /** 1, 2 or 3. */
  readonly version: number
  /** Contents of the INTEGER: not negative, at most 20 octets, or 33 in a self-issued certificate. */
  readonly serialNumber: Uint8Array
  /** Name, DER. */
  readonly issuer: Uint8Array
  /** Name, DER. */
  readonly subject: Uint8Array
  readonly notBefore: Instant
  readonly notAfter: Instant
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly signatureAlgorithm: AlgorithmIdentifier
  readonly signature: Uint8Array
  /** By dotted OID, those below included. */
  readonly extensions: ReadonlyMap<string, Extension>
}

/** Larger than any certificate that a CA issues; limits what one parse can cost. */
const maxCertificateBytes = 256 * 1024

/**
 * Reads one DER certificate by the rules of RFC 5280 4.1 and decodes the extensions that path validation and enrolment ask for.
 *
 * Tolerated, because CAs in public trust lists do it: a serial number of zero in a self-issued certificate,
 * GeneralizedTime before 2050, versions 1 and 2, basicConstraints that state the default `cA FALSE`.
 * Fails with `ERR_DER_MALFORMED`, or `ERR_LIMIT_EXCEEDED` above 256 KiB.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  const known = knownAuthority(der)
  if (known) return known
  const certificate = readCertificate(der)
  return isWorthKeeping(certificate) ? keepAuthority(readCertificate(Uint8Array.from(der))) : certificate
}

function readCertificate(der: Uint8Array): Certificate {
  if (der.length > maxCertificateBytes)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `certificate of ${der.length} bytes, expected at most ${maxCertificateBytes}`)
  const [tbs, algorithm, signature, ...rest] = readSequence(der, 'certificate')
  const body = readTbs(expectTag(tbs, Tag.Sequence, 'tbsCertificate'))
  if (rest.length > 0) malformed('certificate', 'values behind the signature')
  if (algorithm === undefined || !sameBytes(body.innerAlgorithm.raw, algorithm.raw))
    malformed('certificate', 'its two signature algorithms differ')
  return {
    raw: der,
    tbs: (tbs as Tlv).raw,
    ...body.fields,
    signatureAlgorithm: readAlgorithmIdentifier(algorithm, 'signatureAlgorithm'),
    signature: wholeBits(signature, 'certificate signature'),
    extensions: body.extensions,
    ...decodeExtensions(body.extensions),
  }
}

/** SHA-256 of the DER, lower-case hex: how certfleet names a certificate. */
export function fingerprintOf(der: Uint8Array): string {
  return hash('sha256', der, 'hex')
}

/** The serial number as `openssl x509 -serial` shows it, in lower case: two digits an octet, no sign octet. */
export function serialNumberHex({ serialNumber }: Pick<Certificate, 'serialNumber'>): string {
  return Buffer.from(serialNumber.length > 1 && serialNumber[0] === 0 ? serialNumber.subarray(1) : serialNumber).toString('hex')
}

const selfSigned = new WeakMap<Certificate, boolean>()

/** Subject and issuer are equal and the certificate's own key made its signature, whatever its hash. Verified once. */
export function isSelfSigned(certificate: Certificate): boolean {
  if (!sameBytes(certificate.subject, certificate.issuer)) return false
  const known = selfSigned.get(certificate)
  if (known !== undefined) return known
  const { signatureAlgorithm, tbs, signature } = certificate
  const verdict = verifySignature(publicKeyOf(certificate), signatureAlgorithm, tbs, signature)
  selfSigned.set(certificate, verdict)
  return verdict
}

/** The certificate's key, imported once as long as it is in use. A key that this runtime cannot use: `ERR_CERTIFICATE_REFUSED`. */
export function publicKeyOf(certificate: Pick<Certificate, 'publicKey'>): KeyObject {
  return importPublicKey(certificate.publicKey)
}

function readTbs(tbs: Tlv) {
  const parts = readChildren(tbs.value, 'tbsCertificate')
  const version = readVersion(parts)
  const [serial, innerAlgorithm, issuer, validity, subject, spki] = parts
  const optional = parts.slice(6)
  const [notBefore, notAfter, ...more] = readChildren(expectTag(validity, Tag.Sequence, 'validity').value, 'validity')
  if (more.length > 0) malformed('validity', 'it holds more than two times')
  const fields = {
    version,
    serialNumber: readSerial(serial, issuer, subject),
    issuer: readName(issuer, 'issuer'),
    notBefore: readTime(notBefore, 'notBefore'),
    notAfter: readTime(notAfter, 'notAfter'),
    subject: readName(subject, 'subject'),
    publicKey: readSpki(spki),
  }
  return {
    fields,
    innerAlgorithm: expectTag(innerAlgorithm, Tag.Sequence, 'signature algorithm'),
    extensions: readOptional(optional, version),
  }
}

/** Takes the version off the front. DEFAULT v1 is not to be encoded (X.690 11.5). */
function readVersion(parts: Tlv[]): number {
  if (parts[0]?.tag !== constructed(0)) return 1
  const [value, ...rest] = readChildren((parts.shift() as Tlv).value, 'version')
  const version = readCount(value, 'version') + 1
  if (rest.length > 0 || (version !== 2 && version !== 3)) malformed('version', 'it is neither v2 nor v3')
  return version
}

/**
 * RFC 5280 4.1.2.2: positive, at most 20 octets. In self-issued certificates also zero, as some roots in public trust lists have it,
 * and up to 33 octets: certmonger's request signers carry the SHA-256 of their key.
 */
function readSerial(serial: Tlv | undefined, issuer: Tlv | undefined, subject: Tlv | undefined): Uint8Array {
  const value = integerBytes(serial, 'serialNumber')
  const selfIssued = issuer !== undefined && subject !== undefined && sameBytes(issuer.raw, subject.raw)
  const maxOctets = selfIssued ? 33 : 20
  if ((value[0] as number) & 0x80) malformed('serialNumber', 'it is negative')
  if (value.length > maxOctets) malformed('serialNumber', `${value.length} octets, more than ${maxOctets}`)
  if (value.length === 1 && value[0] === 0 && !selfIssued) malformed('serialNumber', 'it is zero')
  return value
}

/** Checks the shape of a Name down to its attributes' tags; their text is read by whoever shows or compares it. */
function readName(name: Tlv | undefined, what: string): Uint8Array {
  const { value, raw } = expectTag(name, Tag.Sequence, what)
  for (const rdn of readChildren(value, what)) {
    const attributes = readChildren(expectTag(rdn, Tag.Set, what).value, what)
    if (attributes.length === 0) malformed(what, 'an empty relative name')
    for (const attribute of attributes) {
      const [type, text, ...more] = readChildren(expectTag(attribute, Tag.Sequence, what).value, what)
      expectTag(type, Tag.Oid, what)
      if (text === undefined || more.length > 0) malformed(what, 'an attribute is not a type and a value')
    }
  }
  return raw
}

function readSpki(spki: Tlv | undefined): Uint8Array {
  const { value, raw } = expectTag(spki, Tag.Sequence, 'subjectPublicKeyInfo')
  const [algorithm, key, ...more] = readChildren(value, 'subjectPublicKeyInfo')
  readAlgorithmIdentifier(algorithm, 'public key algorithm')
  readBitString(key, 'subjectPublicKey')
  if (more.length > 0) malformed('subjectPublicKeyInfo', 'values behind the key')
  return raw
}

/** RFC 5280 4.1: issuerUniqueID [1], subjectUniqueID [2], extensions [3], in this order; the last only in v3. */
function readOptional(parts: readonly Tlv[], version: number): ReadonlyMap<string, Extension> {
  const extensions = parts.at(-1)?.tag === constructed(3) ? parts.at(-1) : undefined
  const uniqueIds = extensions ? parts.slice(0, -1) : parts
  let last = 0
  for (const { tag } of uniqueIds) {
    if ((tag !== primitive(1) && tag !== primitive(2)) || tag <= last)
      malformed('tbsCertificate', `tag 0x${tag.toString(16)} behind the key`)
    last = tag
  }
  if (uniqueIds.length > 0 && version === 1) malformed('tbsCertificate', 'unique identifiers in version 1')
  if (extensions && version !== 3) malformed('tbsCertificate', `extensions in version ${version}`)
  return readExtensions(extensions)
}

function wholeBits(bits: Tlv | undefined, what: string): Uint8Array {
  const { unusedBits, bytes } = readBitString(bits, what)
  if (unusedBits !== 0) malformed(what, 'it is no whole number of octets')
  return bytes
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
