import { createPrivateKey, type KeyObject } from 'node:crypto'
import { inverseModulo } from './inverse.ts'

export const publicExponent = 65537n
const exponent = Number(publicExponent)
const exponentText = 'AQAB'

/** A prime, and what every key that has it shares, computed once. */
export interface RsaPrime {
  readonly value: bigint
  /** base64url, as in a JWK. */
  readonly text: string
  /** e^-1 mod (prime - 1), base64url. */
  readonly crtExponentText: string
  /** (prime - 1)^-1 mod e. */
  readonly inverse: number
}

/** Whether it is odd, of exactly that many bits with the two highest set, and fits the public exponent. Not whether it is prime. */
export function isRsaFactor(value: bigint, bits: number): boolean {
  return value >> BigInt(bits - 2) === 3n && (value & 1n) === 1n && (value - 1n) % publicExponent !== 0n
}

/** Of a prime for which `isRsaFactor` holds. */
export function rsaPrime(value: bigint): RsaPrime {
  const inverse = inverseModulo(value - 1n, publicExponent)
  return {
    value,
    text: base64url(value),
    crtExponentText: base64url(exponentModulo(value - 1n, Number(inverse))),
    inverse: Number(inverse),
  }
}

/**
 * The RSA key of two different primes of one size: the modulus has twice their bits (the two highest bits of both are set), and e is 65537.
 * d is the inverse of e modulo (p-1)(q-1), which is one modulo their least common multiple too (RFC 8017 3.2) and needs no gcd.
 */
export function rsaKeyOf(one: RsaPrime, other: RsaPrime): KeyObject {
  const [p, q] = one.value > other.value ? [one, other] : [other, one]
  const n = p.value * q.value
  const d = exponentModulo(n - p.value - q.value + 1n, (p.inverse * q.inverse) % exponent)
  // Octets in DER would pass OpenSSL's decoders, which take twenty times as long.
  const key = {
    kty: 'RSA',
    n: base64url(n),
    e: exponentText,
    d: base64url(d),
    p: p.text,
    q: q.text,
    dp: p.crtExponentText,
    dq: q.crtExponentText,
    qi: base64url(inverseModulo(q.value, p.value)),
  }
  return createPrivateKey({ key, format: 'jwk' })
}

/** e^-1 modulo `modulus`, given the inverse of `modulus` modulo e: a division by e instead of Euclid's algorithm. */
function exponentModulo(modulus: bigint, inverseOfModulus: number): bigint {
  return (1n + BigInt(exponent - inverseOfModulus) * modulus) / publicExponent
}

/** RFC 7518 2, Base64urlUInt. */
export function base64url(value: bigint): string {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url')
}
