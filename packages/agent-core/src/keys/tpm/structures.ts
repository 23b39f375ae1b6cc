import { createHash } from 'node:crypto'
import { integerBytes, readBitString, readSequence } from '../../der/index.ts'
import type { KeySpec } from '../../types.ts'

// The structures of the TPM 2.0 Library, Part 2; numbers are big-endian, and a TPM2B has its length of two octets before it.

const tpmGenerated = 0xff544347
const typeAttestCertify = 0x8017
const algorithmNull = 0x0010
const algorithm = { rsa: 0x0001, ecc: 0x0023, sha256: 0x000b, ecdsa: 0x0018 } as const
const curves = { 'P-256': 0x0003, 'P-384': 0x0004 } as const

/** TPMA_OBJECT (8.3): made in this TPM, bound to it and to its parent for good, used with an authorization that guessing locks (noDA is clear). */
const boundToTpm = 0x00000072
const attribute = { restricted: 0x00010000, decrypt: 0x00020000, sign: 0x00040000 } as const

/** The primary seeds that keys hang from (7.4, TPM_RH_OWNER and TPM_RH_ENDORSEMENT). */
export const hierarchy = { owner: 0x40000001, endorsement: 0x4000000b } as const

/** `key`: signs, and unwraps where it is RSA. `attestation`: signs only what the TPM itself made (restricted), ECDSA over SHA-256. */
export type KeyRole = 'key' | 'attestation'

/** TPMT_PUBLIC (12.2.4) of a key that never left its TPM. `publicKey` is its SubjectPublicKeyInfo. */
export function publicArea(publicKey: Uint8Array, spec: KeySpec, role: KeyRole): Uint8Array {
  const purpose =
    role === 'attestation' ? attribute.restricted | attribute.sign : attribute.sign | (spec.algorithm === 'rsa' ? attribute.decrypt : 0)
  const scheme = role === 'attestation' ? concat(u16(algorithm.ecdsa), u16(algorithm.sha256)) : u16(algorithmNull)
  const head = concat(u16(algorithm.sha256), u32(boundToTpm | purpose), sized(new Uint8Array()), u16(algorithmNull), scheme)
  const { bytes } = readBitString(readSequence(publicKey, 'subjectPublicKeyInfo')[1], 'subjectPublicKey')
  if (spec.algorithm === 'rsa') return concat(u16(algorithm.rsa), head, u16(spec.bits), u32(0), sized(modulusOf(bytes)))
  const half = (bytes.length - 1) / 2
  const point = concat(sized(bytes.subarray(1, 1 + half)), sized(bytes.subarray(1 + half)))
  return concat(u16(algorithm.ecc), head, u16(curves[spec.curve]), u16(algorithmNull), point)
}

function modulusOf(rsaPublicKey: Uint8Array): Uint8Array {
  const modulus = integerBytes(readSequence(rsaPublicKey, 'RSAPublicKey')[0], 'modulus')
  return modulus[0] === 0 ? modulus.subarray(1) : modulus
}

/** Name of an object (Part 1, 16): its nameAlg and the digest of its public area. */
export function nameOf(area: Uint8Array): Uint8Array {
  return concat(u16(algorithm.sha256), createHash('sha256').update(area).digest())
}

/** Qualified Name of a primary object (Part 1, 26.5): the digest over its hierarchy and its Name. */
export function qualifiedNameOf(name: Uint8Array, root: number): Uint8Array {
  return nameOf(concat(u32(root), name))
}

export interface CertifyStatement {
  readonly qualifiedSigner: Uint8Array
  readonly nonce: Uint8Array
  /** Milliseconds that the TPM has been running. */
  readonly clockMs: number
  readonly firmwareVersion: bigint
  readonly name: Uint8Array
  readonly qualifiedName: Uint8Array
}

/** TPMS_ATTEST (10.12.12) of type certify, as TPM2_Certify makes it: the key of that Name is in this TPM. */
export function certifyStatement({ qualifiedSigner, nonce, clockMs, firmwareVersion, name, qualifiedName }: CertifyStatement): Uint8Array {
  const noReset = concat(u32(0), u32(0))
  const safe = Uint8Array.of(1)
  const clockInfo = concat(u64(BigInt(Math.max(0, Math.floor(clockMs)))), noReset, safe)
  const head = concat(u32(tpmGenerated), u16(typeAttestCertify), sized(qualifiedSigner), sized(nonce))
  return concat(head, clockInfo, u64(firmwareVersion), sized(name), sized(qualifiedName))
}

/** Octets of their own: those of a small Buffer lie in a pool together with what else the process has handled. */
const concat = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))
const u16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value)
const u32 = (value: number): Uint8Array => concat(u16(value >>> 16), u16(value & 0xffff))
const u64 = (value: bigint): Uint8Array => concat(u32(Number(value >> 32n)), u32(Number(value & 0xffffffffn)))
const sized = (bytes: Uint8Array): Uint8Array => concat(u16(bytes.length), bytes)
