import { availableParallelism } from 'node:os'
import { descriptorLimit } from '../fleet/descriptors.ts'
import type { DeviceSpec } from '../fleet/device.ts'
import { keysText } from '../fleet/key-pool.ts'
import { shardsOf } from '../fleet/shards.ts'
import { type Load, workersFor } from '../fleet/sizing.ts'
import { type BegunRun, beginFleetRun } from '../fleet/state-folder.ts'
import { type TargetSettings, urlOf } from '../fleet/target/settings.ts'
import { fleetKeyStorage } from './fleet-key-storage.ts'
import type { ExitCode, Io } from './io.ts'
import {
  concurrencyOf,
  devicesOf,
  type Endings,
  endingAll,
  keysOf,
  type LoadCommand,
  type LoadReport,
  legacyOf,
  openOutputs,
  populationText,
  receivePfx,
  runAndReport,
  runFacts,
  sharedOf,
  staysConnected,
  targetOf,
} from './run-parts.ts'
import { openService, type ServiceRequest } from './run-service.ts'

/** A fleet in real time, from its files to its verdict. */
export function runLoad(command: LoadCommand, io: Io): Promise<ExitCode> {
  return endingAll(command, io, (endings) => runToEnd(command, endings, io))
}

async function runToEnd(command: LoadCommand, endings: Endings, io: Io): Promise<LoadReport> {
  const { scenario, options, say, signal } = command
  // An SDK that is not loaded is told before anything runs.
  if (options.otel) (await import('../measure/otel.ts')).loadedTracing()
  const { load, cores, workers } = await sizesOf(command)
  const target = await targetOf(command, io)
  const devices = devicesOf(command, target)
  // Before anything is put in a folder that may be another run's; and left once the lab in it is gone.
  const state = await beginState(command, devices, target, io)
  if (state) endings.push(() => state.close())
  const outputs = await openOutputs(options)
  const service = await openService(serviceRequest(command, target, workers), io)
  endings.push(() => service.close())
  say([populationText(devices), ...service.remarks].join('; '))
  const { keys, marking, close } = await keysOf(command, devices, io)
  endings.push(close)
  const resumed = state?.countDevices() ?? 0
  const keyStorage = await fleetKeyStorage(scenario, io, signal)
  const shards = shardsOf({
    ...sharedOf(command, { service, devices, keys, keyStorage }),
    load,
    shards: Math.max(1, workers),
    concurrency: concurrencyOf(scenario),
    stateFolder: options.state,
    outFolder: options.out,
  })
  const { lab, transport } = service
  const run = { shards, inProcesses: workers > 0, lab, transport, clock: io.clock, cores, signal }
  const told = runFacts(command, { service, workers, resumed, marking })
  return runAndReport(command, run, { service, told, outputs }, io)
}

interface Sizes {
  readonly load: Load
  readonly cores: number
  /** Processes that carry devices beside this one. */
  readonly workers: number
}

async function sizesOf({ scenario, options, tenant }: LoadCommand): Promise<Sizes> {
  const cores = availableParallelism()
  const { target, workers: asked } = scenario
  const load: Load = {
    devices: tenant.devices.size,
    staysConnected: staysConnected(scenario),
    hasLab: target === undefined && !options.inProcess,
    workers: options.inProcess ? 0 : asked,
  }
  return { load, cores, workers: workersFor(load, { cores, descriptors: await descriptorLimit() }) }
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
