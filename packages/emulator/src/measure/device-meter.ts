import { type ActionResult, type Agent, AgentError, type PlatformAdapter, type ProfileStatus, type Transport } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { PushEvents } from '../fleet/ports.ts'
import type { FleetPlatform } from '../scenario/schema.ts'
import { Enrollments } from './enrollments.ts'
import type { Tracing } from './spans.ts'
import { StepTimer } from './step-timer.ts'
import { timedPlatform, timedTransport } from './timed-ports.ts'
import type { Meter } from './types.ts'

export interface DeviceMeterOptions {
  readonly spec: Pick<DeviceSpec, 'id' | 'platform'>
  /** When it should begin, since the start of the run; now, where it begins as another ends. It begins now. */
  readonly dueMs: number
  readonly meter: Meter
  /** Milliseconds since the start of the run. */
  readonly sinceStartMs: () => number
  readonly tracing: Tracing
}

/** Measures one device from outside: its ports are wrapped, and do what they did. */
export interface DeviceMeter {
  /** Requests are steps by their URLs, whatever the answer; one that was aborted is none. */
  transport(transport: Transport): Transport
  /** Keys and installations are steps, and what a CA refuses is noted. */
  platform(adapter: PlatformAdapter): PlatformAdapter
  /** Follows enrolments, failures and passes. Called once, before the first pass. */
  watch(agent: Pick<Agent, 'on'>): void
  /** Its push connection is a step, and counts as long as it is open. */
  push(): PushEvents
  /** Makes a pass, the first with the registration before it: one span, and an error where one ends it. For `runOnce`; `start` needs none. */
  pass<T>(work: () => Promise<T>): Promise<T>
  /** Counts once, whatever comes after. */
  completed(isGood: boolean): void
}

export function meterDevice(options: DeviceMeterOptions): DeviceMeter {
  const { dueMs, meter, sinceStartMs } = options
  meter.started(dueMs, sinceStartMs() - dueMs)
  return new MeteredDevice(options)
}

/** A class for the sake of memory, as `StepTimer`. */
class MeteredDevice implements DeviceMeter {
  readonly #options: DeviceMeterOptions
  readonly #timer: StepTimer
  readonly #enrollments: Enrollments
  #isFirst = true
  #hadAll = false
  #isCompleted = false

  constructor(options: DeviceMeterOptions) {
    this.#options = options
    this.#timer = new StepTimer(options)
    this.#enrollments = new Enrollments(options)
  }

  transport(transport: Transport): Transport {
    return timedTransport(transport, this.#timer)
  }

  platform(adapter: PlatformAdapter): PlatformAdapter {
    return timedPlatform(adapter, this.#timer)
  }

  watch(agent: Pick<Agent, 'on'>): void {
    agent.on('result', (result) => this.seeResult(result))
    agent.on('pass', ({ report }) => this.seePass(report.profiles))
    agent.on('error', (error) => {
      this.#timer.endPass()
      this.#timer.fail(error)
    })
  }

  seeResult(result: ActionResult): void {
    const { status, code, message = '' } = result
    if (status === 'failed' && code && code !== 'ERR_USER_ACTION_REQUIRED') this.#timer.fail({ code, message })
    this.#enrollments.see(result, this.#isFirst)
  }

  seePass(profiles: readonly ProfileStatus[]): void {
    const { spec, meter, sinceStartMs } = this.#options
    const begunMs = this.#timer.endPass()
    if (this.#hadAll && begunMs !== undefined) meter.step('check-in', spec.platform, sinceStartMs() - begunMs)
    this.#hadAll = profiles.every(({ state }) => state === 'installed' || state === 'renewalRequested')
    this.#isFirst = false
  }

  push(): PushEvents {
    const { spec, meter } = this.#options
    return pushEvents(spec.platform, meter)
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    const { spec, tracing } = this.#options
    this.#timer.beginPass()
    try {
      return await tracing.span('device', { device: spec.id, platform: spec.platform }, work)
    } catch (error) {
      if (error instanceof AgentError) this.#timer.fail(error)
      throw error
    } finally {
      this.#timer.endPass()
    }
  }

  completed(isGood: boolean): void {
    if (!this.#isCompleted) this.#options.meter.completed(isGood)
    this.#isCompleted = true
  }
}

const eventsOfMeters = new WeakMap<Meter, Map<FleetPlatform, PushEvents>>()

/** One for all devices of a platform: nothing in them is one device's. */
function pushEvents(platform: FleetPlatform, meter: Meter): PushEvents {
  const known = eventsOfMeters.get(meter) ?? new Map<FleetPlatform, PushEvents>()
  eventsOfMeters.set(meter, known)
  const events = known.get(platform) ?? newPushEvents(platform, meter)
  known.set(platform, events)
  return events
}

const newPushEvents = (platform: FleetPlatform, meter: Meter): PushEvents => ({
  onOpen(durationMs) {
    meter.step('push', platform, durationMs)
    meter.connected(1)
  },
  onDown(wasOpen) {
    if (wasOpen) meter.connected(-1)
  },
})
