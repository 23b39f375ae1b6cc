import type { KeyObject } from 'node:crypto'
import type { RsaBits } from '../keys/index.ts'
import { makePrimes } from '../keys/primes.ts'
import { type RsaPrime, rsaKeyOf, rsaPrime } from '../keys/rsa-key.ts'

/** Primes by their position, each made when it is first asked for. Keys of them share factors: they are no secret. */
export interface SharedPrimes {
  primeAt(bits: RsaBits, position: number): Promise<RsaPrime>
}

/** So many keys need the square root of twice as many primes, so that few devices cost little and many hardly more. */
export function sharedPrimes(given: Partial<Record<RsaBits, readonly bigint[]>> = {}): SharedPrimes {
  const made = new Map<RsaBits, Promise<RsaPrime>[]>()
  return {
    primeAt(bits, position) {
      const primes = made.get(bits) ?? (given[bits] ?? []).map(async (value) => rsaPrime(value))
      made.set(bits, primes)
      while (primes.length <= position) primes.push(makePrimes(bits / 2, 1).then(([value]) => rsaPrime(value as bigint)))
      return primes[position] as Promise<RsaPrime>
    },
  }
}

/** The next key of that size: of a pair of primes that no key before it has. */
export function keysOf({ primeAt }: SharedPrimes): (bits: RsaBits) => Promise<KeyObject> {
  const next = new Map<RsaBits, readonly [low: number, high: number]>()
  return async (bits) => {
    const [low, high] = next.get(bits) ?? [0, 1]
    next.set(bits, low + 1 < high ? [low + 1, high] : [0, high + 1])
    return rsaKeyOf(await primeAt(bits, low), await primeAt(bits, high))
  }
}
