import { type Clock, type Instant, systemDisk, type Transport } from '@certfleet/agent-core'
import { stopwatchMs } from '@certfleet/agent-core/system'
import type { FactOverrides } from '@certfleet/platforms'
import type { DeviceFindings } from '../invariants/names.ts'
import { type EmulationKeyMode, type EmulationKeys, openEmulationKeys } from '../keys/index.ts'
import { meterCost } from '../measure/generator.ts'
import { createMeter, sinceStart } from '../measure/meter.ts'
import { noTracing, type Tracing } from '../measure/spans.ts'
import type { Measurements } from '../measure/types.ts'
import type { FaultsDocument } from '../scenario/load-schema.ts'
import type { Seed } from '../scenario/schema.ts'
import { type DeviceStorageOptions, memoryDeviceStorage } from './device-storage.ts'
import { type InjectedFault, injectedFaults } from './faults.ts'
import { openFleetState } from './fleet-state.ts'
import { closeKeyStorage, type FleetKeyStorage, openToken } from './key-storage.ts'
import type { DeviceOutcome } from './outcome.ts'
import { deviceFolders } from './output.ts'
import type { ShardKeeping } from './queue/keeping.ts'
import { keptStorage } from './queue/kept-storage.ts'
import type { StepCounts } from './queue/shard-queue.ts'
import { type FleetDevice, type FleetOptions, runFleet } from './run.ts'
import { maxSharedConnections } from './sizing.ts'
import { openTarget, type PolicyOrigin, type TargetSettings, targetTransport } from './target/settings.ts'

/** Everything that a process needs to run its part of a fleet: plain data. Secrets are in it; it goes from process to process and nowhere else. */
export interface ShardOrders {
  readonly name: string
  readonly devices: readonly FleetDevice[]
  readonly seed: Seed
  readonly concurrency: number
  readonly stay?: { readonly durationMs: number; readonly checkInMs: number; readonly thinkMs: number } | undefined
  readonly target: TargetSettings
  /** What policies are made of where no service makes them. */
  readonly policies?: PolicyOrigin | undefined
  /** For a whole exchange. Default: the transport's. */
  readonly timeoutMs?: number | undefined
  /** Of this machine, for connections to come from. Default: the system's choice. */
  readonly localAddress?: string | undefined
  readonly faults?: FaultsDocument | undefined
  readonly keys: ShardKeys
  readonly keyStorage?: FleetKeyStorage | undefined
  readonly legacyDes: boolean
  readonly legacySha1: boolean
  readonly overrides?: FactOverrides | undefined
  /** The fleet's database. Default: what devices keep ends with them. */
  readonly stateFolder?: string | undefined
  /** Where the certificates of each device go. Default: nowhere. */
  readonly outFolder?: string | undefined
  readonly hasSpans: boolean
}

export type ShardKeys =
  | { readonly mode: 'fresh' }
  | {
      readonly mode: Exclude<EmulationKeyMode, 'fresh'>
      /** Has the pool already. */
      readonly folder: string
      /** Of the whole run. */
      readonly devices: number
      readonly keysPerDevice: number
    }

/** What a shard tells while it runs. */
export type ShardNews =
  | { readonly kind: 'measured'; readonly measurements: Measurements }
  | { readonly kind: 'devices'; readonly devices: readonly DeviceNews[] }
  /** How many of each the scenario's faults were. */
  | { readonly kind: 'faults'; readonly faults: Readonly<Record<InjectedFault, number>> }
  /** A worker has begun with the shard. */
  | Taken
  /** Its worker has left it as it should: the run was stopped, or the worker was. */
  | { readonly kind: 'parked'; readonly atMs: number }
  /** Steps that devices made again since their shard was taken over; not measured a second time. */
  | { readonly kind: 'repeated'; readonly steps: StepCounts }

export interface Taken {
  readonly kind: 'taken'
  /** Since the start of the run. */
  readonly atMs: number
  readonly worker: string
  readonly epoch: number
  /** The one before lost it, and did not park it. */
  readonly isTakeover: boolean
  /** Devices that were under way, or due before. */
  readonly devicesDelayed: number
}

/** A device that has ended. */
export interface DeviceNews {
  readonly index: number
  readonly outcome: DeviceOutcome
  /** Absent where it never began. */
  readonly findings?: DeviceFindings | undefined
  /** It was delayed as its shard was taken over: no rate is claimed by it. */
  readonly isDelayed?: true | undefined
}

export interface ShardPorts {
  readonly clock: Clock
  /** Where the target is called in this process. Default: sockets. */
  readonly transport?: Transport | undefined
  tell(news: ShardNews): void
  /** Called once everything is at hand; resolves with when the run began, once all shards are as far. */
  begin(): Promise<Instant>
  /** Keeps devices for other processes: one that `signal` ends is not told of, and is kept as it stands. Default: they are this one's alone. */
  readonly keeping?: ShardKeeping | undefined
  /** From then on no device begins, and those under way come to their end; a stay is over. */
  readonly leave?: AbortSignal | undefined
  readonly signal: AbortSignal
}

