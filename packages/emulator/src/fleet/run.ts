import { setMaxListeners } from 'node:events'
import type { Instant } from '@certfleet/agent-core'
import pLimit, { type LimitFunction } from 'p-limit'
import type { DeviceFindings } from '../invariants/names.ts'
import type { Tracing } from '../measure/spans.ts'
import type { Meter } from '../measure/types.ts'
import type { FaultsDocument } from '../scenario/load-schema.ts'
import type { Seed } from '../scenario/schema.ts'
import type { IssuedCertificate } from './certificates.ts'
import type { DeviceSpec, DeviceSurroundings } from './device.ts'
import type { InjectedFault } from './faults.ts'
import { beginLife, endLife, type Life, leaveLife } from './life.ts'
import type { DeviceOutcome, FleetOutcome } from './outcome.ts'
import type { DeviceStorage } from './ports.ts'
import type { ShardKeeping } from './queue/keeping.ts'
import { type Stay, stayUntilEnd } from './stay.ts'

/** A device and its place in the whole fleet. */
export interface FleetDevice {
  readonly spec: DeviceSpec
  /** With the seed it decides all of the device's chance. */
  readonly index: number
  /** Since the start of the run. Absent: as soon as there is room. */
  readonly dueMs?: number
  /** It was under way in another process: it goes on, though the stay may be over. */
  readonly isUnderWay?: true
}

export interface FleetOptions extends DeviceSurroundings {
  readonly devices: readonly FleetDevice[]
  readonly seed: Seed
  readonly storageFor: (spec: DeviceSpec, index: number) => Promise<DeviceStorage>
  /** When the run began, by the clock: what `dueMs` counts from. */
  readonly startedAt: Instant
  /** Milliseconds since then, for what is measured: of `sinceStart`. */
  readonly sinceStartMs: () => number
  /** Devices at work on their first certificates at the same time; at least 1. */
  readonly concurrency: number
  /** The run lasts until then, whatever is done: devices that have enrolled stay, none begins later; with `stay`. Default: they are through. */
  readonly stayUntil?: Instant | undefined
  readonly faults?: FaultsDocument | undefined
  readonly onFault: (fault: InjectedFault) => void
  readonly meter: Meter
  readonly tracing?: Tracing
  /** What devices keep is to be found again: nothing is removed at the end. */
  readonly isKept: boolean
  /** Keeps devices for other processes: those that `signal` ends are left as they stand, and are in no outcome. Default: nobody goes on with them. */
  readonly keeping?: ShardKeeping | undefined
  /** From then on no device begins, and those under way come to their end; a stay is over. */
  readonly leave?: AbortSignal | undefined
  /** Ends the run early: devices under way stop where they are, the others do not start. */
  readonly signal: AbortSignal
  /** Called as each device ends, in the order in which they end. */
  readonly onDevice?: (index: number, outcome: DeviceOutcome, findings: DeviceFindings | undefined) => void
  /** Called once a device that has certificates, before `onDevice`. When it rejects, so does the run. */
  readonly keep?: (deviceId: string, certificates: readonly IssuedCertificate[]) => Promise<void>
}

/**
 * Runs every device of this process: register, sync policy, install roots, enrol, report; what is pending is polled until the CA decides
 * or the platform gives up; with `stayUntil` it checks in until then. A failure is an outcome. Rejects only for a bug, or when `keep` does;
 * then no device is left running.
 */
