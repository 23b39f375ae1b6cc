import type { FactOverrides } from '@certfleet/platforms'
import type { LoadOutcome } from '../fleet/load-run.ts'
import type { Seed } from '../scenario/schema.ts'
import type { Threshold } from '../scenario/threshold.ts'
import { judge, thresholdsOf } from './judge.ts'
import { type RunResults, resultsOf } from './results.ts'
import type { LoadResults } from './schema.ts'

/** What a report is made of. */
export interface LoadFacts {
  readonly seed: Seed
  readonly run: LoadResults['run']
  readonly outcome: LoadOutcome
  readonly overrides?: FactOverrides | undefined
  readonly thresholds?: readonly Threshold[] | undefined
}

/** The whole of `results.json`. */
export function wholeResults({ seed, run, outcome, overrides, thresholds }: LoadFacts): RunResults & LoadResults {
  const { startedAt, fleet, numbers, invariants, crashes, lost, faults, delayed, queue } = outcome
  const results = resultsOf(seed, fleet, numbers.steps, overrides, delayed)
  const load = { ...numbers, invariants: [...invariants], crashes: [...crashes], devicesLost: lost.length }
  const judged = judge(thresholdsOf(thresholds), { run: results, load })
  const hasPassed = judged.every(({ passed }) => passed)
  return {
    ...results,
    version: 1,
    startedAt: new Date(startedAt).toISOString(),
    verdict: fleet.interrupted ? 'interrupted' : hasPassed ? 'passed' : 'failed',
    // How many carried a run over several machines is known at its end.
    run: queue ? { ...run, workers: queue.workers.length } : run,
    ...load,
    thresholds: judged,
    faults,
    ...(queue && { queue }),
  }
}
