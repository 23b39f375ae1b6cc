import type { Step } from '../measure/types.ts'

/** Where a load test stands. Counts are since its start. */
export interface LiveFacts {
  /** Devices. */
  readonly total: number
  /** Devices that were due, by the plan of arrivals. */
  readonly due: number
  readonly started: number
  /** Devices through with their first pass. */
  readonly completed: number
  /** Devices at work now. */
  readonly active: number
  /** Devices whose push connection is open now. */
  readonly connected: number
  /** Certificates. */
  readonly installed: number
  /** Of the completed devices, those with something that is not there. */
  readonly failed: number
  /** Certificates that the CA has not decided on. */
  readonly pending: number
  /** Devices that began later than they were due. */
  readonly late: number
  readonly elapsedMs: number
  /** Of the run, where it has one: it ends then, whatever is done. */
  readonly durationMs?: number
  /** The moment at which the last device is due, where arrivals follow a plan; absent where the next begins as one ends. */
  readonly lastDueMs?: number
  /** Enrolments, over the last 10 s. */
  readonly ratePerSecond: number
  /** Enrolments a second in stretches of one length, the oldest first. */
  readonly rates: readonly number[]
  /** Of an enrolment, so far. */
  readonly latency: { readonly p50Ms: number; readonly p90Ms: number; readonly p99Ms: number } | undefined
  readonly steps: readonly LiveStep[]
  readonly errors: readonly LiveError[]
  readonly workers: readonly LiveWorker[]
  /** Such as that the generator is the limit. */
  readonly warnings: readonly string[]
}

export interface LiveStep {
  readonly step: Step
  readonly count: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** Of all of them. */
  readonly sumMs: number
}

export interface LiveError {
  readonly code: string
  readonly step: Step
  /** As the server said it; null where it answered nothing. */
  readonly answer: string | null
  readonly count: number
}

export interface LiveWorker {
  readonly name: string
  readonly state: 'running' | 'restarted' | 'ended'
  /** Of one core. */
  readonly cpuShare: number
  readonly rssBytes: number
  readonly loopLagP99Ms: number | undefined
}
