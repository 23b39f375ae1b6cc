import { arrivalText } from '../fleet/arrival.ts'
import type { DeviceSpec } from '../fleet/device.ts'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import { type PreparedKeys, prepareKeys } from '../fleet/key-pool.ts'
import type { FleetKeyStorage } from '../fleet/key-storage.ts'
import type { LoadOutcome, LoadRun } from '../fleet/load-run.ts'
import { openOutput, type RunOutput } from '../fleet/output.ts'
import type { ShardOrders } from '../fleet/shard.ts'
import type { Sharding } from '../fleet/shards.ts'
import { readTarget } from '../fleet/target/read-target.ts'
import type { TargetSettings } from '../fleet/target/settings.ts'
import { renderHtml } from '../report/html/index.ts'
import { loadJunit } from '../report/load-junit.ts'
import { wholeResults } from '../report/load-results.ts'
import { printable } from '../report/printable.ts'
import type { RunResults } from '../report/results.ts'
import type { LoadResults } from '../report/schema.ts'
import { renderResults } from '../report/table.ts'
import { InputError } from '../scenario/input-error.ts'
import { populationOf } from '../scenario/population.ts'
import type { ScenarioDocument, Seed } from '../scenario/schema.ts'
import type { Import, Tenant } from '../tenant/index.ts'
import { refuseFactsOfOthers } from './fact-option.ts'
import type { ExitCode, Io } from './io.ts'
import { pfxReceivers, type Service } from './run-service.ts'
import { type WatchOptions, watchLoad } from './run-watch.ts'
import { readTenant } from './tenant-input.ts'

/** What has to be ended once the run is over, the last first. */
export type Endings = (() => Promise<void>)[]

const exitCodes = { passed: 0, failed: 1, interrupted: 130 } as const

export interface LoadOptions extends WatchOptions {
  readonly out?: string
  readonly report?: string
  readonly state?: string
  readonly inProcess?: true
  readonly json?: true
  readonly keyPool?: string
  readonly shardDevices?: number
  readonly labHost?: string
}

export interface LoadCommand {
  /** The scenario file. */
  readonly file?: string | undefined
  /** With the options that stand in its stead. */
  readonly scenario: ScenarioDocument
  readonly options: LoadOptions
  readonly seed: Seed
  readonly imported: Import
  readonly tenant: Tenant
  readonly signal: AbortSignal
  say(line: string): void
}

const defaultConcurrency = 32
/** Who begins by plan waits for nobody. */
const noConcurrency = 1_000_000
const defaultCheckInMs = 8 * 3_600_000

export async function openOutputs({ out, report }: LoadOptions): Promise<readonly RunOutput[]> {
  const folders = [...(out === undefined ? [] : [['--out', out]]), ...(report === undefined ? [] : [['--report', report]])]
  return Promise.all(folders.map(([option, folder]) => openOutput(folder as string, option as string)))
}

export async function targetOf({ scenario: { target, keys = 'fresh' } }: LoadCommand, io: Io): Promise<TargetSettings | undefined> {
  return target && readTarget(target, keys !== 'fresh', io)
}

export function devicesOf({ imported, tenant }: LoadCommand, target: TargetSettings | undefined): readonly DeviceSpec[] {
  const receivesPfx = pfxReceivers({ target, imported, tenant })
  return [...tenant.devices.values()].map((device) => ({ ...deviceSpecOf(device), receivesPfx: receivesPfx(device.id) }))
}

export const legacyOf = (scenario: ScenarioDocument) => ({
  legacyDes: scenario['legacy-des'] ?? false,
  legacySha1: scenario['legacy-sha1'] ?? false,
})

export const receivePfx = (devices: readonly DeviceSpec[]): boolean => devices.some(({ receivesPfx }) => receivesPfx)

export function keysOf(
  { scenario, options, seed, imported, signal }: LoadCommand,
  devices: readonly DeviceSpec[],
  io: Io,
): Promise<PreparedKeys> {
  return prepareKeys({
    mode: scenario.keys ?? 'fresh',
    seed,
    devices: devices.length,
    imported,
    receivePfx: receivePfx(devices),
    folder: options.keyPool,
    signal,
    onProgress({ primesMade, primes }) {
      if (io.errIsTerminal) io.err(`\r\x1b[2K${primesMade}/${primes} primes${primesMade === primes ? '\n' : ''}`)
    },
  })
}

function stayOf({
  duration: durationMs,
  checkIn: checkInMs = defaultCheckInMs,
  think: thinkMs = 0,
}: ScenarioDocument): ShardOrders['stay'] {
  return durationMs === undefined ? undefined : { durationMs, checkInMs, thinkMs }
}

