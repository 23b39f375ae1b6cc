import { hash as digestOf } from 'node:crypto'
import {
  constructed,
  expectTag,
  explicit,
  integer,
  malformed,
  nullValue,
  octetString,
  oid,
  readChildren,
  readCount,
  readOctetString,
  readOid,
  sequence,
  setOf,
  Tag,
  type Tlv,
  tlv,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import {
  digestOids,
  ecPublicKeyOid,
  hashByOid,
  importPublicKey,
  readAlgorithmIdentifier,
  rsaEncryptionOid,
  signatureAlgorithm,
  signatureOids,
} from '../pki/algorithms.ts'
import { type AlgorithmIdentifier, type Certificate, parseCertificate } from '../pki/certificate.ts'
import { formatName } from '../pki/names.ts'
import { signatureScheme, verifySignature } from '../pki/path/signature.ts'
import type { KeyHandle } from '../ports.ts'
import type { HashName } from '../types.ts'
import { contentInfo, readContentInfo } from './content-info.ts'
import { CmsOid } from './oids.ts'
import { issuerAndSerialNumber, namesCertificate } from './recipient-identifier.ts'

/** A certificate with its key. */
export interface CmsSigner {
  readonly certificate: Certificate
  readonly key: KeyHandle
}

export interface SignedDataContents {
  /** Undefined: no eContent, and the digest is that of nothing (RFC 8894 3.3.2 for FAILURE and PENDING). */
  readonly content?: Uint8Array | undefined
  readonly signer: CmsSigner
  readonly hash: HashName
  /** Beside contentType and messageDigest; each type once. */
  readonly attributes: readonly SignedAttribute[]
  /** DER; what the reader may need to find the signer. */
  readonly certificates: readonly Uint8Array[]
}

export interface SignedAttribute {
  readonly oid: string
  /** The one value, DER. */
  readonly value: Uint8Array
}

/**
 * SignedData over id-data with one signer, DER (RFC 5652 5).
 * An RSA signature is announced as rsaEncryption (RFC 3370 3.2): every peer takes it, and strongSwan nothing else.
 */
export async function buildSignedData({ content, signer, hash, attributes, certificates }: SignedDataContents): Promise<Uint8Array> {
  const digest = digestOf(hash, content ?? noContent, 'buffer')
  const signedAttributes = setOf([
    attribute(CmsOid.ContentType, oid(CmsOid.Data)),
    attribute(CmsOid.MessageDigest, octetString(digest)),
    ...attributes.map(({ oid: type, value }) => attribute(type, value)),
  ])
  const signature = await signer.key.sign(signedAttributes, hash)
  const digestAlgorithm = sequence(oid(digestOids[hash]), nullValue)
  const signerInfo = sequence(
    integer(1),
    issuerAndSerialNumber(signer.certificate),
    digestAlgorithm,
    retagged(signedAttributes, constructed(0)),
    signer.key.spec.algorithm === 'rsa' ? rsaEncryption : signatureAlgorithm('ec', hash),
    octetString(signature),
  )
  const encapsulated = content === undefined ? sequence(oid(CmsOid.Data)) : sequence(oid(CmsOid.Data), explicit(0, octetString(content)))
  const enclosed = certificates.length === 0 ? [] : [setOf(certificates, constructed(0))]
  return contentInfo(
    CmsOid.SignedData,
    sequence(integer(1), tlv(Tag.Set, digestAlgorithm), encapsulated, ...enclosed, tlv(Tag.Set, signerInfo)),
  )
}

const noContent = new Uint8Array()
const rsaEncryption = sequence(oid(rsaEncryptionOid), nullValue)

function attribute(type: string, value: Uint8Array): Uint8Array {
  return sequence(oid(type), tlv(Tag.Set, value))
}

function retagged(value: Uint8Array, tag: number): Uint8Array {
  const copy = Uint8Array.from(value)
  copy[0] = tag
  return copy
}

export interface SignedDataRules {
  /** Who may have signed: certificates that the caller knows already, or whichever one in the message made the signature, for the caller to judge. */
  readonly signers: readonly Certificate[] | 'enclosed'
  /** Accept SHA-1. Default false. */
  readonly legacySha1?: boolean | undefined
}

export interface SignedMessage {
  /** Undefined where there was no eContent. */
  readonly content: Uint8Array | undefined
  /** Signed, by OID, each type once. */
  readonly attributes: ReadonlyMap<string, readonly Tlv[]>
  readonly signer: Certificate
  readonly hash: HashName
  /** As sent, DER: no signature covers them. */
  readonly certificates: readonly Uint8Array[]
}

/**
 * Opens SignedData, BER or DER, with exactly one signer, and returns it only when its signature is good: signed attributes are there,
 * each type once, contentType and messageDigest among them and right, and the signature is over the attributes' octets as they came.
 *
 * `ERR_CMS_INVALID` for what breaks these rules, `ERR_ALGORITHM_REFUSED` for a digest below the floor (SHA-1 without its switch),
 * `ERR_DER_MALFORMED` and `ERR_LIMIT_EXCEEDED` for the bytes.
 */
export function openSignedData(bytes: Uint8Array, rules: SignedDataRules): SignedMessage {
  const { contentType, content, certificates, signerInfos } = readSignedData(bytes)
  if (signerInfos.length !== 1) invalid(`${signerInfos.length} signers, expected 1`)
  const signerInfo = readSignerInfo(signerInfos[0] as Tlv)
  const hash = acceptedHash(signerInfo.digestAlgorithm, rules.legacySha1 ?? false)
  const signer = findSigner(signerInfo.identifier, rules.signers, certificates)
  const attributes = readAttributes(signerInfo.signedAttributes)
  const algorithm = fullAlgorithm(signerInfo.signatureAlgorithm, hash)
  if (
    !verifySignature(importPublicKey(signer.publicKey), algorithm, retagged(signerInfo.signedAttributes.raw, Tag.Set), signerInfo.signature)
  ) {
    invalid("the signature is not the signer's")
  }
  checkContent({ attributes, content, contentType, hash })
  return { content, attributes, signer, hash, certificates }
}

export interface SignedDataParts {
  readonly contentType: string
  readonly content: Uint8Array | undefined
  readonly certificates: readonly Uint8Array[]
  readonly crls: readonly Uint8Array[]
  readonly signerInfos: readonly Tlv[]
}

const maxCertificates = 100

/** Takes SignedData apart and checks no signature: for certs-only messages, which have none. */
export function readSignedData(bytes: Uint8Array): SignedDataParts {
  const [version, digestAlgorithms, encapsulated, ...rest] = readChildren(
    expectTag(readContentInfo(bytes, CmsOid.SignedData, 'signed message'), Tag.Sequence, 'SignedData').value,
    'SignedData',
  )
  readCount(version, 'SignedData version')
  expectTag(digestAlgorithms, Tag.Set, 'digestAlgorithms')
  const certificates = rest[0]?.tag === constructed(0) ? (rest.shift() as Tlv) : undefined
  const crls = rest[0]?.tag === constructed(1) ? (rest.shift() as Tlv) : undefined
  const [signerInfos, ...more] = rest
  if (more.length > 0) malformed('SignedData', 'values behind signerInfos')
  return {
    ...readEncapsulated(encapsulated),
    certificates: sequencesIn(certificates, 'certificates'),
    crls: sequencesIn(crls, 'crls'),
    signerInfos: readChildren(expectTag(signerInfos, Tag.Set, 'signerInfos').value, 'signerInfos'),
  }
}

function readEncapsulated(encapsulated: Tlv | undefined): { contentType: string; content: Uint8Array | undefined } {
  const [type, wrapped, ...more] = readChildren(expectTag(encapsulated, Tag.Sequence, 'encapContentInfo').value, 'encapContentInfo')
  const contentType = readOid(type, 'eContentType')
  if (wrapped === undefined) return { contentType, content: undefined }
  const [content, ...others] = readChildren(expectTag(wrapped, constructed(0), 'eContent').value, 'eContent')
  if (more.length > 0 || others.length > 0) malformed('encapContentInfo', 'more than one content')
  return { contentType, content: readOctetString(content, 'eContent') }
}

/** Certificates and CRLs proper; attribute certificates and other formats have context tags and are passed over. */
function sequencesIn(field: Tlv | undefined, what: string): Uint8Array[] {
  if (field === undefined) return []
  const all = readChildren(field.value, what)
  if (all.length > maxCertificates)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${all.length} ${what} in one message, expected at most ${maxCertificates}`)
  return all.filter(({ tag }) => tag === Tag.Sequence).map(({ raw }) => raw)
}

interface SignerInfo {
  readonly identifier: Tlv
  readonly digestAlgorithm: string
  readonly signedAttributes: Tlv
  readonly signatureAlgorithm: AlgorithmIdentifier
  readonly signature: Uint8Array
}

function readSignerInfo(signerInfo: Tlv): SignerInfo {
  const [version, identifier, digestAlgorithm, signedAttributes, algorithm, signature, ...rest] = readChildren(
    expectTag(signerInfo, Tag.Sequence, 'SignerInfo').value,
    'SignerInfo',
  )
  readCount(version, 'SignerInfo version')
  if (signedAttributes?.tag !== constructed(0)) invalid('there are no signed attributes')
  if (rest.length > 1 || (rest[0] && rest[0].tag !== constructed(1))) malformed('SignerInfo', 'values behind the signature')
  return {
    identifier: identifier as Tlv,
    digestAlgorithm: readAlgorithmIdentifier(digestAlgorithm, 'digestAlgorithm').oid,
    signedAttributes,
    signatureAlgorithm: readAlgorithmIdentifier(algorithm, 'signatureAlgorithm'),
    signature: readOctetString(signature, 'signature'),
  }
}

function acceptedHash(digestAlgorithm: string, legacySha1: boolean): HashName {
  const hash = hashByOid(digestAlgorithm)
  if (hash === undefined)
    throw new AgentError('ERR_ALGORITHM_REFUSED', `signed with digest algorithm ${digestAlgorithm}, expected SHA-256, SHA-384 or SHA-512`)
  if (hash === 'sha1' && !legacySha1)
    throw new AgentError('ERR_ALGORITHM_REFUSED', 'signed with SHA-1, which only the switch legacy-sha1 allows')
  return hash
}

function findSigner(identifier: Tlv, signers: SignedDataRules['signers'], enclosed: readonly Uint8Array[]): Certificate {
  const candidates = signers === 'enclosed' ? enclosed.map(parseCertificate) : signers
  const signer = candidates.find((candidate) => namesCertificate(identifier, candidate))
  if (signer) return signer
  return invalid(
    signers === 'enclosed'
      ? "the signer's certificate is not enclosed"
      : `signed by none of: ${signers.map(({ subject }) => formatName(subject)).join('; ')}`,
  )
}

/** RFC 5652 5.3: a SET OF Attribute; a type that is there twice has two meanings. */
function readAttributes(field: Tlv): ReadonlyMap<string, readonly Tlv[]> {
  const byType = new Map<string, readonly Tlv[]>()
  for (const entry of readChildren(field.value, 'signed attributes')) {
    const [type, values, ...more] = readChildren(expectTag(entry, Tag.Sequence, 'signed attribute').value, 'signed attribute')
    const dotted = readOid(type, 'signed attribute')
    if (more.length > 0) malformed('signed attribute', `values behind ${dotted}`)
    if (byType.has(dotted)) invalid(`the signed attribute ${dotted} is there twice`)
    byType.set(dotted, readChildren(expectTag(values, Tag.Set, dotted).value, dotted))
  }
  return byType
}

/** The one value of a signed attribute that must have one; undefined where the attribute is not there. */
export function signedAttribute({ attributes }: Pick<SignedMessage, 'attributes'>, type: string): Tlv | undefined {
  const values = attributes.get(type)
  if (values === undefined) return undefined
  if (values.length !== 1) invalid(`the signed attribute ${type} has ${values.length} values, expected 1`)
  return values[0]
}

/** rsaEncryption and id-ecPublicKey leave the digest to digestAlgorithm (RFC 3370 3.2); an algorithm that names one must name the same. */
function fullAlgorithm(algorithm: AlgorithmIdentifier, hash: HashName): AlgorithmIdentifier {
  if (algorithm.oid === rsaEncryptionOid) return { oid: signatureOids.rsa[hash] }
  if (algorithm.oid === ecPublicKeyOid) return { oid: signatureOids.ec[hash] }
  const scheme = signatureScheme(algorithm)
  if (scheme === undefined)
    throw new AgentError('ERR_ALGORITHM_REFUSED', `signature algorithm ${algorithm.oid} is not one that certfleet takes`)
  if (scheme.hash !== hash) invalid('signature and digest algorithm do not belong together')
  return algorithm
}

function checkContent({
  attributes,
  content,
  contentType,
  hash,
}: Pick<SignedMessage, 'attributes' | 'content' | 'hash'> & { contentType: string }): void {
  const signedType = signedAttribute({ attributes }, CmsOid.ContentType)
  const signedDigest = signedAttribute({ attributes }, CmsOid.MessageDigest)
  if (signedType === undefined || signedDigest === undefined)
    invalid('contentType and messageDigest are not both among the signed attributes')
  if (readOid(signedType, 'contentType') !== contentType) invalid("the signed contentType is another one than the content's")
  const digest = digestOf(hash, content ?? noContent, 'buffer')
  if (Buffer.compare(readOctetString(signedDigest, 'messageDigest'), digest) !== 0) invalid('the content is not the one that was signed')
}

function invalid(problem: string): never {
  throw new AgentError('ERR_CMS_INVALID', `signed message refused: ${problem}`)
}