const measureEveryMs = 250

/**
 * Runs the devices of one process to their end, and tells what they did and what was measured. Rejects for a bug, and before any device
 * begins with the `AgentError` of a state, a pool of keys or a token that cannot be opened.
 */
export async function runShard(orders: ShardOrders, ports: ShardPorts): Promise<void> {
  const { clock, tell, keeping, leave, signal } = ports
  const kept = await openStorage(orders, clock, keeping)
  const tracing = await tracingOf(orders)
  const startedAt = await ports.begin().catch(async (error: unknown) => {
    await kept.close()
    throw error
  })
  const finished = new AbortController()
  const cost = meterCost({ clock, stopwatchMs, signal: finished.signal })
  const sinceStartMs = sinceStart(startedAt, clock, stopwatchMs)
  const meter = createMeter({ sinceStartMs, cost })
  const way = ports.transport ? undefined : socketTransport(orders, clock, (durationMs) => meter.step('connect', 'all', durationMs))
  let faults = noFaults()
  const ended: DeviceNews[] = []
  const tellAll = () => {
    // One by one they would cost a tenth of what they tell of.
    if (ended.length > 0) tell({ kind: 'devices', devices: ended.splice(0) })
    tell({ kind: 'measured', measurements: meter.take() })
    tellFaults()
  }
  const tellFaults = () => {
    if (injectedFaults.some((fault) => faults[fault] > 0)) tell({ kind: 'faults', faults })
    faults = noFaults()
  }
  const measuring = every(measureEveryMs, tellAll, clock, finished.signal)
  try {
    await runFleet({
      ...fleetOptions(orders, startedAt),
      ...kept,
      tracing,
      transport: ports.transport ?? (way as Transport),
      clock,
      sinceStartMs,
      meter,
      onFault(fault) {
        faults[fault]++
        // What keeps a device keeps with it what was done to it until then.
        if (keeping) tellFaults()
      },
      keeping,
      leave,
      signal,
      onDevice(index, outcome, findings) {
        ended.push({ index, outcome, findings, ...(keeping?.keeperOf(index).isDelayed && { isDelayed: true }) })
      },
    })
  } finally {
    finished.abort(measuringEnded)
    await measuring
    tellAll()
    await kept.close()
    await way?.close()
  }
}

function fleetOptions(
  orders: ShardOrders,
  startedAt: Instant,
): Omit<FleetOptions, 'storageFor' | 'transport' | 'clock' | 'sinceStartMs' | 'meter' | 'onFault' | 'keeping' | 'leave' | 'signal'> {
  const { target, policies, localAddress, stay, stateFolder, outFolder } = orders
  return {
    ...orders,
    target: openTarget(target, { policies, localAddress }),
    startedAt,
    stayUntil: stay && startedAt + stay.durationMs,
    isKept: stateFolder !== undefined,
    ...(outFolder !== undefined && { keep: deviceFolders(outFolder) }),
  }
}

const noFaults = (): Record<InjectedFault, number> => ({ lostRequests: 0, lostAnswers: 0, delayed: 0 })

const measuringEnded = 'the shard has ended'

async function every(ms: number, work: () => void, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(ms, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    if (!signal.aborted) work()
  }
}

function socketTransport({ target, timeoutMs, localAddress, keys }: ShardOrders, clock: Clock, onConnect: (durationMs: number) => void) {
  const emulatedKeys = keys.mode !== 'fresh'
  return targetTransport(target, { clock, timeoutMs, localAddress, onConnect, emulatedKeys, connections: maxSharedConnections })
}

/** An SDK of OpenTelemetry is loaded where it is asked for alone. */
async function tracingOf({ hasSpans }: ShardOrders): Promise<Tracing> {
  return hasSpans ? (await import('../measure/otel.ts')).loadedTracing() : noTracing
}

type Storage = Pick<FleetOptions, 'storageFor'> & { close(): Promise<void> }

async function openStorage(orders: ShardOrders, clock: Clock, keeping: ShardKeeping | undefined): Promise<Storage> {
  const { keyStorage, stateFolder } = orders
  const options: DeviceStorageOptions = { clock, keyStorage, keys: await openKeys(orders) }
  const token = await openToken(keyStorage, clock)
  const state = stateFolder === undefined ? undefined : openFleetState(stateFolder, options)
  return {
    storageFor: state?.storageFor ?? (keeping ? keptStorage(keeping, options) : (spec, index) => memoryDeviceStorage(spec, index, options)),
    async close() {
      await state?.close()
      if (token) await closeKeyStorage(token)
    },
  }
}

/** Undefined where every device makes its own keys as its OS does. */
async function openKeys({ keys, seed }: ShardOrders): Promise<EmulationKeys | undefined> {
  if (keys.mode === 'fresh') return undefined
  const { mode, folder, devices, keysPerDevice } = keys
  return openEmulationKeys({ mode, seed: String(seed), devices, keysPerDevice, kept: { folder, disk: systemDisk } })
}
