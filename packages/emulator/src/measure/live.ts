import type { ErrorResult } from '../report/schema.ts'
import type { MeasurementsTotal } from './add.ts'
import { decode, emptyHistogram, type Histogram, percentilesUs, roundedMs } from './histogram.ts'
import { errorRows, shareOf } from './numbers.ts'
import type { BinCounts, Sums } from './sums.ts'
import { type ProcessCost, type Step, steps } from './types.ts'

/** What a run that goes on shows of what was measured so far. */
export interface LiveNumbers {
  readonly started: number
  /** Devices through with their first pass. */
  readonly completed: number
  /** Of those, with something that is not there. */
  readonly failed: number
  /** Begun, and not through with their first pass. */
  readonly active: number
  /** Devices with an open push connection. */
  readonly connected: number
  /** Certificates. */
  readonly installed: number
  /** Requests that the CA has not decided. */
  readonly pending: number
  readonly late: number
  /** Certificates, over the last 10 s or what there is of the run. */
  readonly ratePerSecond: number
  /** Of a whole enrolment; null before the first. */
  readonly latency: { readonly p50Ms: number; readonly p90Ms: number; readonly p99Ms: number } | null
  /** Of all platforms. */
  readonly steps: readonly { readonly step: Step; readonly count: number; readonly p50Ms: number; readonly p99Ms: number }[]
  readonly errors: readonly ErrorResult[]
  /** By their last takings. */
  readonly processes: readonly LiveProcess[]
}

export interface LiveProcess {
  readonly name: string
  /** Of one core. */
  readonly cpuShare: number
  readonly rssBytes: number
  readonly loopLagP99Ms: number
}

const rateOverMs = 10_000

/** Reads a total several times a second; what has not changed since the last reading is not worked out again. */
export function liveNumbers(total: MeasurementsTotal, sinceStartMs: () => number): () => LiveNumbers {
  const rate = rateOf(sinceStartMs)
  let version = -1
  let numbers: Omit<LiveNumbers, 'ratePerSecond'>
  return () => {
    if (version !== total.version) numbers = numbersOf(total)
    version = total.version
    return { ...numbers, ratePerSecond: rate(numbers.installed) }
  }
}

function numbersOf({ sums, processes, steps: ofAll }: MeasurementsTotal): Omit<LiveNumbers, 'ratePerSecond'> {
  const enrollment = ofAll.get('enrollment') ?? emptyHistogram()
  const [p50, p90, p99] = percentilesUs(enrollment, [50, 90, 99]).map(roundedMs) as [number, number, number]
  const { started, completed, failed, connected } = countsOf(sums)
  const { pending, late } = sums
  return {
    ...{ started, completed, failed, pending, late, connected, active: started - completed, installed: enrollment.total },
    latency: enrollment.total > 0 ? { p50Ms: p50, p90Ms: p90, p99Ms: p99 } : null,
    steps: steps.flatMap((step) => stepNumbers(step, ofAll.get(step))),
    errors: errorRows(sums),
    processes: [...processes.values()].map(({ name, last }) => processNumbers(name, last)),
  }
}

function stepNumbers(step: Step, histogram: Histogram | undefined): LiveNumbers['steps'] {
  if (!histogram) return []
  const [p50, p99] = percentilesUs(histogram, [50, 99]).map(roundedMs) as [number, number]
  return [{ step, count: histogram.total, p50Ms: p50, p99Ms: p99 }]
}

function countsOf({ bins }: Readonly<Sums>): Omit<BinCounts, 'due' | 'errors'> {
  const counts = { started: 0, completed: 0, failed: 0, connected: 0 }
  for (const bin of bins.values()) {
    counts.started += bin.started
    counts.completed += bin.completed
    counts.failed += bin.failed
    counts.connected += bin.connected
  }
  return counts
}

function processNumbers(name: string, { cpuMs, wallMs, rssBytes, loopLag }: ProcessCost): LiveProcess {
  const [p99] = percentilesUs(decode(loopLag), [99]) as [number]
  return { name, cpuShare: shareOf(cpuMs, wallMs), rssBytes, loopLagP99Ms: roundedMs(p99) }
}

/** From readings of a count to what it grew by each second. */
function rateOf(sinceStartMs: () => number): (count: number) => number {
  const readings = [{ atMs: 0, count: 0 }]
  return (count) => {
    const atMs = sinceStartMs()
    readings.push({ atMs, count })
    while (readings.length > 2 && (readings[1] as { atMs: number }).atMs <= atMs - rateOverMs) readings.shift()
    const [first] = readings as [{ atMs: number; count: number }]
    return atMs > first.atMs ? ((count - first.count) / (atMs - first.atMs)) * 1000 : 0
  }
}
