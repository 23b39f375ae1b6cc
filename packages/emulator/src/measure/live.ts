import type { LiveStep } from '../report/live.ts'
import type { ErrorResult } from '../report/schema.ts'
import type { MeasurementsTotal } from './add.ts'
import { generatorVerdict } from './generator.ts'
import { decode, type Histogram, percentilesUs, roundedMs } from './histogram.ts'
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
  /** Certificates a second in stretches of one length, the oldest first; without the last, which may still grow. */
  readonly rates: readonly number[]
  /** Of a whole enrolment; undefined before the first. */
  readonly latency: LiveStep | undefined
  /** Of all platforms. */
  readonly steps: readonly LiveStep[]
  readonly errors: readonly ErrorResult[]
  /** By their last takings. */
  readonly processes: readonly LiveProcess[]
  /** By what it shows that the fleet is the limit, of the run so far. */
  readonly warnings: readonly string[]
}

export interface LiveProcess {
  readonly name: string
  /** Of one core. */
  readonly cpuShare: number
  readonly rssBytes: number
  /** Undefined where no timer fired. */
  readonly loopLagP99Ms: number | undefined
}

const rateOverMs = 10_000

/** Reads a total several times a second; what has not changed since the last reading is not worked out again. `cores`: of the machine. */
export function liveNumbers(total: MeasurementsTotal, cores: number, sinceStartMs: () => number): () => LiveNumbers {
  const rate = rateOf(sinceStartMs)
  let version = -1
  let numbers: Omit<LiveNumbers, 'ratePerSecond'>
  return () => {
    if (version !== total.version) numbers = numbersOf(total, cores)
    version = total.version
    return { ...numbers, ratePerSecond: rate(numbers.installed) }
  }
}

function numbersOf({ sums, processes, steps: ofAll }: MeasurementsTotal, cores: number): Omit<LiveNumbers, 'ratePerSecond'> {
  const rows = steps.flatMap((step) => stepNumbers(step, ofAll.get(step)))
  const latency = rows.find(({ step }) => step === 'enrollment')
  const { started, completed, failed, connected } = countsOf(sums)
  const { pending, late } = sums
  return {
    ...{ started, completed, failed, pending, late, connected, active: started - completed, installed: latency?.count ?? 0 },
    rates: ratesOf(sums),
    latency,
    steps: rows,
    errors: errorRows(sums),
    processes: [...processes.values()].map(({ name, last }) => processNumbers(name, last)),
    warnings: generatorVerdict({ processes: [...processes.values()], late, started: sums.lateness.total }, cores).why,
  }
}

function stepNumbers(step: Step, histogram: Histogram | undefined): LiveStep[] {
  if (!histogram) return []
  const [p50, p90, p99, p999] = percentilesUs(histogram, [50, 90, 99, 99.9]).map(roundedMs) as [number, number, number, number]
  return [{ step, count: histogram.total, p50Ms: p50, p90Ms: p90, p99Ms: p99, p999Ms: p999, sumMs: histogram.sumUs / 1000 }]
}

function ratesOf({ bins, binMs }: Readonly<Sums>): number[] {
  const length = Math.max(0, ...bins.keys())
  const enrolledIn = (i: number) => [...(bins.get(i)?.enrollment.values() ?? [])].reduce((sum, { total }) => sum + total, 0)
  return Array.from({ length }, (_, i) => (enrolledIn(i) / binMs) * 1000)
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
  const [p99] = loopLag.length > 0 ? percentilesUs(decode(loopLag), [99]) : []
  return { name, cpuShare: shareOf(cpuMs, wallMs), rssBytes, loopLagP99Ms: p99 === undefined ? undefined : roundedMs(p99) }
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
