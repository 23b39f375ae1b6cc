import { meterInto } from '../../measure/meter.ts'
import { addMeasurements, emptySums, encodeSums, type Sums } from '../../measure/sums.ts'
import type { Measurements, Meter, Step, StepError, StepPlatform } from '../../measure/types.ts'
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
export const heldMeter = (options: HeldMeterOptions): HeldMeter => new Held(options)

/** While it is held back. */
interface Holding {
  readonly sums: Sums
  readonly meter: Meter
  /** In their order, those that are not settled. */
  open: readonly MadeStep[]
  readonly made: Counts
  /** How many of each are still to be made again. */
  readonly again: Counts
}

/** A class, and nothing held once it is through: thousands of devices are at rest. */
class Held implements HeldMeter {
  readonly #options: HeldMeterOptions
  #holding: Holding | undefined
  #isStarting: boolean

  constructor(options: HeldMeterOptions) {
    this.#options = options
    this.#isStarting = options.before?.isThrough ?? false
    if (!this.#isStarting) this.#holding = holdingOf(options)
  }

  step(step: Step, platform: StepPlatform, durationMs: number): void {
    const { onRepeated, record } = this.#options
    const holding = this.#holding
    if (this.#isStarting && ofStart.has(step)) onRepeated(step)
    else if (holding) this.#hold(holding, [step, platform, durationMs])
    else record.step(step, platform, durationMs)
  }

  #hold(holding: Holding, made: MadeStep): void {
    const [step] = made
    // What is made again is in `made` already: whoever comes next does not tell of it a second time.
    if (takeOne(holding.again, step)) this.#options.onRepeated(step)
    else holding.made[step] = (holding.made[step] ?? 0) + 1
    if (ofAction.has(step) || ofPass.has(step)) holding.open = [...holding.open, made]
    else holding.meter.step(...made)
  }

  error(error: StepError): void {
    this.#meter().error(error)
  }

  started(dueMs: number, lateMs: number): void {
    if (!this.#options.before) this.#meter().started(dueMs, lateMs)
  }

  completed(isGood: boolean): void {
    const isStarting = this.#isStarting
    this.#isStarting = false
    if (isStarting) return
    this.#meter().completed(isGood)
    this.#options.onThrough()
  }

  /** What is open is so for all to see, and closed by whoever comes next. */
  connected(change: 1 | -1): void {
    this.#options.record.connected(change)
  }

  pending(change: 1 | -1): void {
    this.#meter().pending(change)
  }

  settled(isPassOver: boolean): void {
    const holding = this.#holding
    if (!holding) return
    const isOver = ([step]: MadeStep) => isPassOver || !ofPass.has(step)
    for (const made of holding.open.filter(isOver)) holding.meter.step(...made)
    holding.open = holding.open.filter((made) => !isOver(made))
  }

  held(): Omit<Measurements, 'cost'> {
    return encodeSums(this.#holding?.sums ?? emptySums())
  }

  made(): StepCounts {
    return { ...this.#holding?.made }
  }

  release(into: Sums): void {
    if (!this.#holding) return
    this.settled(true)
    addMeasurements(into, this.held())
    this.#holding = undefined
  }

  #meter(): Meter {
    return this.#holding?.meter ?? this.#options.record
  }
}

function holdingOf({ before, madeBefore, sinceStartMs }: HeldMeterOptions): Holding {
  const sums = emptySums()
  // What is pending is counted anew when it is asked for again.
  if (before) addMeasurements(sums, { ...before.measured, pending: 0 })
  const again: Counts = { ...madeBefore }
  for (const [step, count] of Object.entries(countsIn(before?.measured))) again[step as Step] = (again[step as Step] ?? 0) - count
  return { sums, meter: meterInto(() => sums, sinceStartMs), open: [], made: { ...madeBefore }, again }
}

type Counts = Partial<Record<Step, number>>

/** Counts down, and says whether there was one. */
function takeOne(counts: Counts, step: Step): boolean {
  const left = counts[step] ?? 0
  if (left <= 0) return false
  counts[step] = left - 1
  return true
}

/** How many steps of each kind were measured. */
function countsIn(measured: Pick<Measurements, 'histograms'> | undefined): StepCounts {
  const counts: Counts = {}
  for (const [step, platforms] of Object.entries(measured?.histograms ?? {}))
    for (const histogram of Object.values(platforms))
      for (let i = 1; i < histogram.length; i += 2) counts[step as Step] = (counts[step as Step] ?? 0) + (histogram[i] as number)
  return counts
}
