import {
  bitString,
  constructed,
  expectTag,
  integer,
  isPrintable,
  malformed,
  oid,
  printableString,
  readBitString,
  readChildren,
  readCount,
  readOid,
  readSequence,
  readText,
  sequence,
  setOf,
  Tag,
  type Tlv,
  tlv,
  utf8String,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import type { KeyHandle } from '../ports.ts'
import type { HashName, SubjectAltName } from '../types.ts'
import { importPublicKey, readAlgorithmIdentifier, signatureAlgorithm } from './algorithms.ts'
import { type NameInput, nameDer } from './build-certificate.ts'
import type { AlgorithmIdentifier } from './certificate.ts'
import { decodeExtensions, type Extension, type GeneralName, type KeyUsageBit, readExtensions } from './certificate-extensions.ts'
import { encodeExtensions, extendedKeyUsageExtension, keyUsageExtension, subjectAltNameExtension } from './extensions.ts'
import { decodeName } from './names.ts'
import { CsrAttributeOid } from './oids.ts'
import { signatureScheme, verifySignature } from './path/signature.ts'

export interface CsrContents {
  readonly subject: NameInput
  readonly subjectAltNames: readonly SubjectAltName[]
  readonly keyUsages: readonly KeyUsageBit[]
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
  readonly key: KeyHandle
  readonly hash: HashName
  /** challengePassword, of any length: Intune's is longer than the 255 characters of RFC 2985. */
  readonly challenge?: string
}

/**
 * Makes and signs a PKCS#10 request, DER (RFC 2986). Fields that are empty are left out.
 * A subject, alternative name or purpose that cannot be written: `ERR_PROFILE_INVALID`.
 */
export async function createCsr(contents: CsrContents): Promise<Uint8Array> {
  const { key, hash } = contents
  const subject = nameDer(contents.subject)
  const info = sequence(integer(0), subject, key.publicKey, setOf(attributesOf(contents, subject), constructed(0)))
  return sequence(info, signatureAlgorithm(key.spec.algorithm, hash), bitString(await key.sign(info, hash)))
}

function attributesOf({ subjectAltNames, keyUsages, extendedKeyUsages, challenge }: CsrContents, subject: Uint8Array): Uint8Array[] {
  const extensions = [
    ...(subjectAltNames.length > 0 ? [subjectAltNameExtension(subjectAltNames, subject.length === 2)] : []),
    ...(keyUsages.length > 0 ? [keyUsageExtension(keyUsages)] : []),
    ...(extendedKeyUsages.length > 0 ? [extendedKeyUsageExtension(extendedKeyUsages)] : []),
  ]
  return [
    ...(challenge === undefined ? [] : [attribute(CsrAttributeOid.ChallengePassword, directoryString(challenge))]),
    ...(extensions.length === 0 ? [] : [attribute(CsrAttributeOid.ExtensionRequest, encodeExtensions(extensions))]),
  ]
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return sequence(oid(type), tlv(Tag.Set, value))
}

/** RFC 2985 5.4.1: PrintableString where it can be, UTF8String otherwise. */
function directoryString(text: string): Uint8Array {
  return isPrintable(text) ? printableString(text) : utf8String(text)
}

/** A certificate request as it was sent. Bytes are views of the input. Nothing in it is to be believed before {@link verifyCsr}. */
export interface CertificateRequest {
  /** The whole request, DER. */
  readonly raw: Uint8Array
  /** certificationRequestInfo, DER: what was signed. */
  readonly info: Uint8Array
  /** Name, DER. */
  readonly subject: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** All that were asked for, IP addresses and others too. */
  readonly subjectAltNames: readonly GeneralName[]
  readonly keyUsages: readonly KeyUsageBit[]
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
  /** challengePassword. A secret: it goes into no log and no error. */
  readonly challenge?: string
  /** Everything in the extension request, by OID. */
  readonly extensions: ReadonlyMap<string, Extension>
  readonly signatureAlgorithm: AlgorithmIdentifier
  readonly signature: Uint8Array
}

const maxCsrBytes = 256 * 1024

/**
 * Reads one PKCS#10 request, DER (RFC 2986). Attribute types, and extensions in all their requests together, are there at most once;
 * a challenge is one string of any string type. `allowBadVersion` takes requests whose version is not 0, as some Apple clients send.
 * Fails with `ERR_DER_MALFORMED`, or `ERR_LIMIT_EXCEEDED` above 256 KiB.
 */
export function parseCsr(der: Uint8Array, { allowBadVersion = false }: { allowBadVersion?: boolean } = {}): CertificateRequest {
  if (der.length > maxCsrBytes)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `certificate request of ${der.length} bytes, expected at most ${maxCsrBytes}`)
  const [info, algorithm, signature, ...rest] = readSequence(der, 'certificate request')
  const [version, subject, publicKey, attributes, ...more] = readChildren(
    expectTag(info, Tag.Sequence, 'request info').value,
    'request info',
  )
  if (rest.length > 0 || more.length > 0) malformed('certificate request', 'it has more fields than RFC 2986 knows')
  if (readCount(version, 'request version') !== 0 && !allowBadVersion)
    malformed('certificate request', 'its version is not 0, which only the switch allow-bad-csr-version takes')
  const byType = readAttributes(attributes)
  const extensions = requestedExtensions(byType)
  const { subjectAltNames = [], keyUsage = [], extendedKeyUsage = [] } = decodeExtensions(extensions)
  const challenge = byType.get(CsrAttributeOid.ChallengePassword)
  decodeName(expectTag(subject, Tag.Sequence, 'request subject').raw)
  return {
    raw: der,
    info: (info as Tlv).raw,
    subject: (subject as Tlv).raw,
    publicKey: expectTag(publicKey, Tag.Sequence, 'request public key').raw,
    subjectAltNames,
    keyUsages: [...keyUsage],
    extendedKeyUsages: extendedKeyUsage,
    ...(challenge && { challenge: readText(challenge, 'challengePassword') }),
    extensions,
    signatureAlgorithm: readAlgorithmIdentifier(algorithm, 'request signature algorithm'),
    signature: readWholeBits(signature),
  }
}

