import { constants, createCipheriv, createDecipheriv, publicEncrypt, randomBytes } from 'node:crypto'
import {
  constructed,
  expectTag,
  explicit,
  integer,
  malformed,
  nullValue,
  octetString,
  oid,
  primitive,
  readChildren,
  readCount,
  readOctetString,
  readOid,
  readSequence,
  sequence,
  Tag,
  type Tlv,
  tlv,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import { digestOids, hashByOid, importPublicKey, readAlgorithmIdentifier, rsaEncryptionOid } from '../pki/algorithms.ts'
import type { AlgorithmIdentifier, Certificate } from '../pki/certificate.ts'
import type { KeyHandle, UnwrapPadding } from '../ports.ts'
import { contentInfo, readContentInfo } from './content-info.ts'
import { CmsOid } from './oids.ts'
import { issuerAndSerialNumber, namesCertificate } from './recipient-identifier.ts'

/** Ciphers that certfleet writes. Single DES is read only, as 3DES with three equal keys, behind its switch. */
export type ContentCipher = 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc' | 'des-ede3-cbc'

const cipherOids = {
  'aes-128-cbc': '2.16.840.1.101.3.4.1.2',
  'aes-192-cbc': '2.16.840.1.101.3.4.1.22',
  'aes-256-cbc': '2.16.840.1.101.3.4.1.42',
  'des-ede3-cbc': '1.2.840.113549.3.7',
  'des-cbc': '1.3.14.3.2.7',
} as const

type ReadableCipher = keyof typeof cipherOids

const cipherSizes: Record<ReadableCipher, { readonly keyBytes: number; readonly blockBytes: number }> = {
  'aes-128-cbc': { keyBytes: 16, blockBytes: 16 },
  'aes-192-cbc': { keyBytes: 24, blockBytes: 16 },
  'aes-256-cbc': { keyBytes: 32, blockBytes: 16 },
  'des-ede3-cbc': { keyBytes: 24, blockBytes: 8 },
  'des-cbc': { keyBytes: 8, blockBytes: 8 },
}

const cipherByOid: ReadonlyMap<string, ReadableCipher> = new Map(
  Object.entries(cipherOids).map(([cipher, dotted]) => [dotted, cipher as ReadableCipher]),
)

const oaepOid = '1.2.840.113549.1.1.7'
const mgf1Oid = '1.2.840.113549.1.1.8'

export interface EnvelopeContents {
  readonly content: Uint8Array
  /** Its key is RSA; any other: `ERR_UNSUPPORTED`. */
  readonly recipient: Certificate
  readonly cipher: ContentCipher
  /** Default `pkcs1`, the one that every SCEP peer reads. */
  readonly keyTransport?: UnwrapPadding | undefined
}

/** EnvelopedData over id-data for one recipient, with a fresh key and IV, DER (RFC 5652 6). */
export function buildEnvelopedData({ content, recipient, cipher, keyTransport = 'pkcs1' }: EnvelopeContents): Uint8Array {
  const { keyBytes, blockBytes } = cipherSizes[cipher]
  const key = randomBytes(keyBytes)
  const iv = randomBytes(blockBytes)
  const encryptor = createCipheriv(cipher, key, iv)
  const encrypted = tlv(primitive(0), encryptor.update(content), encryptor.final())
  const recipientInfo = sequence(
    integer(0),
    issuerAndSerialNumber(recipient),
    transportAlgorithms[keyTransport],
    octetString(wrapKey(key, recipient, keyTransport)),
  )
  const encryptedContentInfo = sequence(oid(CmsOid.Data), sequence(oid(cipherOids[cipher]), octetString(iv)), encrypted)
  return contentInfo(CmsOid.EnvelopedData, sequence(integer(0), tlv(Tag.Set, recipientInfo), encryptedContentInfo))
}

/** RFC 3370 4.2.1 and RFC 4055 4.1; SHA-1 is OAEP's default and not to be written. */
const transportAlgorithms: Record<UnwrapPadding, Uint8Array> = {
  pkcs1: sequence(oid(rsaEncryptionOid), nullValue),
  'oaep-sha1': sequence(oid(oaepOid), sequence()),
  'oaep-sha256': sequence(oid(oaepOid), sequence(explicit(0, sha256()), explicit(1, sequence(oid(mgf1Oid), sha256())))),
}

function sha256(): Uint8Array {
  return sequence(oid(digestOids.sha256), nullValue)
}

function wrapKey(key: Uint8Array, recipient: Certificate, keyTransport: UnwrapPadding): Uint8Array {
  const publicKey = importPublicKey(recipient.publicKey)
  if (publicKey.asymmetricKeyType !== 'rsa') throw new AgentError('ERR_UNSUPPORTED', 'the recipient of an envelope needs an RSA key')
  if (keyTransport === 'pkcs1') return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key)
  return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: keyTransport.slice('oaep-'.length) }, key)
}

