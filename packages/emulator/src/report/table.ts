import { fleetPlatforms } from '../scenario/schema.ts'
import { adviceText } from './advice.ts'
import { loadLines } from './load-table.ts'
import { remarkLines } from './remarks.ts'
import type { FailureOfDevice, LatencyMs, PlatformResults, RunResults } from './results.ts'
import type { LoadResults } from './schema.ts'
import { textTable } from './text-table.ts'

const header = ['platform', 'devices', 'roots', 'certificates', 'failed', 'p50 ms', 'p90 ms', 'p99 ms']

/**
 * The end of a run for people: a table by platform, the rate, every failure code with what to do about it, what was measured, and at the
 * very end the verdict with its reasons.
 */
export function renderResults(results: RunResults & LoadResults): string {
  const { outcomes, durationMs, enrollmentsPerSecond } = results
  const summary = `${outcomes.installed} certificates in ${(durationMs / 1000).toFixed(1)} s: ${enrollmentsPerSecond} enrolments per second (latency counts from when a device was due)`
  const interrupted = results.interrupted ? ['interrupted: the figures are of what was done until then'] : []
  return [
    ...textTable([header, ...platformRows(results)]),
    '',
    summary,
    ...remarkLines(results),
    ...interrupted,
    ...failureLines(results),
    ...waitingLines(results),
    ...loadLines(results),
  ].join('\n')
}

function platformRows(results: RunResults): string[][] {
  const rows = fleetPlatforms.flatMap((platform) => {
    const row = results.platforms[platform]
    return row ? [[platform, ...platformCells(row)]] : []
  })
  return rows.length === 1 ? rows : [...rows, ['all', ...platformCells(totalOf(results))]]
}

function totalOf({ devices, outcomes, latencyMs, platforms }: RunResults): Parameters<typeof platformCells>[0] {
  const rootsInstalled = Object.values(platforms).reduce((sum, platform) => sum + platform.rootsInstalled, 0)
  return { devices, rootsInstalled, certificatesInstalled: outcomes.installed, failed: outcomes.failed, latencyMs }
}

function platformCells(
  row: Pick<PlatformResults, 'devices' | 'rootsInstalled' | 'certificatesInstalled' | 'failed' | 'latencyMs'>,
): string[] {
  return [row.devices, row.rootsInstalled, row.certificatesInstalled, row.failed].map(String).concat(latencyCells(row.latencyMs))
}

function latencyCells({ p50, p90, p99 }: LatencyMs): string[] {
  return [p50, p90, p99].map((value) => (value === null ? '-' : String(value)))
}

function failureLines({ failuresByCode, failures }: RunResults): string[] {
  return Object.entries(failuresByCode).flatMap(([code, count]) => {
    const first = failures.find((failure) => failure.code === code) as FailureOfDevice
    return ['', `${code}  ${count} failed`, ...firstLines(first)]
  })
}

function waitingLines({ waitingForUser }: RunResults): string[] {
  const [first] = waitingForUser
  return first ? ['', `${waitingForUser.length} waiting for the user`, ...firstLines(first)] : []
}

function firstLines({ device, subject, code, message }: FailureOfDevice): string[] {
  return [`  first: ${subject === undefined ? device : `${device}, ${subject}`}: ${message}`, `  ${adviceText(code)}`]
}
