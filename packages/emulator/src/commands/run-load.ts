import { availableParallelism } from 'node:os'
import { arrivalText } from '../fleet/arrival.ts'
import { descriptorLimit } from '../fleet/descriptors.ts'
import type { DeviceSpec } from '../fleet/device.ts'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import { keysText, type PreparedKeys, prepareKeys } from '../fleet/key-pool.ts'
import type { LoadOutcome, LoadRun } from '../fleet/load-run.ts'
import { openOutput, type RunOutput } from '../fleet/output.ts'
import type { ShardOrders } from '../fleet/shard.ts'
import { shardsOf } from '../fleet/shards.ts'
import { type Load, workersFor } from '../fleet/sizing.ts'
import { type BegunRun, beginFleetRun } from '../fleet/state-folder.ts'
import { readTarget } from '../fleet/target/read-target.ts'
import { type TargetSettings, urlOf } from '../fleet/target/settings.ts'
import { renderHtml } from '../report/html/index.ts'
import { loadJunit } from '../report/load-junit.ts'
import { wholeResults } from '../report/load-results.ts'
import { printable } from '../report/printable.ts'
import type { RunResults } from '../report/results.ts'
import type { LoadResults } from '../report/schema.ts'
import { renderResults } from '../report/table.ts'
import type { ScenarioDocument, Seed } from '../scenario/schema.ts'
import type { Import, Tenant } from '../tenant/index.ts'
import { fleetKeyStorage } from './fleet-key-storage.ts'
import type { ExitCode, Io } from './io.ts'
import { openService, pfxReceivers, type Service, type ServiceRequest } from './run-service.ts'
import { type WatchOptions, watchLoad } from './run-watch.ts'

export interface LoadOptions extends WatchOptions {
  readonly out?: string
  readonly report?: string
  readonly state?: string
  readonly inProcess?: true
  readonly json?: true
  readonly keyPool?: string
}

export interface LoadCommand {
  /** With the options that stand in its stead. */
  readonly scenario: ScenarioDocument
  readonly options: LoadOptions
  readonly seed: Seed
  readonly imported: Import
  readonly tenant: Tenant
  readonly signal: AbortSignal
  say(line: string): void
}

/** What has to be ended once the run is over, the last first. */
type Endings = (() => Promise<void>)[]

const defaultConcurrency = 32
/** Who begins by plan waits for nobody. */
const noConcurrency = 1_000_000
const defaultCheckInMs = 8 * 3_600_000

/** A fleet in real time, from its files to its verdict. */
export async function runLoad(command: LoadCommand, io: Io): Promise<ExitCode> {
  const endings: Endings = []
  try {
    const results = await runToEnd(command, endings, io)
    io.out(command.options.json ? `${JSON.stringify(results)}\n` : `\n${printable(renderResults(results))}\n`)
    return exitCodes[results.verdict]
  } finally {
    for (const end of endings.reverse()) await end()
  }
}

const exitCodes = { passed: 0, failed: 1, interrupted: 130 } as const

async function runToEnd(command: LoadCommand, endings: Endings, io: Io): Promise<RunResults & LoadResults> {
  const { scenario, options, seed, say } = command
  // An SDK that is not loaded is told before anything runs.
  if (options.otel) (await import('../measure/otel.ts')).loadedTracing()
  const sizes = await sizesOf(command)
  const { cores, workers } = sizes
  const target = await targetOf(command, io)
  const devices = devicesOf(command, target)
  // Before anything is put in a folder that may be another run's; and left once the lab in it is gone.
  const state = await beginState(command, devices, target, io)
  if (state) endings.push(() => state.close())
  const outputs = await openOutputs(options)
  const service = await openService(serviceRequest(command, target, workers), io)
  endings.push(() => service.close())
  say([populationText(devices), ...service.remarks].join('; '))
  const prepared = await keysOf(command, devices, io)
  endings.push(() => prepared.close())
  const resumed = state?.countDevices() ?? 0
  for (const output of outputs) if (service.root) await output.begin(service.root)
  const shards = await shardsFor(command, { ...sizes, service, devices, keys: prepared.keys }, io)
  const run: Omit<LoadRun, 'onDevice' | 'onCrash' | 'onWarning'> = {
    shards,
    inProcesses: workers > 0,
    lab: service.lab,
    transport: service.transport,
    clock: io.clock,
    cores,
    signal: command.signal,
  }
  const { facts: overrides, thresholds } = scenario
  const told = runFacts(command, { service, workers, resumed, marking: prepared.marking })
  const resultsOf = (outcome: LoadOutcome) => wholeResults({ seed, run: told, outcome, overrides, thresholds })
  const results = await watchLoad(run, { options, scenario, seed, target: service.kind, resultsOf }, io)
  const files = { 'report.html': renderHtml(results), 'junit.xml': loadJunit(results) }
  for (const output of outputs) await output.finish(results, files)
  return results
}

