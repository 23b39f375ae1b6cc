import type { BinResult, ErrorResult, Latency, LoadResults, ProcessResult, StepResult } from '../report/schema.ts'
import { type FleetPlatform, fleetPlatforms } from '../scenario/schema.ts'
import type { MeasurementsTotal } from './add.ts'
import { generatorVerdict, type ProcessTotal } from './generator.ts'
import { type Histogram, latencyOf, sumOf } from './histogram.ts'
import { emptyBin, type SummedBin, type Sums } from './sums.ts'
import { type ErrorCount, type Step, type StepPlatform, steps } from './types.ts'

export type LoadNumbers = Pick<LoadResults, 'steps' | 'errors' | 'arrivals' | 'timeline' | 'generator'>

/** What a report holds of everything that was measured. `cores`: that the machine has. */
export function loadNumbers(total: MeasurementsTotal, cores: number): LoadNumbers {
  const { sums } = total
  const costs = [...total.processes.values()]
  const { lateness, late } = sums
  return {
    steps: steps.flatMap((step) => stepRows(step, total)),
    errors: errorRows(sums),
    arrivals: { started: lateness.total, late, lateness: latencyOf(lateness) },
    timeline: { binMs: sums.binMs, bins: binRows(sums) },
    generator: {
      cores,
      processes: costs.map(processRow),
      ...generatorVerdict({ processes: costs, late, started: lateness.total }, cores),
    },
  }
}

/** A row a platform, and one of all. */
function stepRows(step: Step, { sums, steps: all }: MeasurementsTotal): StepResult[] {
  const platforms = sums.histograms.get(step)
  const ofAll = all.get(step)
  if (!platforms || !ofAll) return []
  const row = (platform: StepPlatform, latency: Latency | null) => (latency ? [{ step, platform, ...latency }] : [])
  const rows = fleetPlatforms.flatMap((platform) => row(platform, latencyAt(platforms, platform)))
  return [...rows, ...row('all', latencyOf(ofAll))]
}

/** The most frequent first. */
export function errorRows({ errors }: Readonly<Sums>): ErrorResult[] {
  return [...errors.values()].sort(byFrequency).map(({ code, step, answer = null, count, first: { device, platform, message } }) => ({
    ...{ code, step, answer, count },
    first: { device, platform, message },
  }))
}

function byFrequency(a: ErrorCount, b: ErrorCount): number {
  const nameOf = ({ code, step, answer }: ErrorCount) => `${code} ${step} ${answer ?? ''}`
  return b.count - a.count || (nameOf(a) < nameOf(b) ? -1 : 1)
}

/** From the start of the run to the last bin in which something happened; those in which nothing did are there too. */
function binRows({ bins, binMs }: Readonly<Sums>): BinResult[] {
  const length = Math.max(-1, ...bins.keys()) + 1
  let connected = 0
  return Array.from({ length }, (_, i) => {
    const bin = bins.get(i) ?? emptyBin()
    connected += bin.connected
    return { ...binRow(bin), atMs: i * binMs, connected: Math.max(0, connected) }
  })
}

function binRow({ due, started, completed, failed, errors, enrollment }: SummedBin): Omit<BinResult, 'atMs' | 'connected'> {
  const all = sumOf(enrollment.values())
  const platforms = fleetPlatforms.flatMap((platform): [FleetPlatform, Latency][] => {
    const latency = latencyAt(enrollment, platform)
    return latency ? [[platform, latency]] : []
  })
  const counts = { due, started, completed, failed, enrolled: all.total, errors }
  return { ...counts, latency: latencyOf(all), platforms: Object.fromEntries(platforms) }
}

function latencyAt(platforms: ReadonlyMap<StepPlatform, Histogram>, platform: FleetPlatform): Latency | null {
  const histogram = platforms.get(platform)
  return histogram ? latencyOf(histogram) : null
}

function processRow({ name, cpuMs, wallMs, rssBytes, loopLag }: ProcessTotal): ProcessResult {
  return { name, cpuMs, cpuShare: shareOf(cpuMs, wallMs), rssBytes, loopLag: latencyOf(loopLag) }
}

/** To three decimals. */
export const shareOf = (cpuMs: number, wallMs: number): number => (wallMs > 0 ? Math.round((cpuMs / wallMs) * 1000) / 1000 : 0)
