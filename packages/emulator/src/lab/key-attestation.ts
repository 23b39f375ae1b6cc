import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { AgentError, type Instant, type KeyAttestation } from '@certfleet/agent-core'
import { type Certificate, importPublicKey, parseCertificate, publicKeyOf, verifyPath } from '@certfleet/agent-core/pki'

export interface AttestationCheck {
  /** Of the request: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** What the verifier asked with: fresh, unguessable and used once, which is the caller's to see to. Not empty. */
  readonly nonce: Uint8Array
  /** The certificate of the TPM manufacturer that is trusted, DER. */
  readonly manufacturerRoot: Uint8Array
  readonly at: Instant
}

const refusals = {
  signer: 'it is not signed by a TPM of this manufacturer',
  form: 'it is not what a TPM states of a key that it holds',
  nonce: 'it answers another nonce',
  key: 'it is of another key',
  attributes: 'its key may leave the TPM, was not made in it, or is no key to sign with',
} as const

function refuse(reason: keyof typeof refusals): never {
  throw new AgentError('ERR_CERTIFICATE_REFUSED', `the key attestation is refused: ${refusals[reason]}`)
}

/**
 * Whether a TPM of this manufacturer says that it holds the request's key, which was made in it and cannot leave (as WebAuthn Level 2, 8.3
 * has it checked): path, signature, form, nonce, name, key, attributes, in this order, so that nothing unsigned is read. The attestation key may
 * be RSA (RSASSA-PKCS1-v1_5) or EC (ECDSA, DER), with SHA-256; its certificate comes first, and the root may be left out.
 * Anything else is `ERR_CERTIFICATE_REFUSED`; the message tells what is wrong, but not what is wrong with a signature or certificate.
 */
export function verifyKeyAttestation(claimed: KeyAttestation, { publicKey, nonce, manufacturerRoot, at }: AttestationCheck): void {
  const signer = signerOf(claimed, manufacturerRoot, at)
  if (!isSignedBy(signer, claimed)) refuse('signer')
  const { extraData, name } = readStatement(claimed.statement)
  if (nonce.length === 0 || !sameBytes(extraData, nonce)) refuse('nonce')
  if (!sameBytes(name, nameOf(claimed.publicArea))) refuse('key')
  const area = readPublicArea(claimed.publicArea)
  if (!sameKey(area.key, importPublicKey(publicKey))) refuse('key')
  if ((area.attributes & attributeMask) !== attributesWanted) refuse('attributes')
}

/** Not KeyObject.equals: where the kinds differ it may leave an error behind, on which Node 20 fails the next key that it imports. */
function sameKey(one: KeyObject, other: KeyObject): boolean {
  const spki = (key: KeyObject) => key.export({ format: 'der', type: 'spki' })
  return spki(one).equals(spki(other))
}

/** tcg-kp-AIKCertificate (TCG OID registry). */
const attestationKeyPurpose = '2.23.133.8.3'
const maxCertificates = 8
const maxBytes = 2048

/** The attestation key's certificate, once its path is good. */
function signerOf({ certificates }: KeyAttestation, manufacturerRoot: Uint8Array, at: Instant): Certificate {
  if (certificates.length > maxCertificates) refuse('signer')
  const [leaf, ...intermediates] = certificates.map((der) => usable(() => parseCertificate(der)))
  if (!leaf) return refuse('signer')
  const roots = [parseCertificate(manufacturerRoot)]
  const isForAttestation = leaf.extendedKeyUsage?.includes(attestationKeyPurpose) && !leaf.basicConstraints?.ca
  const maySign = leaf.keyUsage?.has('digitalSignature') ?? true
  if (!isForAttestation || !maySign || !verifyPath({ leaf, intermediates, roots, at, purpose: attestationKeyPurpose }).ok) refuse('signer')
  return leaf
}

function usable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof AgentError) refuse('signer')
    throw error
  }
}

function isSignedBy(signer: Certificate, { statement, signature }: KeyAttestation): boolean {
  if (statement.length > maxBytes || signature.length > maxBytes) return false
  const key = usable(() => publicKeyOf(signer))
  const isKnownKind = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'ec'
  return isKnownKind && verify('sha256', statement, key, signature)
}

/** TPMS_ATTEST, as far as it counts here. */
interface Statement {
  readonly extraData: Uint8Array
  readonly name: Uint8Array
}