/** Whose envelope it is. */
export interface EnvelopeRecipient {
  readonly certificate: Certificate
  readonly key: KeyHandle
}

export interface EnvelopeRules {
  /** The envelope must be for one of these. */
  readonly recipients: readonly EnvelopeRecipient[]
  /** Read single DES. Default false. */
  readonly legacyDes?: boolean | undefined
}

export interface OpenedEnvelope {
  readonly content: Uint8Array
  /** What an answer should use: a peer that wrote single DES gets 3DES. */
  readonly cipher: ContentCipher
}

const maxRecipients = 32

/**
 * Opens EnvelopedData, BER or DER. Verify who sent it first: this proves nothing about the sender.
 * Whatever keeps it from being decrypted (not for us, a wrong key, broken padding) is the same `ERR_CMS_DECRYPT`;
 * an algorithm that is refused before any key is touched is `ERR_ALGORITHM_REFUSED`, a key that cannot unwrap `ERR_KEY_UNAVAILABLE`.
 */
export async function openEnvelopedData(bytes: Uint8Array, { recipients, legacyDes = false }: EnvelopeRules): Promise<OpenedEnvelope> {
  const { recipientInfos, cipher, iv, encrypted } = readEnvelopedData(bytes, legacyDes)
  const { recipient, padding, wrappedKey } = findRecipient(recipientInfos, recipients)
  if (recipient.key.unwrapKey === undefined) throw new AgentError('ERR_KEY_UNAVAILABLE', `key "${recipient.key.label}" cannot decrypt`)
  const key = await recipient.key.unwrapKey(wrappedKey, { padding, lengthBytes: cipherSizes[cipher].keyBytes })
  return { content: decrypt(cipher, key, iv, encrypted), cipher: cipher === 'des-cbc' ? 'des-ede3-cbc' : cipher }
}

interface Envelope {
  readonly recipientInfos: readonly Tlv[]
  readonly cipher: ReadableCipher
  readonly iv: Uint8Array
  readonly encrypted: Uint8Array
}

