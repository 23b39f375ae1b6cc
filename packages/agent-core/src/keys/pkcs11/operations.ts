import { AgentError } from '../../errors.ts'
import type { UnwrapPadding } from '../../ports.ts'
import { type Pkcs1Wrapped, pkcs1Substitute, unpadPkcs1 } from '../pkcs1-unpad.ts'
import { CKG_MGF1, CKM, CKZ_DATA_SPECIFIED, type Mechanism, OAEP_PARAMETERS } from './cryptoki.ts'
import type { Desk } from './objects.ts'
import type { KeyPair } from './pair.ts'
import { isLost, Refusal, unlessRefused } from './refusal.ts'
import type { Token } from './token.ts'

export interface UnwrapRequest extends Pkcs1Wrapped {
  readonly padding: UnwrapPadding
}

/** A signature or a number of 16384 bits, the largest that a token is likely to offer. */
const roomBytes = 2048

/** RSASSA-PKCS1-v1_5 over a DigestInfo, or ECDSA over a digest (r and s, each as long as the order). */
export function sign({ cryptoki, session }: Desk, { privateKey, spec }: KeyPair, digest: Uint8Array): Uint8Array {
  const mechanism = spec.algorithm === 'rsa' ? CKM.RSA_PKCS : CKM.ECDSA
  cryptoki.C_SignInit(session, { mechanism, parameter: null }, privateKey)
  const work = () => cryptoki.C_Sign(session, Buffer.from(digest), Buffer.alloc(roomBytes))
  return orEnd(work, () => cryptoki.C_SignFinal(session, Buffer.alloc(roomBytes)))
}

/**
 * Unwraps as `KeyHandle.unwrapKey` promises. For PKCS#1 v1.5 the token does the raw RSA operation where it can, and the padding is read
 * here; a token that reads it itself may say what is wrong, so that whatever it refuses is answered by the substitute.
 */
export function unwrap(token: Token, pairOn: (desk: Desk) => KeyPair, request: UnwrapRequest): Uint8Array {
  if (request.padding !== 'pkcs1') return unwrapOaep(token, pairOn, request)
  const isRaw = token.facts.pkcs1 === 'raw'
  const plain = decrypt(token, pairOn, isRaw ? raw : padded, request)
  if (isRaw) return unpadPkcs1(plain && widened(plain, request.wrapped.length), request)
  const substitute = pkcs1Substitute(request)
  return plain?.length === request.lengthBytes ? plain : substitute
}

function unwrapOaep(token: Token, pairOn: (desk: Desk) => KeyPair, request: UnwrapRequest): Uint8Array {
  const plain = decrypt(token, pairOn, oaep[request.padding as keyof typeof oaep], request)
  if (plain?.length !== request.lengthBytes) throw new AgentError('ERR_CMS_DECRYPT', 'the envelope could not be decrypted')
  return plain
}

const raw: Mechanism = { mechanism: CKM.RSA_X_509, parameter: null }
const padded: Mechanism = { mechanism: CKM.RSA_PKCS, parameter: null }
const oaep = {
  'oaep-sha1': oaepWith({ hashAlg: CKM.SHA_1, mgf: CKG_MGF1.SHA1 }),
  'oaep-sha256': oaepWith({ hashAlg: CKM.SHA256, mgf: CKG_MGF1.SHA256 }),
} as const satisfies Record<Exclude<UnwrapPadding, 'pkcs1'>, Mechanism>

function oaepWith(hashes: { hashAlg: number; mgf: number }): Mechanism {
  return { mechanism: CKM.RSA_PKCS_OAEP, parameter: { type: OAEP_PARAMETERS, source: CKZ_DATA_SPECIFIED, ...hashes } }
}

/** Undefined where the token, or what everyone can see of the ciphertext, rejects it. */
function decrypt(token: Token, pairOn: (desk: Desk) => KeyPair, mechanism: Mechanism, { wrapped }: UnwrapRequest): Buffer | undefined {
  return token.run((desk) => {
    const { cryptoki, session } = desk
    const { privateKey, modulus } = pairOn(desk)
    if (!isBelow(modulus, wrapped)) return undefined
    cryptoki.C_DecryptInit(session, mechanism, privateKey)
    const work = () => cryptoki.C_Decrypt(session, Buffer.from(wrapped), Buffer.alloc(roomBytes))
    const decrypted = () => orEnd(work, () => cryptoki.C_DecryptFinal(session, Buffer.alloc(roomBytes)))
    return mechanism === raw ? decrypted() : unlessRejected(decrypted)
  })
}

/** Where the token reads the padding, a refusal may tell of it, and goes no further. The raw operation refuses no number below the modulus. */
function unlessRejected(work: () => Buffer): Buffer | undefined {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Refusal) || isLost(error)) throw error
    return undefined
  }
}

/** An operation that failed is over (PKCS#11 v2.40 5.10.2), but tpm2-pkcs11 keeps it, and its key from being destroyed, until it is ended. */
function orEnd<T>(work: () => T, end: () => unknown): T {
  try {
    return work()
  } catch (error) {
    unlessRefused(end)
    throw error
  }
}

/** RFC 8017 5.1.2 step 1 and 7.2.2 step 1. A TPM that is handed a larger number can go into failure mode. */
function isBelow(modulus: Buffer, wrapped: Uint8Array): boolean {
  return wrapped.length === modulus.length && Buffer.compare(wrapped, modulus) < 0
}

/** As long as the modulus, also where a token drops leading zeros. */
function widened(plain: Buffer, lengthBytes: number): Uint8Array {
  const encoded = Buffer.alloc(lengthBytes)
  encoded.set(plain.subarray(-lengthBytes), Math.max(0, lengthBytes - plain.length))
  plain.fill(0)
  return encoded
}
