import { fleetPlatforms } from '../scenario/schema.ts'
import { adviceText } from './advice.ts'
import { overriddenLines } from './overridden.ts'
import type { FailureOfDevice, InapplicableToDevice, LatencyMs, PlatformResults, RunResults } from './results.ts'

const header = ['platform', 'devices', 'roots', 'certificates', 'failed', 'p50 ms', 'p90 ms', 'p99 ms']

/** The end of a run for people: a table by platform, the rate, and every failure code with what to do about it. */
export function renderResults(results: RunResults): string {
  const { outcomes, durationMs, enrollmentsPerSecond } = results
  const summary = `${outcomes.installed} certificates in ${(durationMs / 1000).toFixed(1)} s: ${enrollmentsPerSecond} enrolments per second (latency is key generation to installation)`
  const pending = outcomes.pending > 0 ? [`${outcomes.pending} still pending: the CA has not decided`] : []
  const interrupted = results.interrupted ? ['interrupted: the figures are of what was done until then'] : []
  return [
    ...renderTable([header, ...platformRows(results)]),
    '',
    summary,
    ...overriddenLines(results),
    ...keyLines(results),
    ...inapplicableLines(results),
    ...pending,
    ...interrupted,
    ...failureLines(results),
    ...waitingLines(results),
  ].join('\n')
}

/** One line a fact. */
function inapplicableLines({ notApplicable }: RunResults): string[] {
  const why = ({ factId, reason }: InapplicableToDevice) => factId ?? reason
  return [...new Set(notApplicable.map(why))].map((fact) => {
    const profiles = notApplicable.filter((profile) => why(profile) === fact)
    const [first] = profiles as [InapplicableToDevice]
    return `${profiles.length} not applicable (${fact}): ${first.reason} First: ${first.device}, "${first.profile}"`
  })
}

/** Nothing of either is no line. */
function keyLines({ keys, keyStorageReasons, ignoredSettings }: RunResults): string[] {
  const held = countsText(keys)
  const ignored = countsText(ignoredSettings)
  return [
    ...(held ? [`keys: ${held}; why: ${countsText(keyStorageReasons)}`] : []),
    ...(ignored ? [`settings without effect on the OS: ${ignored}`] : []),
  ]
}

const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')

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

/** First column to the left, the others to the right. */
function renderTable(rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))
  return rows.map((row) => row.map(pad).join('  ').trimEnd())
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
