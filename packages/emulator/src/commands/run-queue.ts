import { availableParallelism } from 'node:os'
import { descriptorLimit } from '../fleet/descriptors.ts'
import { keyFilesOf } from '../fleet/queue/key-files.ts'
import { isBoundToTime, runManifestOf } from '../fleet/queue/manifest.ts'
import type { RunManifest, RunSubmission } from '../fleet/queue/shard-queue.ts'
import type { ShardOrders } from '../fleet/shard.ts'
import { shardsOf } from '../fleet/shards.ts'
import { type Load, workersFor } from '../fleet/sizing.ts'
import { InputError } from '../scenario/input-error.ts'
import { fleetKeyStorage } from './fleet-key-storage.ts'
import type { ExitCode, Io } from './io.ts'
import { readingInput } from './options.ts'
import { openQueue, type QueueOptions, queueSettings, queueText } from './queue-options.ts'
import { followToEnd } from './run-follow.ts'
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
  type Prepared,
  populationText,
  sharedOf,
  staysConnected,
  targetOf,
} from './run-parts.ts'
import { openService, type Service, type ServiceRequest } from './run-service.ts'
import { keepLabAgain, type LabAgain, takeLabState } from './run-state.ts'

export const maxShardDevices = 10_000
const usualShardDevices = 250
const shardsPerWorker = 2

/** A fleet that workers on other machines carry, from its files to its verdict. */
export function runOverQueue(command: LoadCommand, where: QueueOptions, io: Io): Promise<ExitCode> {
  return endingAll(command, io, (endings) => submitToEnd(command, where, endings, io))
}

async function submitToEnd(command: LoadCommand, where: QueueOptions, endings: Endings, io: Io): Promise<LoadReport> {
  const { scenario, options, say, signal } = command
  const shards = shardsFor(command)
  refuseOnOneMachine(command)
  const queue = await openQueue(await queueSettings(where, io, { makesKey: true }), io)
  endings.push(() => queue.close())
  const target = await targetOf(command, io)
  const devices = devicesOf(command, target)
  const load = await loadOf(command)
  if (options.state !== undefined && !target) await takeLabState(options.state)
  const outputs = await openOutputs(options)
  const service = await readingInput(() => openService(serviceRequest(command, { target, host: options.labHost }), io))
  endings.push(() => service.close())
  say([populationText(devices), ...service.remarks].join('; '))
  const { keys, marking, close } = await keysOf(command, devices, io)
  endings.push(close)
  const keyStorage = await fleetKeyStorage(scenario, io, signal)
  const orders = ordersOf(command, { service, devices, keys, keyStorage }, shards, load)
  const manifest = runManifestOf({ ...command, devices, target, shards: orders.length, submittedAt: io.clock.now() })
  signal.throwIfAborted()
  await keepLab(options.state, manifest.id, service, options.labHost)
  await queue.submit({ ...submissionOf(manifest, orders), shared: { ...sharedIn(orders), keyFiles: await keyFilesOf(keys) } })
  say(`run ${manifest.id} submitted: ${orders.length} shards; on each machine: certfleet worker ${queueText(where)}`)
  return followToEnd(command, { queue, where, manifest, orders, service, outputs, marking }, io)
}

/** How many, before anything is made ready. By plan or for a while: one for each worker process. Else as many as keep them small. */
function shardsFor({ scenario, options, tenant }: LoadCommand): number {
  const { workers = 0 } = scenario
  const devices = tenant.devices.size
  if (!isBoundToTime(scenario)) {
    const bySize = Math.ceil(devices / (options.shardDevices ?? usualShardDevices))
    return Math.min(devices, Math.max(bySize, shardsPerWorker * workers))
  }
  if (workers === 0)
    throw new InputError(
      '--workers: with arrival or duration expected the number of worker processes on all machines together, from 1: each carries its part from the start',
    )
  if (options.shardDevices !== undefined)
    throw new InputError('--shard-devices: with arrival or duration each of --workers carries one shard; leave it out')
  return Math.min(devices, workers)
}

/** What is of this machine alone means nothing to workers on others. */
function refuseOnOneMachine({ scenario, options }: LoadCommand): void {
  const refuse = (isGiven: boolean, option: string, why: string) => {
    if (isGiven) throw new InputError(`${option}: not with --queue: ${why}`)
  }
  refuse(options.inProcess === true, '--in-process', 'workers are processes of their own')
  refuse(options.out !== undefined, '--out', "the devices' folders would be on the workers' machines; give --report")
  refuse(options.otel === true, '--otel', 'spans are made where devices are; run them on one machine')
  refuse(scenario.ksp?.kind === 'pkcs11', 'ksp', 'a PKCS#11 token is of one machine; leave it out, or run on one machine')
  refuse(
    options.labHost !== undefined && scenario.target !== undefined,
    '--lab-host',
    'there is no embedded lab beside "target"; leave one of them out',
  )
  refuse(
    options.state !== undefined && scenario.target !== undefined,
    '--state',
    'it keeps the embedded lab, and there is none beside "target"; devices are kept in the queue',
  )
}

/** Only the lab is on this machine, if anything is. `InputError` where it could not hold all connections. */
export async function loadOf({ scenario, tenant }: LoadCommand): Promise<Load> {
  const load = { devices: tenant.devices.size, staysConnected: staysConnected(scenario), hasLab: scenario.target === undefined }
  workersFor(load, { cores: availableParallelism(), descriptors: await descriptorLimit() })
  return load
}

export interface Serving extends Pick<LabAgain, 'host'>, Partial<Omit<LabAgain, 'host'>> {
  readonly target: ServiceRequest['target']
}

/** With the port and the token of an earlier lab: that one goes on. */
export function serviceRequest(
  { scenario, options, imported, tenant }: LoadCommand,
  { target, host, port, registrationToken }: Serving,
): ServiceRequest {
  const { lab, facts: overrides } = scenario
  const again = { host, port, registrationToken, stateFolder: options.state }
  return { target, imported, tenant, lab: { ...legacyOf(scenario), ...lab, overrides, ...again }, place: 'process' }
}

async function keepLab(folder: string | undefined, run: string, { settings }: Service, host: string | undefined): Promise<void> {
  if (folder === undefined || settings.kind !== 'policy') return
  const { policyUrl, registrationToken } = settings
  await keepLabAgain(folder, { run, ...(host !== undefined && { host }), port: Number(new URL(policyUrl).port), registrationToken })
}

/** Each worker process has the concurrency of one whole process: it carries one shard at a time. */
export function ordersOf(command: LoadCommand, prepared: Prepared, shards: number, load: Load): readonly ShardOrders[] {
  const orders = shardsOf({ ...sharedOf(command, prepared), load, shards, concurrency: concurrencyOf(command.scenario) * shards })
  return orders.map((order, shard) => ({ ...order, name: `shard ${shard + 1}` }))
}

function sharedIn([first]: readonly ShardOrders[]): RunSubmission['shared'] {
  const { name: _name, devices: _devices, concurrency: _concurrency, localAddress: _localAddress, ...shared } = first as ShardOrders
  return shared
}

function submissionOf(manifest: RunManifest, orders: readonly ShardOrders[]): Pick<RunSubmission, 'manifest' | 'shards'> {
  const shards = orders.map(({ name, devices, concurrency, localAddress }) => ({ name, devices, concurrency, localAddress }))
  return { manifest, shards }
}
