import { constants, type KeyObject, verify } from 'node:crypto'
import { constructed, expectTag, readChildren, readCount, readOid, readSequence, Tag, type Tlv } from '../../der/index.ts'
import { AgentError } from '../../errors.ts'
import type { HashName } from '../../types.ts'
import { hashByOid, signatureOids } from '../algorithms.ts'
import type { AlgorithmIdentifier } from '../certificate.ts'

/** How a signature is checked: which kind of key, which digest, and for PSS how long its salt is. */
export interface SignatureScheme {
  readonly keyType: 'rsa' | 'ec' | 'ed25519' | 'ed448'
  /** Undefined for Ed25519 and Ed448, which have their own. */
  readonly hash?: HashName
  /** Octets; only RSASSA-PSS has it. */
  readonly saltLength?: number
}

const pssOid = '1.2.840.113549.1.1.10'
const mgf1Oid = '1.2.840.113549.1.1.8'

const schemes: ReadonlyMap<string, SignatureScheme> = new Map<string, SignatureScheme>([
  ...schemesOf('rsa'),
  ...schemesOf('ec'),
  ['1.3.101.112', { keyType: 'ed25519' }],
  ['1.3.101.113', { keyType: 'ed448' }],
])

function schemesOf(keyType: 'rsa' | 'ec'): [string, SignatureScheme][] {
  return Object.entries(signatureOids[keyType]).map(([hash, oid]) => [oid, { keyType, hash: hash as HashName }])
}

/**
 * What an AlgorithmIdentifier asks for; undefined when certfleet has no use for it (MD5, MD2, DSA, odd PSS parameters).
 * RSASSA-PKCS1-v1_5 has NULL parameters or none, ECDSA and EdDSA none (RFC 4055 5, RFC 5758 3.2, RFC 8410 3).
 */
export function signatureScheme({ oid, parameters }: AlgorithmIdentifier): SignatureScheme | undefined {
  if (oid === pssOid) return parameters && pssScheme(parameters)
  const scheme = schemes.get(oid)
  if (parameters === undefined) return scheme
  return scheme?.keyType === 'rsa' && parameters.length === 2 && parameters[0] === Tag.Null ? scheme : undefined
}

/** Whether `key` made `signature` over `data` by that algorithm. Never throws: what cannot be checked is not verified. */
export function verifySignature(key: KeyObject, algorithm: AlgorithmIdentifier, data: Uint8Array, signature: Uint8Array): boolean {
  const scheme = signatureScheme(algorithm)
  if (scheme === undefined || !isKeyFor(key, scheme)) return false
  try {
    return verify(scheme.hash, data, paddedKey(key, scheme), signature)
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}

/** A key that is bound to PSS (RFC 4055 1.2) makes no PKCS #1 v1.5 signatures. */
function isKeyFor(key: KeyObject, { keyType, saltLength }: SignatureScheme): boolean {
  return key.asymmetricKeyType === keyType || (saltLength !== undefined && key.asymmetricKeyType === 'rsa-pss')
}

function paddedKey(key: KeyObject, { saltLength }: SignatureScheme) {
  return saltLength === undefined ? key : { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
}

/** RFC 4055 3.1: hash [0], mask generation [1] over the same hash, salt length [2], trailer field [3] that is always 1. */
function pssScheme(parameters: Uint8Array): SignatureScheme | undefined {
  try {
    const fields = new Map(readSequence(parameters, 'PSS parameters').map((field) => [field.tag, field]))
    const hash = hashByOid(innerOid(fields.get(constructed(0))))
    const mask = inner(fields.get(constructed(1)))
    const [generator, maskHash] = readChildren(expectTag(mask, Tag.Sequence, 'mask generation').value)
    const salt = fields.get(constructed(2))
    if (hash === undefined || fields.has(constructed(3)) || readOid(generator) !== mgf1Oid || hashByOid(oidOf(maskHash)) !== hash)
      return undefined
    return { keyType: 'rsa', hash, saltLength: salt ? readCount(inner(salt), 'salt length') : 20 }
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

const inner = (field: Tlv | undefined): Tlv | undefined => (field ? readChildren(field.value, 'PSS parameters')[0] : undefined)
const oidOf = (algorithm: Tlv | undefined): string => readOid(readChildren(expectTag(algorithm, Tag.Sequence, 'hash').value)[0])
const innerOid = (field: Tlv | undefined): string => oidOf(inner(field))