export async function runFleet(options: FleetOptions): Promise<FleetOutcome> {
  const { devices, clock, concurrency } = options
  const broken = new AbortController()
  const signal = AbortSignal.any([options.signal, broken.signal])
  // Every request under way listens on it: far more than the ten above which Node suspects a leak.
  const beginning = options.leave ? AbortSignal.any([signal, options.leave]) : signal
  setMaxListeners(0, signal, beginning)
  const running: Running = {
    ...options,
    signal,
    beginning,
    limit: pLimit(concurrency),
    ...staysOf(options, signal),
    stayers: [],
    outcomes: new Map(),
  }
  const orBreak = (work: Promise<void>) =>
    work.catch((error: unknown) => {
      broken.abort(error)
      throw error
    })
  const lives = devices.map((device) => orBreak(live(device, running)))
  lives.push(orBreak(leave(running, orBreak)))
  await Promise.allSettled(lives)
  await Promise.all(lives)
  const outcomes = devices.flatMap((device) => running.outcomes.get(device) ?? [])
  return { devices: outcomes, durationMs: clock.now() - options.startedAt, interrupted: options.signal.aborted }
}

/** What the devices of a run share while it runs. */
export interface Running extends FleetOptions {
  readonly limit: LimitFunction
  /** Aborted: no device begins any more. */
  readonly beginning: AbortSignal
  /** Absent: devices are through once nothing is pending. */
  readonly staying: Stay | undefined
  /** What cuts a first pass short: the end of the stay, but not that the others leave. With `staying`. */
  readonly firstPasses: Stay | undefined
  /** Those that are through with their first pass, until the stay is over. A list: a function that waits is eight times an entry. */
  readonly stayers: Life[]
  /** Of those that have ended. */
  readonly outcomes: Map<FleetDevice, DeviceOutcome>
}

function staysOf({ stayUntil, clock, leave }: FleetOptions, signal: AbortSignal): Pick<Running, 'staying' | 'firstPasses'> {
  if (stayUntil === undefined) return { staying: undefined, firstPasses: undefined }
  const end = clock.sleep(Math.max(0, stayUntil - clock.now()), signal).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  const firstPasses = stayUntilEnd(end)
  return { firstPasses, staying: leave ? stayUntilEnd(Promise.race([end, aborted(leave)])) : firstPasses }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** One device from when it is due until it is through, or stays; one may never begin. */
async function live(device: FleetDevice, running: Running): Promise<void> {
  if (!(await isDue(device, running))) return
  await running.limit(async () => {
    if (running.beginning.aborted || (isOver(running) && !device.isUnderWay)) return
    const life = await beginLife(device, running)
    if (life.isCutShort) await leaveLife(life)
    // Told before the next begins, which it may end.
    else if (!running.staying || running.staying.isOver()) await ended(life, running)
    else running.stayers.push(life)
  })
}

/** Ends those that stayed, all at once, each as `orBreak` has it. */
async function leave(running: Running, orBreak: (work: Promise<void>) => Promise<void>): Promise<void> {
  await running.staying?.over
  const endings = running.stayers.map((life) => orBreak(ended(life, running)))
  await Promise.allSettled(endings)
  await Promise.all(endings)
}

async function ended(life: Life, running: Running): Promise<void> {
  // Those that stayed would have gone on.
  if (running.keeping && running.staying && running.signal.aborted) return leaveLife(life)
  const { outcome, findings } = await endLife(life, running)
  running.outcomes.set(life.fleetDevice, outcome)
  running.onDevice?.(life.fleetDevice.index, outcome, findings)
}

const isOver = ({ stayUntil, clock }: Running): boolean => stayUntil !== undefined && clock.now() >= stayUntil

/** Waits until it is due; false where the run ends before. */
async function isDue(
  { dueMs }: FleetDevice,
  { startedAt, stayUntil = Number.POSITIVE_INFINITY, clock, beginning }: Running,
): Promise<boolean> {
  if (dueMs === undefined) return !beginning.aborted
  const dueAt = startedAt + dueMs
  // Those who never come are due at Infinity.
  if (dueAt >= stayUntil) return false
  const leftMs = dueAt - clock.now()
  try {
    if (leftMs > 0) await clock.sleep(leftMs, beginning)
    return !beginning.aborted
  } catch (error) {
    if (beginning.aborted && error === beginning.reason) return false
    throw error
  }
}
