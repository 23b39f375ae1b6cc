import { meterInto } from '../../measure/meter.ts'
import { addMeasurements, emptySums, encodeSums, type Sums } from '../../measure/sums.ts'
import type { Measurements, Meter, Step, StepPlatform } from '../../measure/types.ts'
import type { KeptDevice } from './keeping.ts'
import type { StepCounts } from './shard-queue.ts'

export interface HeldMeterOptions {
  readonly sinceStartMs: () => number
  /** What the next record of the shard has. */
  readonly record: Meter
  /** As its last holder kept it. Default: nobody did. */
  readonly before?: Pick<KeptDevice, 'measured' | 'isThrough'> | undefined
  /** How often it made each step for others. */
  readonly madeBefore: StepCounts
  /** A step that was made before. */
  readonly onRepeated: (step: Step) => void
  /** It is through with its first pass. */
  readonly onThrough: () => void
}

/** Measures one device, and holds what it measured back until that can stand in a record for good. */
export interface HeldMeter extends Meter {
  /** See `DeviceKeeper.settled`. */
  settled(isPassOver: boolean): void
  /** What is held of it and will not be done again. */
  held(): Omit<Measurements, 'cost'>
  /** How often it made each step, in whatever process. */
  made(): StepCounts
  /** Lets go of everything: from now on it measures into the record. */
  release(into: Sums): void
}

/** What whoever goes on with a device does again, unless its action is over, or for the last two its pass. */
const ofAction: ReadonlySet<Step> = new Set(['challenge', 'pfx', 'GetCACaps', 'GetCACert', 'PKIOperation', 'poll'])
const ofPass: ReadonlySet<Step> = new Set(['policy', 'report'])

/** What a device that is through does again as it starts: it has a record already. */
const ofStart: ReadonlySet<Step> = new Set(['policy', 'report', 'push'])

type MadeStep = readonly [step: Step, platform: StepPlatform, durationMs: number]

/**
 * Of a device that was taken over it has what was settled: what was not is made again, and measured then. So every step is measured once, and
 * the first of each kind that are made again are told as repeated.
 */
export function heldMeter(options: HeldMeterOptions): HeldMeter {
  const { sinceStartMs, record, before, madeBefore, onRepeated, onThrough } = options
  let sums: Sums | undefined = before?.isThrough ? undefined : emptySums()
  // What is pending is counted anew when it is asked for again.
  if (before && sums) addMeasurements(sums, { ...before.measured, pending: 0 })
  const held = meterInto(() => sums as Sums, sinceStartMs)
  const into = () => (sums ? held : record)
  let open: readonly MadeStep[] = []
  const made = countsOf(madeBefore)
  const again = countsOf(madeBefore)
  for (const [step, count] of Object.entries(countsIn(before?.measured))) again[step as Step] = (again[step as Step] ?? 0) - count
  let isStarting = before?.isThrough ?? false
  const settle = (isOver: (step: Step) => boolean) => {
    const left: MadeStep[] = []
    for (const step of open) {
      if (isOver(step[0])) into().step(...step)
      else left.push(step)
    }
    open = left
  }
  return {
    step(step, platform, durationMs) {
      if (isStarting && ofStart.has(step)) return onRepeated(step)
      if (!sums) return record.step(step, platform, durationMs)
      made[step] = (made[step] ?? 0) + 1
      if (takeOne(again, step)) onRepeated(step)
      if (ofAction.has(step) || ofPass.has(step)) open = [...open, [step, platform, durationMs]]
      else held.step(step, platform, durationMs)
    },
    error: (error) => into().error(error),
    started(dueMs, lateMs) {
      if (!before) into().started(dueMs, lateMs)
    },
    completed(isGood) {
      if (isStarting) {
        isStarting = false
        return
      }
      into().completed(isGood)
      onThrough()
    },
    connected: (change) => record.connected(change),
    pending: (change) => into().pending(change),
    settled: (isPassOver) => settle((step) => isPassOver || !ofPass.has(step)),
    held: () => encodeSums(sums ?? emptySums()),
    made: () => made,
    release(to) {
      if (!sums) return
      settle(() => true)
      addMeasurements(to, encodeSums(sums))
      sums = undefined
    },
  }
}

type Counts = Partial<Record<Step, number>>

const countsOf = (counts: StepCounts): Counts => ({ ...counts })

/** Counts down, and says whether there was one. */
function takeOne(counts: Counts, step: Step): boolean {
  const left = counts[step] ?? 0
  if (left <= 0) return false
  counts[step] = left - 1
  return true
}

/** How many steps of each kind were measured. */
export function countsIn(measured: Pick<Measurements, 'histograms'> | undefined): StepCounts {
  const counts: Counts = {}
  for (const [step, platforms] of Object.entries(measured?.histograms ?? {}))
    for (const histogram of Object.values(platforms))
      for (let i = 1; i < histogram.length; i += 2) counts[step as Step] = (counts[step as Step] ?? 0) + (histogram[i] as number)
  return counts
}
