import { generatePrime } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { AgentError } from '@certfleet/agent-core'
import { isRsaFactor } from './rsa-key.ts'

const primeOnPool = promisify(generatePrime) as unknown as (bits: number, options: { bigint: true }) => Promise<bigint>

/** Fewer would share so many factors that a fleet looks like one key. */
export const minPrimes = 400
/** A pool of more takes hours to make. Also keeps `pair-order.ts` exact. */
export const maxPrimes = 10_000

export interface PrimeMaking {
  /** Called after each prime. */
  readonly onProgress?: ((made: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** How many keys a pool of so many primes makes: one a pair. */
export const keysFor = (primes: number): number => (primes * (primes - 1)) / 2

/** How many primes a pool needs for so many keys, 400 at least. Over 49,995,000 keys: `ERR_LIMIT_EXCEEDED`. */
export function primesFor(keys: number): number {
  const primes = Math.max(minPrimes, Math.ceil((1 + Math.sqrt(1 + 8 * keys)) / 2))
  if (primes <= maxPrimes) return primes
  throw new AgentError(
    'ERR_LIMIT_EXCEEDED',
    `a prime pool makes at most ${keysFor(maxPrimes)} keys, not ${keys}: run fewer devices at once`,
  )
}

/**
 * Different primes of that many bits, made on the thread pool: 20 to 60 ms of CPU each at 1024 bits.
 * The two highest bits are set, and none is 1 modulo 65537. An aborted signal rejects with its reason.
 */
export async function makePrimes(bits: number, count: number, { onProgress, signal }: PrimeMaking = {}): Promise<readonly bigint[]> {
  const primes = new Set<bigint>()
  const lane = async () => {
    while (primes.size < count) {
      signal?.throwIfAborted()
      const prime = await primeOnPool(bits, { bigint: true })
      if (primes.size >= count || !isRsaFactor(prime, bits)) continue
      primes.add(prime)
      onProgress?.(primes.size, count)
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, availableParallelism()) }, lane))
  return [...primes]
}
