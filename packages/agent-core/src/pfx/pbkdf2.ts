import { pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import { expectTag, integer, malformed, nullValue, octetString, oid, readChildren, sequence, Tag, type Tlv } from '../der/index.ts'
import { readAlgorithmIdentifier } from '../pki/algorithms.ts'
import type { HashName } from '../types.ts'
import { refusedAlgorithm } from './failures.ts'
import { type Budget, readIterations, readSalt, readSize } from './limits.ts'
import { hmacOids, SchemeOid } from './oids.ts'
import { outputBlocks } from './pkcs12-kdf.ts'

/** PBKDF2-params (RFC 8018 appendix A.2). */
export interface Pbkdf2 {
  readonly salt: Uint8Array
  readonly iterations: number
  readonly lengthBytes: number
  readonly prf: HashName
}

/** How long the key is to be: a cipher knows, a MAC must be told (RFC 9579 4). */
export type KeyLength = { readonly exactly: number } | { readonly told: { readonly min: number; readonly max: number } }

const hashByHmacOid: ReadonlyMap<string, HashName> = new Map(Object.entries(hmacOids).map(([hash, dotted]) => [dotted, hash as HashName]))

/** Reads an AlgorithmIdentifier that must be PBKDF2, and pays for it. */
export function readPbkdf2(algorithm: Tlv | undefined, what: string, length: KeyLength, budget: Budget): Pbkdf2 {
  const { oid: dotted, parameters } = readAlgorithmIdentifier(algorithm, `${what} key derivation`)
  if (dotted !== SchemeOid.Pbkdf2) refusedAlgorithm(what, `key derivation ${dotted}`)
  const [salt, count, ...optional] = readChildren(sequenceIn(parameters, 'PBKDF2 parameters'), 'PBKDF2 parameters')
  const told = optional[0]?.tag === Tag.Integer ? optional.shift() : undefined
  const prf = optional.length > 0 ? readHmac(optional.shift(), what) : 'sha1'
  if (optional.length > 0) malformed('PBKDF2 parameters', 'values behind the PRF')
  const derivation = { salt: readSalt(salt), iterations: readIterations(count), lengthBytes: readLength(told, length), prf }
  budget.spend('iterations', derivation.iterations * outputBlocks(prf, derivation.lengthBytes))
  return derivation
}

function readLength(told: Tlv | undefined, length: KeyLength): number {
  if ('told' in length) return readSize(told, 'key length', length.told)
  if (told === undefined) return length.exactly
  return readSize(told, 'key length', { min: length.exactly, max: length.exactly })
}

/** HMAC with SHA-1, SHA-256, SHA-384 or SHA-512. */
export function readHmac(algorithm: Tlv | undefined, what: string): HashName {
  const { oid: dotted, parameters } = readAlgorithmIdentifier(algorithm, `${what} HMAC`)
  if (parameters !== undefined && (parameters[0] !== Tag.Null || parameters.length !== 2)) malformed(`${what} HMAC`, 'it has parameters')
  return hashByHmacOid.get(dotted) ?? refusedAlgorithm(what, `HMAC ${dotted}`)
}

/** The contents of the SEQUENCE that must be there. */
export function sequenceIn(parameters: Uint8Array | undefined, what: string): Uint8Array {
  if (parameters === undefined) malformed(what, 'they are missing')
  const [only] = readChildren(parameters, what)
  return expectTag(only, Tag.Sequence, what).value
}

/** AlgorithmIdentifier; with its key length where `tellLength`. */
export function pbkdf2Algorithm({ salt, iterations, lengthBytes, prf }: Pbkdf2, tellLength: boolean): Uint8Array {
  const parameters = [octetString(salt), integer(iterations), ...(tellLength ? [integer(lengthBytes)] : []), hmacAlgorithm(prf)]
  return sequence(oid(SchemeOid.Pbkdf2), sequence(...parameters))
}

export function hmacAlgorithm(hash: HashName): Uint8Array {
  return sequence(oid(hmacOids[hash]), nullValue)
}

const derive = promisify(pbkdf2)

/** On the thread pool. For the caller to wipe. */
export function derivePbkdf2({ salt, iterations, lengthBytes, prf }: Pbkdf2, password: Uint8Array): Promise<Buffer> {
  return derive(password, salt, iterations, lengthBytes, prf)
}
