import { createHash } from 'node:crypto'
import { keysFor } from './primes.ts'

/** Two places in a pool, the lower first. */
export type Pair = readonly [number, number]

/**
 * Every pair of `primes` primes once, in an order that the seed decides: which pair is at a position of [0, keysFor(primes)).
 * The same on every machine; keeps no list.
 */
export function pairOrder(primes: number, seed: string): (position: number) => Pair {
  const pairs = keysFor(primes)
  const digest = createHash('sha256').update(`certfleet pairs ${seed}`).digest()
  const start = digest.readUIntBE(0, 6) % pairs
  const stride = coprimeFrom(digest.readUIntBE(6, 6) % pairs, pairs)
  // position * stride stays below 2^53 for `maxPrimes` primes.
  return (position) => pairAt((start + ((position * stride) % pairs)) % pairs)
}

/** Steps of such a width meet every position before they meet the first again. */
function coprimeFrom(first: number, pairs: number): number {
  let width = Math.max(1, first)
  while (gcd(width, pairs) !== 1) width++
  return width
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}

/** Counted along the rows (0,1); (0,2) (1,2); (0,3) (1,3) (2,3); … */
function pairAt(index: number): Pair {
  const high = Math.floor((1 + Math.sqrt(1 + 8 * index)) / 2)
  return [index - keysFor(high), high]
}
