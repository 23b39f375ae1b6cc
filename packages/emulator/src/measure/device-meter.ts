import {
  type Agent,
  AgentError,
  type EnrollmentOutcome,
  type HttpResponse,
  type PlatformAdapter,
  type Transport,
} from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { PushEvents } from '../fleet/ports.ts'
import { watchEnrollments } from './enrollments.ts'
import type { Tracing } from './spans.ts'
import { type StepTimer, timedPlatform, timedTransport } from './timed-ports.ts'
import type { Meter, Step } from './types.ts'

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
  readonly push: PushEvents
  /** Makes a pass, the first with the registration before it: one span, and an error where one ends it. For `runOnce`; `start` needs none. */
  pass<T>(work: () => Promise<T>): Promise<T>
  /** Counts once, whatever comes after. */
  completed(isGood: boolean): void
}

export function meterDevice(options: DeviceMeterOptions): DeviceMeter {
  const { spec, dueMs, meter, sinceStartMs, tracing } = options
  const { platform } = spec
  const timer = stepTimer(options)
  let isCompleted = false
  meter.started(dueMs, sinceStartMs() - dueMs)
  return {
    transport: (transport) => timedTransport(transport, timer),
    platform: (adapter) => timedPlatform(adapter, timer),
    watch: (agent) => watch(agent, timer, options),
    push: {
      onOpen(durationMs) {
        meter.step('push', platform, durationMs)
        meter.connected(1)
      },
      onDown(wasOpen) {
        if (wasOpen) meter.connected(-1)
      },
    },
    async pass(work) {
      timer.beginPass()
      try {
        return await tracing.span('device', { device: spec.id, platform }, work)
      } catch (error) {
        if (error instanceof AgentError) timer.fail(error)
        throw error
      } finally {
        timer.endPass()
      }
    },
    completed(isGood) {
      if (!isCompleted) meter.completed(isGood)
      isCompleted = true
    },
  }
}

interface DeviceTimer extends StepTimer {
  beginPass(): void
  /** When the pass began; undefined between passes. */
  endPass(): number | undefined
  /** An error of the last step; it does not end the pass. */
  fail(error: Pick<AgentError, 'code' | 'message'>): void
}

/** What a device does is one step after the other, so that the last one tells what an error was about. */
function stepTimer({ spec: { id: device, platform }, meter, sinceStartMs, tracing }: DeviceMeterOptions): DeviceTimer {
  const attributes = { device, platform }
  let step: Step = 'register'
  let answer: string | undefined
  let passBegunMs: number | undefined
  return {
    async time(begun, work) {
      step = begun
      answer = undefined
      const begunMs = sinceStartMs()
      passBegunMs ??= begunMs
      const end = () => meter.step(begun, platform, sinceStartMs() - begunMs)
      try {
        const result = await tracing.span(begun, attributes, work)
        end()
        return result
      } catch (error) {
        // A server that hangs is in the percentiles; what was interrupted is not.
        if (error instanceof AgentError) end()
        throw error
      }
    },
    note(given) {
      answer = badAnswerOf(given) ?? answer
      return given
    },
    beginPass() {
      passBegunMs = sinceStartMs()
    },
    endPass() {
      const begunMs = passBegunMs
      passBegunMs = undefined
      return begunMs
    },
    fail({ code, message }) {
      meter.error({ code, step, answer, platform, device, message })
    },
  }
}

function badAnswerOf(given: HttpResponse | EnrollmentOutcome): string | undefined {
  if (given.status === 'rejected') return given.failInfo
  return typeof given.status === 'number' && given.status >= 400 ? `HTTP ${given.status}` : undefined
}

function watch(agent: Pick<Agent, 'on'>, timer: DeviceTimer, { spec: { platform }, dueMs, meter, sinceStartMs }: DeviceMeterOptions): void {
  const enrollments = watchEnrollments({ platform, dueMs, meter, sinceStartMs })
  let hadAll = false
  agent.on('result', (result) => {
    const { status, code, message = '' } = result
    if (status === 'failed' && code && code !== 'ERR_USER_ACTION_REQUIRED') timer.fail({ code, message })
    enrollments.see(result)
  })
  agent.on('pass', ({ report }) => {
    const begunMs = timer.endPass()
    if (hadAll && begunMs !== undefined) meter.step('check-in', platform, sinceStartMs() - begunMs)
    hadAll = report.profiles.every(({ state }) => state === 'installed' || state === 'renewalRequested')
    enrollments.endFirstPass()
  })
  agent.on('error', (error) => {
    timer.endPass()
    timer.fail(error)
  })
}