export interface Told {
  readonly service: Service
  readonly workers: number
  readonly resumed: number
  readonly marking: string | undefined
}

export function runFacts({ scenario, options }: LoadCommand, { service, workers, resumed, marking }: Told): LoadResults['run'] {
  const { arrival, keys = 'fresh', concurrency } = scenario
  return {
    target: service.kind,
    url: options.inProcess ? 'in process' : service.url,
    keys,
    marking: marking ?? null,
    model: arrival ? 'open' : 'closed',
    arrival: arrival ? arrivalText(arrival) : 'the next as one ends',
    concurrency: concurrency ?? (arrival ? null : defaultConcurrency),
    workers,
    resumed,
    node: process.version,
  }
}

export function populationText(devices: readonly DeviceSpec[]): string {
  const counts = new Map<string, number>()
  for (const { platform } of devices) counts.set(platform, (counts.get(platform) ?? 0) + 1)
  return `${devices.length} devices (${[...counts].map(([platform, count]) => `${count} ${platform}`).join(', ')})`
}

export type LoadReport = RunResults & LoadResults

/** A run from what has to be made ready to its printed results; whatever `work` has put among the endings ends after it. */
export async function endingAll(command: LoadCommand, io: Io, work: (endings: Endings) => Promise<LoadReport>): Promise<ExitCode> {
  const endings: Endings = []
  try {
    const results = await work(endings)
    io.out(command.options.json ? `${JSON.stringify(results)}\n` : `\n${printable(renderResults(results))}\n`)
    return exitCodes[results.verdict]
  } finally {
    for (const end of endings.reverse()) await end()
  }
}

export interface Reporting {
  readonly service: Service
  readonly told: LoadResults['run']
  readonly outputs: readonly RunOutput[]
}

/** Runs it, shown while it runs, and writes what came of it. */
export async function runAndReport(
  { scenario, options, seed }: LoadCommand,
  run: Omit<LoadRun, 'onDevice' | 'onCrash' | 'onWarning'>,
  { service, told, outputs }: Reporting,
  io: Io,
): Promise<LoadReport> {
  for (const output of outputs) if (service.root) await output.begin(service.root)
  const { facts: overrides, thresholds } = scenario
  const resultsOf = (outcome: LoadOutcome) => wholeResults({ seed, run: told, outcome, overrides, thresholds })
  const results = await watchLoad(run, { options, scenario, seed, target: service.kind, resultsOf }, io)
  const files = { 'report.html': renderHtml(results), 'junit.xml': loadJunit(results) }
  for (const output of outputs) await output.finish(results, files)
  return results
}

export interface Prepared {
  readonly service: Service
  readonly devices: readonly DeviceSpec[]
  readonly keys: PreparedKeys['keys']
  readonly keyStorage: FleetKeyStorage | undefined
}

/** What all shards of the run have in common, wherever they run. */
export function sharedOf(
  { scenario, options, seed, imported, tenant }: LoadCommand,
  { service, devices, keys, keyStorage }: Prepared,
): Omit<Sharding, 'shards' | 'load' | 'concurrency'> {
  const { arrival, faults, timeout: timeoutMs, facts: overrides } = scenario
  return {
    devices,
    keys,
    seed,
    arrival,
    faults,
    timeoutMs,
    overrides,
    url: service.url,
    target: service.settings,
    policies: service.kind === 'scep' ? { imported, tenant } : undefined,
    stay: stayOf(scenario),
    keyStorage,
    ...legacyOf(scenario),
    hasSpans: options.otel === true,
  }
}

/** Devices of one process at work at the same time. */
export const concurrencyOf = ({ concurrency, arrival }: ScenarioDocument): number =>
  concurrency ?? (arrival ? noConcurrency : defaultConcurrency)

/** A push connection each. */
export const staysConnected = ({ duration, target }: ScenarioDocument): boolean => duration !== undefined && !(target && 'scep' in target)

export const defaultDevices = 200

/** Profiles and devices of a scenario. What cannot be run: `InputError`. */
export async function populationIn(scenario: ScenarioDocument): Promise<{ imported: Import; tenant: Tenant }> {
  const population = await readTenant(scenario, populationOf(scenario.devices ?? defaultDevices))
  const { file, devices } = population.tenant
  if (devices.size === 0) throw new InputError(`${file}: names no device, so there is nothing to run`)
  refuseFactsOfOthers(scenario.facts, devices.values())
  return population
}
