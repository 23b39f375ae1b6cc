import { createPublicKey, type KeyObject } from 'node:crypto'
import {
  expectTag,
  malformed,
  nullValue,
  oid,
  readBitString,
  readChildren,
  readOid,
  readSequence,
  sequence,
  Tag,
  type Tlv,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import type { HashName, KeySpec } from '../types.ts'
import type { AlgorithmIdentifier } from './certificate.ts'

/** Digest algorithms (RFC 8017 appendix B.1). */
export const digestOids = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
} as const satisfies Record<HashName, string>

/** RSASSA-PKCS1-v1_5 and ECDSA with each digest (RFC 8017, RFC 5758). */
export const signatureOids = {
  rsa: {
    sha1: '1.2.840.113549.1.1.5',
    sha256: '1.2.840.113549.1.1.11',
    sha384: '1.2.840.113549.1.1.12',
    sha512: '1.2.840.113549.1.1.13',
  },
  ec: { sha1: '1.2.840.10045.4.1', sha256: '1.2.840.10045.4.3.2', sha384: '1.2.840.10045.4.3.3', sha512: '1.2.840.10045.4.3.4' },
} as const satisfies Record<KeySpec['algorithm'], Record<HashName, string>>

export const rsaEncryptionOid = '1.2.840.113549.1.1.1'
export const ecPublicKeyOid = '1.2.840.10045.2.1'

const hashByDigestOid: ReadonlyMap<string, HashName> = new Map(
  Object.entries(digestOids).map(([hash, dotted]) => [dotted, hash as HashName]),
)

/** The digest behind an OID; undefined for MD5 and whatever else certfleet has no use for. */
export function hashByOid(dotted: string): HashName | undefined {
  return hashByDigestOid.get(dotted)
}

/** AlgorithmIdentifier of a signature: NULL parameters for RSA (RFC 4055 5), none for ECDSA (RFC 5758 3.2). */
export function signatureAlgorithm(algorithm: KeySpec['algorithm'], hash: HashName): Uint8Array {
  const type = oid(signatureOids[algorithm][hash])
  return algorithm === 'rsa' ? sequence(type, nullValue) : sequence(type)
}

/** Reads an AlgorithmIdentifier: an OID and at most one value behind it. */
export function readAlgorithmIdentifier(algorithm: Tlv | undefined, what: string): AlgorithmIdentifier {
  const [type, parameters, ...more] = readChildren(expectTag(algorithm, Tag.Sequence, what).value, what)
  if (more.length > 0) malformed(what, 'values behind the parameters')
  return parameters === undefined ? { oid: readOid(type, what) } : { oid: readOid(type, what), parameters: parameters.raw }
}

const importedKeyLimit = 512
const importedKeys = new Map<string, KeyObject>()

/**
 * A SubjectPublicKeyInfo as a KeyObject. The last 512 are kept: an import costs as much as half a signature.
 * A key that this runtime cannot use: `ERR_CERTIFICATE_REFUSED`.
 */
export function importPublicKey(spki: Uint8Array): KeyObject {
  const bytes = Buffer.from(spki.buffer, spki.byteOffset, spki.length)
  const name = bytes.toString('latin1')
  const known = importedKeys.get(name)
  importedKeys.delete(name)
  const key = known ?? createKey(bytes)
  importedKeys.set(name, key)
  if (importedKeys.size > importedKeyLimit) importedKeys.delete(importedKeys.keys().next().value as string)
  return key
}

const rsaAlgorithm = sequence(oid(rsaEncryptionOid), nullValue)

/** The RSAPublicKey, which OpenSSL reads fifteen times as fast as what is around it; undefined for what is no RSA key or not plain DER. */
function rsaKeyIn(spki: Uint8Array): Uint8Array | undefined {
  try {
    const [algorithm, key, ...more] = readSequence(spki, 'SubjectPublicKeyInfo')
    if (more.length > 0 || algorithm === undefined || Buffer.compare(algorithm.raw, rsaAlgorithm) !== 0) return undefined
    const { bytes, unusedBits } = readBitString(key)
    return unusedBits === 0 && readSequence(bytes, 'RSAPublicKey').length === 2 ? bytes : undefined
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

function createKey(spki: Buffer): KeyObject {
  const rsaKey = rsaKeyIn(spki)
  try {
    return createPublicKey(rsaKey ? { key: Buffer.from(rsaKey), format: 'der', type: 'pkcs1' } : { key: spki, format: 'der', type: 'spki' })
  } catch (cause) {
    throw new AgentError('ERR_CERTIFICATE_REFUSED', 'the public key cannot be used', { cause })
  }
}
