import { AgentError, type EnrollmentOutcome, type HttpResponse } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { Tracing } from './spans.ts'
import type { Meter, Step } from './types.ts'

interface Measuring {
  readonly spec: Pick<DeviceSpec, 'id' | 'platform'>
  readonly meter: Meter
  readonly sinceStartMs: () => number
  readonly tracing: Tracing
}

/**
 * What one device does is one step after the other, so that the last one tells what an error was about. A class: ten thousand idle devices
 * keep one each, and closures would take four times the memory.
 */
export class StepTimer {
  readonly #measuring: Measuring
  #step: Step = 'register'
  #answer: string | undefined
  #passBegunMs: number | undefined

  constructor(measuring: Measuring) {
    this.#measuring = measuring
  }

  async time<T>(step: Step, work: () => Promise<T>): Promise<T> {
    const { spec, tracing, sinceStartMs } = this.#measuring
    const { id: device, platform } = spec
    const begunMs = sinceStartMs()
    this.#step = step
    this.#answer = undefined
    this.#passBegunMs ??= begunMs
    try {
      const result = await tracing.span(step, { device, platform }, work)
      end(step, begunMs, this.#measuring)
      return result
    } catch (error) {
      // A server that hangs is in the percentiles; what was interrupted is not.
      if (error instanceof AgentError) end(step, begunMs, this.#measuring)
      throw error
    }
  }

  /** Gives back what it is given, and keeps a bad answer for the error that it leads to. */
  note<T extends HttpResponse | EnrollmentOutcome>(given: T): T {
    this.#answer = badAnswerOf(given) ?? this.#answer
    return given
  }

  beginPass(): void {
    this.#passBegunMs = this.#measuring.sinceStartMs()
  }

  /** When the pass began; undefined between passes. */
  endPass(): number | undefined {
    const begunMs = this.#passBegunMs
    this.#passBegunMs = undefined
    return begunMs
  }

  /** An error of the last step. */
  fail({ code, message }: Pick<AgentError, 'code' | 'message'>): void {
    const { spec, meter } = this.#measuring
    const { id: device, platform } = spec
    meter.error({ code, step: this.#step, answer: this.#answer, platform, device, message })
  }
}

function end(step: Step, begunMs: number, { spec, meter, sinceStartMs }: Measuring): void {
  meter.step(step, spec.platform, sinceStartMs() - begunMs)
}

function badAnswerOf(given: HttpResponse | EnrollmentOutcome): string | undefined {
  if (given.status === 'rejected') return given.failInfo
  return typeof given.status === 'number' && given.status >= 400 ? `HTTP ${given.status}` : undefined
}
