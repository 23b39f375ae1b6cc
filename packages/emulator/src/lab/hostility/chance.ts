import { seededJitter } from '@certfleet/agent-core/system'

/** Chance that can be replayed. */
export interface Dice {
  /** True in `percent` of a hundred throws. */
  within(percent: number): boolean
  /** One of them; there is at least one. */
  pick<T>(from: readonly T[]): T
  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number
}

/** The same parts, the same throws. */
export function diceFor(...parts: readonly (string | number)[]): Dice {
  const { between } = seededJitter(JSON.stringify(parts))
  return {
    within: (percent) => between(0, 9_999) < percent * 100,
    pick: (from) => from[between(0, from.length - 1)] as (typeof from)[number],
    between,
  }
}
