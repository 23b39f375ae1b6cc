import { createPrivateKey, generatePrime, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

const makePrime = promisify(generatePrime)
const exponent = 65537n

/**
 * RSA-2048 keys for tests that enrol hundreds of times: each pair of a few primes is a key, so that n keys cost the square root of
 * their primes. Whoever has two of them has all; their strength is not what is tested.
 */
export async function cheapKeys(count: number): Promise<readonly KeyObject[]> {
  let width = 2
  while ((width * (width - 1)) / 2 < count) width++
  const primes = await Promise.all(Array.from({ length: width }, suitablePrime))
  return primes
    .flatMap((p, i) => primes.slice(i + 1).map((q) => [p, q] as const))
    .slice(0, count)
    .map(([p, q]) => keyOf(p, q))
}

/** With both top bits set, so that a product of two has all 2048, and e is no divisor of p-1. */
async function suitablePrime(): Promise<bigint> {
  for (;;) {
    const prime = Buffer.from((await makePrime(1024)) as ArrayBuffer).toString('hex')
    const value = BigInt(`0x${prime}`)
    if (value >> 1022n === 3n && (value - 1n) % exponent !== 0n) return value
  }
}

function keyOf(p: bigint, q: bigint): KeyObject {
  const d = inverse(exponent, (p - 1n) * (q - 1n))
  const members = { n: p * q, e: exponent, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const encoded = Object.fromEntries(Object.entries(members).map(([name, value]) => [name, base64url(value)]))
  return createPrivateKey({ key: { kty: 'RSA', ...encoded }, format: 'jwk' })
}

function inverse(of: bigint, modulus: bigint): bigint {
  let [r, next, x, nextX] = [modulus, of % modulus, 0n, 1n]
  while (next !== 0n) {
    const quotient = r / next
    ;[r, next] = [next, r - quotient * next]
    ;[x, nextX] = [nextX, x - quotient * nextX]
  }
  return ((x % modulus) + modulus) % modulus
}

function base64url(value: bigint): string {
  const hex = value.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
}