function readEnvelopedData(bytes: Uint8Array, legacyDes: boolean): Envelope {
  const parts = readChildren(
    expectTag(readContentInfo(bytes, CmsOid.EnvelopedData, 'envelope'), Tag.Sequence, 'EnvelopedData').value,
    'EnvelopedData',
  )
  readCount(parts.shift(), 'EnvelopedData version')
  if (parts[0]?.tag === constructed(0)) parts.shift()
  const [recipientInfos, encryptedContentInfo] = parts
  const [type, algorithm, content, ...more] = readChildren(
    expectTag(encryptedContentInfo, Tag.Sequence, 'encryptedContentInfo').value,
    'encryptedContentInfo',
  )
  readOid(type, 'encrypted content type')
  const { cipher, iv } = readCipher(readAlgorithmIdentifier(algorithm, 'content encryption'), legacyDes)
  if (more.length > 0) malformed('encryptedContentInfo', 'values behind the content')
  const infos = readChildren(expectTag(recipientInfos, Tag.Set, 'recipientInfos').value, 'recipientInfos')
  if (infos.length > maxRecipients)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${infos.length} recipients, expected at most ${maxRecipients}`)
  return { recipientInfos: infos, cipher, iv, encrypted: readEncrypted(content) }
}

function readCipher({ oid: dotted, parameters }: AlgorithmIdentifier, legacyDes: boolean): { cipher: ReadableCipher; iv: Uint8Array } {
  const cipher = cipherByOid.get(dotted)
  if (cipher === undefined)
    throw new AgentError('ERR_ALGORITHM_REFUSED', `the envelope uses cipher ${dotted}, expected AES-CBC or 3DES-CBC`)
  if (cipher === 'des-cbc' && !legacyDes)
    throw new AgentError('ERR_ALGORITHM_REFUSED', 'the envelope uses single DES, which only the switch legacy-des allows')
  const [octet, ivBytes, ...iv] = parameters ?? []
  if (octet !== Tag.OctetString || ivBytes !== iv.length || iv.length !== cipherSizes[cipher].blockBytes)
    malformed('content encryption', `no IV for ${cipher}`)
  return { cipher, iv: Uint8Array.from(iv) }
}

/** `[0] IMPLICIT OCTET STRING`; BER may send it in segments, which the context tag hides from the normaliser. */
function readEncrypted(content: Tlv | undefined): Uint8Array {
  if (content?.tag === primitive(0)) return content.value
  const segments = readChildren(expectTag(content, constructed(0), 'encryptedContent').value, 'encryptedContent')
  return Buffer.concat(segments.map((segment) => readOctetString(segment, 'encryptedContent')))
}

interface WrappedKey {
  readonly recipient: EnvelopeRecipient
  readonly padding: UnwrapPadding
  readonly wrappedKey: Uint8Array
}

function findRecipient(infos: readonly Tlv[], recipients: readonly EnvelopeRecipient[]): WrappedKey {
  for (const info of infos) {
    // Key agreement and the others have context tags.
    if (info.tag !== Tag.Sequence) continue
    const [version, identifier, algorithm, wrapped, ...more] = readChildren(info.value, 'recipientInfo')
    readCount(version, 'recipientInfo version')
    const recipient = identifier && recipients.find(({ certificate }) => namesCertificate(identifier, certificate))
    if (recipient === undefined) continue
    if (more.length > 0) malformed('recipientInfo', 'values behind the key')
    return {
      recipient,
      padding: readTransport(readAlgorithmIdentifier(algorithm, 'key encryption')),
      wrappedKey: readOctetString(wrapped, 'encryptedKey'),
    }
  }
  return undecryptable()
}

function readTransport({ oid: dotted, parameters }: AlgorithmIdentifier): UnwrapPadding {
  if (dotted === rsaEncryptionOid) return 'pkcs1'
  if (dotted !== oaepOid)
    throw new AgentError('ERR_ALGORITHM_REFUSED', `the envelope's key is wrapped by ${dotted}, expected RSA PKCS#1 v1.5 or OAEP`)
  const hash = oaepHash(parameters)
  if (hash !== 'sha1' && hash !== 'sha256') throw new AgentError('ERR_ALGORITHM_REFUSED', 'OAEP with another digest than SHA-1 or SHA-256')
  return `oaep-${hash}`
}

/**
 * The digest of `[0]`, SHA-1 when it is not there. The mask's is taken for the same: Go's PKCS#7 leaves `[1]` out and means it so.
 * A label `[2]` other than the empty one would not decrypt.
 */
function oaepHash(parameters: Uint8Array | undefined): string | undefined {
  const fields = parameters ? readSequence(parameters, 'OAEP parameters') : []
  const [hash] = fields
  if (hash?.tag !== constructed(0)) return 'sha1'
  return hashByOid(readAlgorithmIdentifier(readChildren(hash.value, 'OAEP digest')[0], 'OAEP digest').oid)
}

function decrypt(cipher: ReadableCipher, key: Uint8Array, iv: Uint8Array, encrypted: Uint8Array): Uint8Array {
  const single = cipher === 'des-cbc'
  const decryptor = createDecipheriv(single ? 'des-ede3-cbc' : cipher, single ? Buffer.concat([key, key, key]) : key, iv)
  try {
    return Buffer.concat([decryptor.update(encrypted), decryptor.final()])
  } catch {
    return undecryptable()
  }
}

/** No cause and no detail: what is wrong with a ciphertext is for nobody to learn. */
export function undecryptable(): never {
  throw new AgentError('ERR_CMS_DECRYPT', 'the envelope could not be decrypted')
}
