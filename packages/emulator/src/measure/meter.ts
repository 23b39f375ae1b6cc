import type { Clock, Instant } from '@certfleet/agent-core'
import type { CostMeter } from './generator.ts'
import { recordMs } from './histogram.ts'
import { addError, addStep, addToBin, binAt, emptySums, encodeSums, type Sums } from './sums.ts'
import { lateAfterMs, type Measurements, type Meter } from './types.ts'

export interface MeterOptions {
  /** Milliseconds since the start of the run: of `sinceStart`. */
  readonly sinceStartMs: () => number
  /** What the process costs. */
  readonly cost: CostMeter
}

/** Measures what happens in one process. */
export function createMeter({ sinceStartMs, cost }: MeterOptions): Meter & { take(): Measurements } {
  let sums = emptySums()
  return {
    ...meterInto(() => sums, sinceStartMs),
    /** What was measured since the last taking. */
    take() {
      const taken = encodeSums(sums)
      sums = emptySums()
      return { ...taken, cost: cost.take() }
    },
  }
}

/** Adds up, each time, in the sums that `current` gives. */
export function meterInto(current: () => Sums, sinceStartMs: () => number): Meter {
  return {
    step(step, platform, durationMs) {
      const sums = current()
      addStep(sums, step, platform, durationMs)
      if (step === 'enrollment') addToBin(binAt(sums, sinceStartMs()), platform, durationMs)
    },
    error({ code, step, answer, platform, device, message }) {
      const sums = current()
      const atMs = sinceStartMs()
      addError(sums, { code, step, ...(answer !== undefined && { answer }), count: 1, first: { platform, device, message, atMs } })
      binAt(sums, atMs).errors++
    },
    started(dueMs, lateMs) {
      const sums = current()
      recordMs(sums.lateness, lateMs)
      if (lateMs > lateAfterMs) sums.late++
      binAt(sums, dueMs).due++
      binAt(sums, dueMs + Math.max(0, lateMs)).started++
    },
    completed(isGood) {
      const bin = binAt(current(), sinceStartMs())
      bin.completed++
      if (!isGood) bin.failed++
    },
    connected(change) {
      binAt(current(), sinceStartMs()).connected += change
    },
    pending(change) {
      current().pending += change
    },
  }
}

/**
 * Milliseconds since the start of the run, alike in all of its processes: the clock tells once where this one stands, the stopwatch counts
 * from there, so that a step of the wall clock moves nothing.
 */
export function sinceStart(startedAt: Instant, clock: Pick<Clock, 'now'>, stopwatchMs: () => number): () => number {
  const offsetMs = clock.now() - startedAt - stopwatchMs()
  return () => stopwatchMs() + offsetMs
}
