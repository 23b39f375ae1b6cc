import { type Agent, AgentError, type PlatformAdapter, type Transport } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { PushEvents } from '../fleet/ports.ts'
import { enrollmentWatch } from './enrollments.ts'
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
  const { spec, dueMs, meter, sinceStartMs } = options
  const timer = new StepTimer(spec, options)
  meter.started(dueMs, sinceStartMs() - dueMs)
  let isCompleted = false
  return {
    transport: (transport) => timedTransport(transport, timer),
    platform: (adapter) => timedPlatform(adapter, timer),
    watch: (agent) => watch(agent, timer, options),
    push: () => pushEvents(spec, meter),
    pass: (work) => madePass(work, timer, options),
    completed(isGood) {
      if (!isCompleted) meter.completed(isGood)
      isCompleted = true
    },
  }
}

async function madePass<T>(work: () => Promise<T>, timer: StepTimer, { spec, tracing }: DeviceMeterOptions): Promise<T> {
  timer.beginPass()
  try {
    return await tracing.span('device', { device: spec.id, platform: spec.platform }, work)
  } catch (error) {
    if (error instanceof AgentError) timer.fail(error)
    throw error
  } finally {
    timer.endPass()
  }
}

function pushEvents({ platform }: DeviceMeterOptions['spec'], meter: Meter): PushEvents {
  return {
    onOpen(durationMs) {
      meter.step('push', platform, durationMs)
      meter.connected(1)
    },
    onDown(wasOpen) {
      if (wasOpen) meter.connected(-1)
    },
  }
}

function watch(agent: Pick<Agent, 'on'>, timer: StepTimer, { spec: { platform }, dueMs, meter, sinceStartMs }: DeviceMeterOptions): void {
  const seeEnrollment = enrollmentWatch({ platform, dueMs, meter, sinceStartMs })
  let isFirst = true
  let hadAll = false
  agent.on('result', (result) => {
    const { status, code, message = '' } = result
    if (status === 'failed' && code && code !== 'ERR_USER_ACTION_REQUIRED') timer.fail({ code, message })
    seeEnrollment(result, isFirst)
  })
  agent.on('pass', ({ report }) => {
    const begunMs = timer.endPass()
    if (hadAll && begunMs !== undefined) meter.step('check-in', platform, sinceStartMs() - begunMs)
    hadAll = report.profiles.every(({ state }) => state === 'installed' || state === 'renewalRequested')
    isFirst = false
  })
  agent.on('error', (error) => {
    timer.endPass()
    timer.fail(error)
  })
}
