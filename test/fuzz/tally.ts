import { type Depth, depths, type Problem } from './probe.ts'

export interface Failure extends Problem {
  readonly index: number
  readonly sample: string
  /** The part that was signed or encrypted again. */
  readonly layer: string | undefined
  readonly mutant: Uint8Array
}

/** What came of a number of mutants. */
export interface Tally {
  readonly mutants: number
  /** Changed inside, then signed or encrypted again. */
  readonly resealed: number
  readonly reached: Readonly<Record<Depth, number>>
  readonly failures: readonly Failure[]
}

export function emptyTally(): Tally {
  return { mutants: 0, resealed: 0, reached: countsBy(() => 0), failures: [] }
}

export function addTallies(a: Tally, b: Tally): Tally {
  return {
    mutants: a.mutants + b.mutants,
    resealed: a.resealed + b.resealed,
    reached: countsBy((depth) => a.reached[depth] + b.reached[depth]),
    failures: b.failures.length === 0 ? a.failures : [...a.failures, ...b.failures],
  }
}

export function countsBy(count: (depth: Depth) => number): Record<Depth, number> {
  return Object.fromEntries(depths.map((depth) => [depth, count(depth)])) as Record<Depth, number>
}
