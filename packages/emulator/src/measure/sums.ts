import { addEncoded, addHistogram, emptyHistogram, encode, type Histogram, recordMs } from './histogram.ts'
import { type Bin, type ErrorCount, firstBinMs, type Measurements, maxBins, type Step, type StepPlatform } from './types.ts'

type ByPlatform = Map<StepPlatform, Histogram>
export type BinCounts = Record<'due' | 'started' | 'completed' | 'failed' | 'errors' | 'connected', number>
export type SummedBin = BinCounts & { readonly enrollment: ByPlatform }

/** What `Measurements` are while they grow: in the meter of a process until they are taken, and in the total of a run. */
export interface Sums {
  readonly histograms: Map<Step, ByPlatform>
  /** By code, step and answer. */
  readonly errors: Map<string, ErrorCount>
  readonly lateness: Histogram
  late: number
  pending: number
  binMs: number
  /** By position: the first begins with the run. */
  bins: Map<number, SummedBin>
}

export const emptySums = (): Sums => ({
  histograms: new Map(),
  errors: new Map(),
  lateness: emptyHistogram(),
  late: 0,
  pending: 0,
  binMs: firstBinMs,
  bins: new Map(),
})

export function addStep({ histograms }: Sums, step: Step, platform: StepPlatform, durationMs: number): void {
  recordMs(histogramOf(platformsOf(histograms, step), platform), durationMs)
}

/** The first of all stays, whatever order they come in: the earliest, then the one of the first device by name. */
export function addError({ errors }: Sums, error: ErrorCount): void {
  const key = JSON.stringify([error.code, error.step, error.answer])
  const before = errors.get(key)
  if (!before) return void errors.set(key, error)
  const first = comesBefore(error.first, before.first) ? error.first : before.first
  errors.set(key, { ...before, count: before.count + error.count, first })
}

/** The bin of that moment. Bins are made coarser until there are no more than `maxBins`. */
export function binAt(sums: Sums, atMs: number): SummedBin {
  const at = Math.max(0, atMs)
  while (at >= sums.binMs * maxBins) coarsen(sums, sums.binMs * 2)
  return binOf(sums.bins, Math.floor(at / sums.binMs))
}

export const addToBin = (bin: SummedBin, platform: StepPlatform, durationMs: number): void =>
  recordMs(histogramOf(bin.enrollment, platform), durationMs)

export function addMeasurements(sums: Sums, measured: Omit<Measurements, 'cost'>): void {
  for (const [step, platforms] of Object.entries(measured.histograms)) addPlatforms(platformsOf(sums.histograms, step as Step), platforms)
  for (const error of measured.errors) addError(sums, error)
  addEncoded(sums.lateness, measured.lateness)
  sums.late += measured.late
  sums.pending += measured.pending
  if (measured.binMs > sums.binMs) coarsen(sums, measured.binMs)
  for (const { atMs, enrollment, ...counts } of measured.bins) {
    const bin = binOf(sums.bins, Math.floor(atMs / sums.binMs))
    addCounts(bin, counts)
    addPlatforms(bin.enrollment, enrollment)
  }
}

export function encodeSums({ histograms, errors, lateness, late, pending, binMs, bins }: Sums): Omit<Measurements, 'cost'> {
  return {
    histograms: Object.fromEntries([...histograms].map(([step, platforms]) => [step, encodePlatforms(platforms)])),
    errors: [...errors.values()],
    lateness: encode(lateness),
    late,
    pending,
    binMs,
    bins: [...bins].map(([i, bin]): Bin => ({ ...bin, atMs: i * binMs, enrollment: encodePlatforms(bin.enrollment) })),
  }
}

function coarsen(sums: Sums, binMs: number): void {
  const coarser: Sums['bins'] = new Map()
  for (const [i, bin] of sums.bins) {
    const into = binOf(coarser, Math.floor((i * sums.binMs) / binMs))
    addCounts(into, bin)
    for (const [platform, histogram] of bin.enrollment) addHistogram(histogramOf(into.enrollment, platform), histogram)
  }
  sums.bins = coarser
  sums.binMs = binMs
}

function addCounts(to: SummedBin, { due, started, completed, failed, errors, connected }: BinCounts): void {
  to.due += due
  to.started += started
  to.completed += completed
  to.failed += failed
  to.errors += errors
  to.connected += connected
}

function comesBefore(a: ErrorCount['first'], b: ErrorCount['first']): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.device < b.device)
}

function addPlatforms(to: ByPlatform, encoded: Bin['enrollment']): void {
  for (const [platform, histogram] of Object.entries(encoded)) addEncoded(histogramOf(to, platform as StepPlatform), histogram)
}

function encodePlatforms(platforms: ByPlatform): Bin['enrollment'] {
  return Object.fromEntries([...platforms].map(([platform, histogram]) => [platform, encode(histogram)]))
}

export const emptyBin = (): SummedBin => ({
  due: 0,
  started: 0,
  completed: 0,
  failed: 0,
  errors: 0,
  connected: 0,
  enrollment: new Map(),
})

const histogramOf = (platforms: ByPlatform, platform: StepPlatform): Histogram => entryOf(platforms, platform, emptyHistogram)
const platformsOf = (histograms: Sums['histograms'], step: Step): ByPlatform => entryOf(histograms, step, () => new Map())
const binOf = (bins: Sums['bins'], i: number): SummedBin => entryOf(bins, i, emptyBin)

/** What is there, or a new one. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
