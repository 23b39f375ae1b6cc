import { randomBytes } from 'node:crypto'
import { normaliseBer, type Tlv } from '../der/index.ts'
import { AgentError } from '../errors.ts'
import { readAlgorithmIdentifier } from '../pki/algorithms.ts'
import { wrongPassword } from './failures.ts'
import type { Budget } from './limits.ts'
import { SchemeOid } from './oids.ts'
import type { PasswordOctets } from './password.ts'
import { readPbes2, writePbes2 } from './pbes2.ts'
import { readPkcs12Pbe, writePkcs12Pbe } from './pkcs12-pbe.ts'

/** An encryption scheme with its parameters, read and paid for; no key is derived before `decrypt`. */
export interface PasswordCipher {
  readonly blockBytes: number
  /** All blocks, padding left on, for the caller to wipe. Throws what the runtime throws. */
  decrypt(encrypted: Uint8Array, password: PasswordOctets): Promise<Buffer>
}

export interface ReadingRules {
  /** 3DES and RC2. */
  readonly legacy: boolean
  readonly budget: Budget
}

/** Reads the AlgorithmIdentifier of something that is encrypted; `what` names that. */
export function readPasswordCipher(algorithm: Tlv | undefined, what: string, rules: ReadingRules): PasswordCipher {
  const identifier = readAlgorithmIdentifier(algorithm, `${what} encryption`)
  return identifier.oid === SchemeOid.Pbes2 ? readPbes2(identifier, what, rules) : readPkcs12Pbe(identifier, what, rules)
}

/**
 * Decrypts, hands the one value that comes out to `use`, as DER, and wipes it.
 * What does not decrypt to one whole value is the one error for every cryptographic cause.
 */
export async function withDecrypted<T>(
  cipher: PasswordCipher,
  encrypted: Uint8Array,
  password: PasswordOctets,
  use: (plain: Uint8Array) => T,
): Promise<T> {
  if (encrypted.length === 0 || encrypted.length % cipher.blockBytes !== 0) wrongPassword()
  const blocks = await cipher.decrypt(encrypted, password)
  const wiped: Uint8Array[] = [blocks]
  try {
    const plain = oneValue(unpadded(blocks, cipher.blockBytes))
    wiped.push(plain)
    return use(plain)
  } finally {
    for (const bytes of wiped) bytes.fill(0)
  }
}

/** RFC 8018 6.1.1. */
function unpadded(blocks: Buffer, blockBytes: number): Uint8Array {
  const padding = blocks[blocks.length - 1] as number
  if (padding === 0 || padding > blockBytes) wrongPassword()
  if (blocks.subarray(-padding).some((octet) => octet !== padding)) wrongPassword()
  return blocks.subarray(0, -padding)
}

/** The same bytes where they are DER already, as nearly always. */
function oneValue(plain: Uint8Array): Uint8Array {
  try {
    return normaliseBer(plain, 'decrypted value')
  } catch (error) {
    if (error instanceof AgentError && error.code === 'ERR_DER_MALFORMED') wrongPassword()
    throw error
  }
}

export type PfxAlgorithms = 'modern' | 'legacy'

export interface Encrypted {
  /** AlgorithmIdentifier. */
  readonly algorithm: Uint8Array
  readonly encrypted: Uint8Array
}

/** AES-256-CBC by PBES2 with HMAC-SHA-256, or three-key 3DES by the scheme of RFC 7292; fresh salt and IV. */
export function encryptWithPassword(
  plain: Uint8Array,
  password: PasswordOctets,
  algorithms: PfxAlgorithms,
  iterations: number,
): Promise<Encrypted> {
  return algorithms === 'modern'
    ? writePbes2(plain, password, { salt: randomBytes(16), iterations })
    : writePkcs12Pbe(plain, password, { salt: randomBytes(8), iterations })
}
