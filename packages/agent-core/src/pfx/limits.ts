import { integerBytes, readOctetString, type Tlv } from '../der/index.ts'
import { exceeded, invalidPfx } from './failures.ts'

/** What one file may ask for. Each is checked before the work that it bounds is begun. */
export const pfxLimits = {
  bytes: 1024 * 1024,
  /** Of PBKDF2, each output block's anew, summed over the file: 2.5 s of a core at most. */
  iterations: 5_000_000,
  /** Of the derivation of RFC 7292 appendix B, which no native code does, each output block's anew, summed over the file. */
  pkcs12Iterations: 1_000_000,
  saltBytes: 1024,
  /** RFC 9579 5 advises against MAC keys below 20 octets; more than the longest digest would be for nothing. */
  macKeyBytes: { min: 20, max: 64 },
  /** Parts of the AuthenticatedSafe. */
  contents: 32,
  /** Of every kind, nested ones and those that hold others included. */
  bags: 100,
  certificates: 64,
  /** SafeContents within SafeContents. */
  depth: 16,
} as const

export type KeyDerivation = 'iterations' | 'pkcs12Iterations'

/** What a file has asked for so far. */
export interface Budget {
  /** Refuses with `ERR_LIMIT_EXCEEDED` what goes beyond the sum for that derivation. */
  spend(derivation: KeyDerivation, rounds: number): void
}

/** `most` lowers both sums. */
export function iterationBudget(most: number = Number.POSITIVE_INFINITY): Budget {
  const spent: Record<KeyDerivation, number> = { iterations: 0, pkcs12Iterations: 0 }
  return {
    spend(derivation, rounds) {
      spent[derivation] += rounds
      const limit = Math.min(pfxLimits[derivation], most)
      if (spent[derivation] > limit) exceeded(`${spent[derivation]} iterations`, limit)
    },
  }
}

/** A number of times or octets, in its bounds. */
export function readSize(tlv: Tlv | undefined, what: string, { min, max }: { min: number; max: number }): number {
  const octets = integerBytes(tlv, what)
  const isNegative = ((octets[0] as number) & 0x80) !== 0
  const size = octets.length > 6 ? Number.POSITIVE_INFINITY : octets.reduce((total, octet) => total * 256 + octet, 0)
  if (isNegative || size < min) invalidPfx(`has a ${what} below ${min}`)
  if (size > max) exceeded(`a ${what} of ${size}`, max)
  return size
}

export function readIterations(tlv: Tlv | undefined): number {
  return readSize(tlv, 'iteration count', { min: 1, max: pfxLimits.iterations })
}

/** A copy: what it was read from may be wiped before it is used. */
export function readSalt(tlv: Tlv | undefined): Uint8Array {
  const salt = readOctetString(tlv, 'salt')
  if (salt.length > pfxLimits.saltBytes) exceeded(`a salt of ${salt.length} octets`, pfxLimits.saltBytes)
  return Uint8Array.from(salt)
}
