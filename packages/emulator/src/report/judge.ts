import type { FleetPlatform } from '../scenario/devices.ts'
import { type LatencyStat, type Metric, type PlainMetric, parseThreshold, type Threshold } from '../scenario/threshold.ts'
import type { RunResults } from './results.ts'
import type { Latency, LoadResults, ThresholdResult } from './schema.ts'

/** What thresholds are judged by. */
export interface Judged {
  readonly run: Pick<
    RunResults,
    'devices' | 'durationMs' | 'outcomes' | 'enrollmentsPerSecond' | 'platforms' | 'failures' | 'waitingForUser'
  >
  readonly load: Pick<LoadResults, 'steps' | 'errors' | 'arrivals' | 'generator' | 'invariants' | 'crashes' | 'devicesLost'>
}

const noViolation = 'invariants == 0'
/** What has to hold where nobody says otherwise. */
const usual = ['failed.count == 0', 'pending.count == 0', 'waiting.count == 0', 'lost.count == 0', noViolation]

/** The thresholds of a run: the usual ones, or those given with `invariants == 0`, unless they name the invariants themselves. */
export function thresholdsOf(given: readonly Threshold[] | undefined): readonly Threshold[] {
  if (given === undefined) return usual.map(threshold)
  const isNamed = given.some(({ metric }) => metric.of === 'plain' && metric.name === 'invariants')
  return isNamed ? given : [...given, threshold(noViolation)]
}

function threshold(text: string): Threshold {
  const read = parseThreshold(text)
  if ('problem' in read) throw new Error(`${text}: ${read.problem}`)
  return read
}

/** One result a threshold, in their order. Where nothing was measured none holds. */
export function judge(thresholds: readonly Threshold[], judged: Judged): ThresholdResult[] {
  return thresholds.map((threshold) => {
    const measured = measuredBy(threshold, judged)
    const value = measured === undefined ? null : rounded(measured / threshold.unit)
    return { threshold: threshold.text.trim(), value, passed: value !== null && threshold.holds(value) }
  })
}

/** 7 of 100 are 7 %, though 0.07 / 0.01 is more. */
const rounded = (value: number): number => Number(value.toPrecision(12))

function measuredBy({ metric, platform }: Threshold, judged: Judged): number | undefined {
  return metric.of === 'plain' ? plainValue(metric.name, platform, judged) : otherValue(metric, platform, judged)
}

function otherValue(metric: Exclude<Metric, { of: 'plain' }>, platform: FleetPlatform | undefined, { load }: Judged): number | undefined {
  switch (metric.of) {
    case 'step': {
      const found = load.steps.find((result) => result.step === metric.step && result.platform === (platform ?? 'all'))
      return found && found.count > 0 ? statOf(found, metric.stat) : undefined
    }
    case 'generator-lag':
      return worst(
        load.generator.processes.flatMap(({ name, loopLag }) => (loopLag && name !== 'lab' ? [statOf(loopLag, metric.stat)] : [])),
      )
    case 'error':
      return sum(load.errors.filter(({ code }) => code === metric.code).map(({ count }) => count))
  }
}

const statOf = (latency: Latency, stat: LatencyStat): number => latency[`${stat}Ms`]
const worst = (values: readonly number[]): number | undefined => (values.length > 0 ? Math.max(...values) : undefined)
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0)
const share = (part: number, whole: number): number | undefined => (whole > 0 ? part / whole : undefined)

function plainValue(name: PlainMetric, platform: FleetPlatform | undefined, { run, load }: Judged): number | undefined {
  const of = platform && run.platforms[platform]
  if (platform && !of) return undefined
  const ofPlatform = <T extends { readonly platform: FleetPlatform }>(told: readonly T[]) =>
    platform ? told.filter((one) => one.platform === platform) : told
  switch (name) {
    case 'failed.count':
      return of ? of.failed : run.outcomes.failed
    case 'failed.rate':
      return share(new Set(ofPlatform(run.failures).map(({ device }) => device)).size, of ? of.devices : run.devices)
    case 'pending.count':
      return of ? of.pending : run.outcomes.pending
    case 'waiting.count':
      return platform ? ofPlatform(run.waitingForUser).length : run.outcomes.waitingForUser
    case 'installed.count':
      return of ? of.certificatesInstalled : run.outcomes.installed
    case 'errors.count':
      return sum(load.errors.map(({ count }) => count))
    case 'late.count':
      return load.arrivals.late
    case 'late.rate':
      return share(load.arrivals.late, load.arrivals.started)
    case 'lost.count':
      return load.devicesLost
    case 'crashes.count':
      return load.crashes.length
    case 'invariants':
      return sum(load.invariants.map(({ violations }) => violations))
    case 'rate':
      return run.enrollmentsPerSecond
    case 'duration':
      return run.durationMs
  }
}
