import type { Jitter } from '@certfleet/agent-core'
import { seededJitter } from '@certfleet/agent-core/system'
import type { Seed } from '../scenario/schema.ts'

/** Chance for one purpose of one device: a function of seed, device index and purpose, whatever else is simulated beside it. */
export interface Chance extends Jitter {
  /** Whether it happens, of so many parts in a thousand. */
  happens(perMille: number): boolean
  /** One of them. */
  pick<T>(from: readonly T[]): T
}

export function chanceOf(seed: Seed, ...purpose: readonly (string | number)[]): Chance {
  const { between } = seededJitter([seed, ...purpose].join('/'))
  return {
    between,
    happens: (perMille) => between(0, 999) < perMille,
    pick: (from) => from[between(0, from.length - 1)] as (typeof from)[number],
  }
}
