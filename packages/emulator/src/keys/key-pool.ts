import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { AgentError, type Disk } from '@certfleet/agent-core'
import type { RsaBits } from './device-keys.ts'
import { pairOrder } from './pair-order.ts'
import { encodePool, type PoolKind, readPool, writePool } from './pool-file.ts'
import { keysFor, makePrimes, primesFor } from './primes.ts'
import { type RsaPrime, rsaKeyOf, rsaPrime } from './rsa-key.ts'

export interface PoolOptions {
  /** Decides which device gets which pairs of primes. */
  readonly seed: string
  /** Of the whole run, over all shards. */
  readonly devices: number
  /** RSA keys of each size that one device may make in the run, renewals and failed attempts counted. No bound on fresh ones. */
  readonly keysPerDevice: number
  /** Where pools are kept, one file a size, in a folder that is made where it is missing. Absent: made for this run alone. */
  readonly kept?: { readonly folder: string; readonly disk: Disk }
  /** Called after each prime that is made. */
  readonly onProgress?: (progress: PoolProgress) => void
  readonly signal?: AbortSignal
}

export interface PoolProgress {
  readonly keyBits: number
  readonly primesMade: number
  readonly primes: number
}

/** A key for a position; every position has another. */
export interface KeyPool {
  keyAt(position: number): KeyObject
}

/** The pool of one size: the kept one, or one that is made. Errors as `openEmulationKeys` tells them. */
export async function openPool(mode: 'pool' | 'primes', bits: RsaBits, options: PoolOptions): Promise<KeyPool> {
  if (mode === 'pool') return wholeKeys((await openPrimes('keys', bits, options)).map(rsaPrime))
  return pairedKeys((await openPrimes('primes', bits, options)).map(rsaPrime), options.seed)
}

/** A key for each pair of the primes. */
export function pairedKeys(primes: readonly RsaPrime[], seed: string): KeyPool {
  const pairAt = pairOrder(primes.length, seed)
  return {
    keyAt(position) {
      const [one, other] = pairAt(position)
      return rsaKeyOf(primes[one] as RsaPrime, primes[other] as RsaPrime)
    },
  }
}

function wholeKeys(primes: readonly RsaPrime[]): KeyPool {
  return { keyAt: (position) => rsaKeyOf(primes[position * 2] as RsaPrime, primes[position * 2 + 1] as RsaPrime) }
}

/** How many primes make so many keys, and the reverse. */
const counts = {
  keys: { primes: (keys: number) => keys * 2, keys: (primes: number) => Math.floor(primes / 2) },
  primes: { primes: primesFor, keys: keysFor },
} as const satisfies Record<PoolKind, object>

async function openPrimes(kind: PoolKind, keyBits: RsaBits, options: PoolOptions): Promise<readonly bigint[]> {
  const { kept, devices, keysPerDevice, onProgress, signal } = options
  const count = counts[kind].primes(devices * keysPerDevice)
  const primeBits = keyBits / 2
  const make = () =>
    makePrimes(primeBits, count, { signal, onProgress: (made, of) => onProgress?.({ keyBits, primesMade: made, primes: of }) })
  if (!kept) return make()
  const file = join(kept.folder, `${kind}-${keyBits}.json`)
  const found = await readPool(kept.disk, file, kind, primeBits)
  if (found && counts[kind].keys(found.length) < devices * keysPerDevice) throw tooSmall(file, counts[kind].keys(found.length), options)
  if (found) return found
  const primes = await make()
  await writePool(kept.disk, file, encodePool(kind, primeBits, primes))
  return primes
}

function tooSmall(file: string, keys: number, { devices, keysPerDevice }: PoolOptions): AgentError {
  return new AgentError(
    'ERR_LIMIT_EXCEEDED',
    `${file} makes ${keys} keys, and ${devices} devices with ${keysPerDevice} keys each need ${devices * keysPerDevice}: ` +
      'remove it, or name another folder, and a larger pool is made',
  )
}