/** TPM_GENERATED, TPM_ST_ATTEST_CERTIFY, qualifiedSigner, extraData, TPMS_CLOCK_INFO, firmwareVersion, TPMS_CERTIFY_INFO; nothing behind. */
function readStatement(bytes: Uint8Array): Statement {
  const fields = reader(bytes)
  if (fields.u32() !== 0xff544347 || fields.u16() !== 0x8017) refuse('form')
  fields.sized(maxNameBytes)
  const extraData = fields.sized(maxNonceBytes)
  fields.take(16)
  if ((fields.take(1)[0] as number) > 1) refuse('form')
  fields.take(8)
  const name = fields.sized(maxNameBytes)
  fields.sized(maxNameBytes)
  fields.end()
  return { extraData, name }
}

/** A digest of at most 64 octets, and the two that say which. */
const maxNameBytes = 66
const maxNonceBytes = 66

/** TPM_ALG_ID. */
const algorithm = { rsa: 0x0001, sha256: 0x000b, none: 0x0010, rsassa: 0x0014, ecdsa: 0x0018, ecc: 0x0023 } as const

/** TPM_ECC_CURVE and the octets of a coordinate. */
const curves: Readonly<Record<number, { readonly crv: string; readonly lengthBytes: number }>> = {
  3: { crv: 'P-256', lengthBytes: 32 },
  4: { crv: 'P-384', lengthBytes: 48 },
}

/** TPMA_OBJECT: fixedTPM, fixedParent and sensitiveDataOrigin, and it signs; not restricted to what the TPM itself makes. */
const attributesWanted = 0x00040032
const attributeMask = attributesWanted | 0x00010000

interface PublicArea {
  readonly attributes: number
  readonly key: KeyObject
}

/** TPMT_PUBLIC of a signing key whose name is a SHA-256 digest. */
function readPublicArea(bytes: Uint8Array): PublicArea {
  const fields = reader(bytes)
  const type = fields.u16()
  if (fields.u16() !== algorithm.sha256) refuse('form')
  const attributes = fields.u32()
  fields.sized(64)
  if (fields.u16() !== algorithm.none) refuse('form')
  const scheme = fields.u16()
  if (scheme !== algorithm.none && scheme !== (type === algorithm.rsa ? algorithm.rsassa : algorithm.ecdsa)) refuse('form')
  if (scheme !== algorithm.none) fields.u16()
  const jwk = type === algorithm.rsa ? readRsa(fields) : type === algorithm.ecc ? readPoint(fields) : refuse('form')
  fields.end()
  return { attributes, key: keyFrom(jwk) }
}

/** TPMS_RSA_PARMS behind its scheme, and the modulus. An exponent of 0 stands for 65537. */
function readRsa(fields: Reader) {
  const bits = fields.u16()
  const exponent = fields.u32() || 65_537
  const modulus = fields.sized(512)
  if (modulus.length * 8 !== bits || modulus.length < 128) refuse('form')
  const e = Buffer.alloc(4)
  e.writeUInt32BE(exponent)
  return { kty: 'RSA', n: base64url(modulus), e: base64url(e.subarray(e.findIndex((octet) => octet !== 0))) }
}

/** TPMS_ECC_PARMS behind its scheme, and the point. */
function readPoint(fields: Reader) {
  const curve = curves[fields.u16()] ?? refuse('form')
  if (fields.u16() !== algorithm.none) refuse('form')
  const [x, y] = [fields.sized(curve.lengthBytes), fields.sized(curve.lengthBytes)]
  if (x.length !== curve.lengthBytes || y.length !== curve.lengthBytes) refuse('form')
  return { kty: 'EC', crv: curve.crv, x: base64url(x), y: base64url(y) }
}

/** A point that is not on its curve is no key. */
function keyFrom(jwk: { readonly kty: string }): KeyObject {
  try {
    return createPublicKey({ key: { ...jwk }, format: 'jwk' })
  } catch {
    return refuse('form')
  }
}

interface Reader {
  take(lengthBytes: number): Uint8Array
  u16(): number
  u32(): number
  /** A TPM2B. */
  sized(maxBytes: number): Uint8Array
  end(): void
}

function reader(bytes: Uint8Array): Reader {
  let at = 0
  const take = (lengthBytes: number): Uint8Array => {
    if (bytes.length > maxBytes || at + lengthBytes > bytes.length) refuse('form')
    at += lengthBytes
    return bytes.subarray(at - lengthBytes, at)
  }
  const number = (lengthBytes: number): number => take(lengthBytes).reduce((value, octet) => value * 256 + octet, 0)
  const sized = (max: number): Uint8Array => {
    const length = number(2)
    return length > max ? refuse('form') : take(length)
  }
  const end = () => {
    if (at !== bytes.length) refuse('form')
  }
  return { take, u16: () => number(2), u32: () => number(4), sized, end }
}

/** Name of an object: TPM_ALG_SHA256 and the digest of its public area. */
function nameOf(area: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(0, algorithm.sha256), createHash('sha256').update(area).digest()])
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
