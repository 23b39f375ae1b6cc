import type { KeyObject } from 'node:crypto'
import type { MakeKeys } from '@certfleet/platforms/conformance'
import { drawnKeys, type RsaBits } from '../keys/device-keys.ts'
import { type KeyPool, pairedKeys } from '../keys/key-pool.ts'
import { keysFor, makePrimes } from '../keys/primes.ts'
import { rsaPrime } from '../keys/rsa-key.ts'

/** Primes in pairs make 28 keys, or 6 where primes are dear: more than one check makes. */
const primeCounts = { 1024: 8, 2048: 8, 4096: 4 } as const satisfies Record<RsaBits, number>

/** Shown beside results. */
export const sharedKeysMarking = 'key pool (insecure, emulation only)'

export interface SharedKeys {
  drawKey(bits: RsaBits): Promise<KeyObject>
  readonly makeKeys: MakeKeys
}

/**
 * Keys from a few primes, the same for every check: no secret, so for the embedded lab alone. Whether a device makes good keys is not what
 * checks show, and each check has a CA that has seen none of them.
 */
export function sharedKeys(seed: string): SharedKeys {
  const pools = new Map<RsaBits, Promise<KeyPool>>()
  const poolOf = (bits: RsaBits): Promise<KeyPool> => {
    const pool = pools.get(bits) ?? makePrimes(bits / 2, primeCounts[bits]).then((primes) => pairedKeys(primes.map(rsaPrime), seed))
    pools.set(bits, pool)
    return pool
  }
  // Round and round, so that no two key storages of one device have the same keys.
  let drawn = 0
  const drawKey = async (bits: RsaBits): Promise<KeyObject> => (await poolOf(bits)).keyAt(drawn++ % keysFor(primeCounts[bits]))
  return { drawKey, makeKeys: () => drawnKeys(sharedKeysMarking, drawKey) }
}