/** The subject of a request that this device made itself, Name, DER; nothing else in it is looked at. */
export function subjectOfCsr(der: Uint8Array): Uint8Array {
  const [info] = readSequence(der, 'certificate request')
  const [, subject] = readChildren(expectTag(info, Tag.Sequence, 'request info').value, 'request info')
  return expectTag(subject, Tag.Sequence, 'request subject').raw
}

/** `[0] IMPLICIT SET OF`, each type once with one value. Some clients leave the whole field out when it is empty. */
function readAttributes(field: Tlv | undefined): ReadonlyMap<string, Tlv> {
  const byType = new Map<string, Tlv>()
  if (field === undefined) return byType
  for (const entry of readChildren(expectTag(field, constructed(0), 'request attributes').value, 'request attributes')) {
    const [type, values, ...more] = readChildren(expectTag(entry, Tag.Sequence, 'request attribute').value, 'request attribute')
    const dotted = readOid(type, 'request attribute')
    const [value, ...others] = readChildren(expectTag(values, Tag.Set, dotted).value, dotted)
    if (byType.has(dotted) || value === undefined || others.length > 0 || more.length > 0)
      malformed('request attribute', `${dotted} does not have exactly one value`)
    byType.set(dotted, value)
  }
  return byType
}

function requestedExtensions(byType: ReadonlyMap<string, Tlv>): ReadonlyMap<string, Extension> {
  const what = 'extension request'
  const both = [CsrAttributeOid.ExtensionRequest, CsrAttributeOid.MicrosoftExtensions].flatMap((type) => byType.get(type) ?? [])
  const lists = both.map((value) =>
    value.value.length === 0 ? new Map<string, Extension>() : readExtensions({ ...value, value: value.raw }, what),
  )
  const all = new Map(lists.flatMap((list) => [...list]))
  if (all.size !== lists.reduce((total, list) => total + list.size, 0)) malformed(what, 'an extension is asked for twice')
  return all
}

function readWholeBits(signature: Tlv | undefined): Uint8Array {
  const { unusedBits, bytes } = readBitString(signature, 'request signature')
  if (unusedBits !== 0) malformed('request signature', 'it is no whole number of octets')
  return bytes
}

/**
 * Checks that the request was signed by the key in it (RFC 2986 4.2). Not signed, or by an algorithm that certfleet does not take,
 * SHA-1 without `legacySha1` included: `ERR_CERTIFICATE_REFUSED`, `ERR_ALGORITHM_REFUSED` for SHA-1.
 */
export function verifyCsr(request: CertificateRequest, { legacySha1 = false }: { legacySha1?: boolean } = {}): void {
  const { publicKey, signatureAlgorithm: algorithm, info, signature } = request
  if (signatureScheme(algorithm)?.hash === 'sha1' && !legacySha1) {
    throw new AgentError('ERR_ALGORITHM_REFUSED', 'the certificate request is signed with SHA-1, which only the switch legacy-sha1 allows')
  }
  if (!verifySignature(importPublicKey(publicKey), algorithm, info, signature)) {
    throw new AgentError('ERR_CERTIFICATE_REFUSED', 'the certificate request is not signed by the key in it')
  }
}