async function openOutputs({ out, report }: LoadOptions): Promise<readonly RunOutput[]> {
  const folders = [...(out === undefined ? [] : [['--out', out]]), ...(report === undefined ? [] : [['--report', report]])]
  return Promise.all(folders.map(([option, folder]) => openOutput(folder as string, option as string)))
}

interface Sizes {
  readonly load: Load
  readonly cores: number
  /** Processes that carry devices beside this one. */
  readonly workers: number
}

async function sizesOf({ scenario, options, tenant }: LoadCommand): Promise<Sizes> {
  const cores = availableParallelism()
  const { duration, target, workers: asked } = scenario
  const load: Load = {
    devices: tenant.devices.size,
    staysConnected: duration !== undefined && !(target && 'scep' in target),
    hasLab: target === undefined && !options.inProcess,
    workers: options.inProcess ? 0 : asked,
  }
  return { load, cores, workers: workersFor(load, { cores, descriptors: await descriptorLimit() }) }
}

async function targetOf({ scenario: { target, keys = 'fresh' } }: LoadCommand, io: Io): Promise<TargetSettings | undefined> {
  return target && readTarget(target, keys !== 'fresh', io)
}

function devicesOf({ imported, tenant }: LoadCommand, target: TargetSettings | undefined): readonly DeviceSpec[] {
  const receivesPfx = pfxReceivers({ target, imported, tenant })
  return [...tenant.devices.values()].map((device) => ({ ...deviceSpecOf(device), receivesPfx: receivesPfx(device.id) }))
}

function serviceRequest(command: LoadCommand, target: TargetSettings | undefined, workers: number): ServiceRequest {
  const { scenario, options, imported, tenant } = command
  const { lab, facts: overrides } = scenario
  const { inProcess, state: stateFolder } = options
  return {
    target,
    imported,
    tenant,
    lab: { ...legacyOf(scenario), ...lab, overrides, stateFolder },
    place: inProcess ? 'calls' : workers > 0 ? 'process' : 'sockets',
  }
}

const legacyOf = (scenario: ScenarioDocument) => ({
  legacyDes: scenario['legacy-des'] ?? false,
  legacySha1: scenario['legacy-sha1'] ?? false,
})

async function beginState(
  { scenario, options, seed, imported }: LoadCommand,
  devices: readonly DeviceSpec[],
  target: TargetSettings | undefined,
  io: Io,
): Promise<BegunRun | undefined> {
  if (options.state === undefined) return undefined
  const keys = keysText({ mode: scenario.keys ?? 'fresh', imported, receivePfx: receivePfx(devices) })
  return beginFleetRun(options.state, {
    seed,
    devices,
    keys,
    target: target ? urlOf(target) : 'the embedded lab',
    startedAt: io.clock.now(),
  })
}

const receivePfx = (devices: readonly DeviceSpec[]): boolean => devices.some(({ receivesPfx }) => receivesPfx)

function keysOf({ scenario, options, seed, imported, signal }: LoadCommand, devices: readonly DeviceSpec[], io: Io): Promise<PreparedKeys> {
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

interface Prepared extends Sizes {
  readonly service: Service
  readonly devices: readonly DeviceSpec[]
  readonly keys: PreparedKeys['keys']
}

async function shardsFor(command: LoadCommand, prepared: Prepared, io: Io): Promise<readonly ShardOrders[]> {
  const { scenario, options, seed, imported, tenant, signal } = command
  const { service, devices, keys, load, workers } = prepared
  const { arrival, faults, timeout: timeoutMs, facts: overrides } = scenario
  return shardsOf({
    devices,
    keys,
    load,
    seed,
    arrival,
    faults,
    timeoutMs,
    overrides,
    shards: Math.max(1, workers),
    url: service.url,
    target: service.settings,
    policies: service.kind === 'scep' ? { imported, tenant } : undefined,
    concurrency: scenario.concurrency ?? (arrival ? noConcurrency : defaultConcurrency),
    stay: stayOf(scenario),
    keyStorage: await fleetKeyStorage(scenario, io, signal),
    ...legacyOf(scenario),
    stateFolder: options.state,
    outFolder: options.out,
    hasSpans: options.otel === true,
  })
}

function stayOf({
  duration: durationMs,
  checkIn: checkInMs = defaultCheckInMs,
  think: thinkMs = 0,
}: ScenarioDocument): ShardOrders['stay'] {
  return durationMs === undefined ? undefined : { durationMs, checkInMs, thinkMs }
}

interface Told {
  readonly service: Service
  readonly workers: number
  readonly resumed: number
  readonly marking: string | undefined
}

function runFacts({ scenario, options }: LoadCommand, { service, workers, resumed, marking }: Told): LoadResults['run'] {
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

function populationText(devices: readonly DeviceSpec[]): string {
  const counts = new Map<string, number>()
  for (const { platform } of devices) counts.set(platform, (counts.get(platform) ?? 0) + 1)
  return `${devices.length} devices (${[...counts].map(([platform, count]) => `${count} ${platform}`).join(', ')})`
}
