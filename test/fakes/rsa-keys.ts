import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'

const exponent = 65_537n
const primes: bigint[] = []
const products = pairs()

/**
 * A new RSA-2048 key. Its primes are in other keys too, so that most cost a hundredth of what a key made afresh does: 0.1 s of CPU.
 * No two of a process are the same, and nothing but the search for a common factor tells them from others.
 */
export function rsaKey(): KeyObject {
  const [p, q] = products.next().value
  const d = inverse(exponent, (p - 1n) * (q - 1n))
  const numbers = { n: p * q, e: exponent, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const jwk = Object.fromEntries(Object.entries(numbers).map(([name, number]) => [name, base64url(number)]))
  return createPrivateKey({ key: { kty: 'RSA', ...jwk }, format: 'jwk' })
}

/** Every two primes once. Keys made afresh bring two at a time. */
function* pairs(): Generator<readonly [bigint, bigint], never> {
  for (let last = 1; ; last++) {
    if (primes.length <= last) primes.push(...freshPrimes())
    for (const other of primes.slice(0, last)) yield [primes[last] as bigint, other]
  }
}

function freshPrimes(): bigint[] {
  const { p, q } = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  return [p, q].map((number) => BigInt(`0x${Buffer.from(number as string, 'base64url').toString('hex')}`))
}

function base64url(number: bigint): string {
  const hex = number.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
}

/** By Euclid's algorithm. */
function inverse(number: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [number % modulus, modulus, 1n, 0n]
  while (b > 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y]
  return x < 0n ? x + modulus : x
}
