import type { AgentErrorCode } from '@certfleet/agent-core'
import type { FleetPlatform } from '../scenario/schema.ts'

/**
 * What is timed, in the order of every table. `connect`: a connection that was opened, TLS included. `push`: the WebSocket's handshake.
 * `poll`: one question about a pending request. `check-in`: a pass of a device that had its certificates. `enrollment`: a certificate, from
 * the moment at which its device was due (which is before it began where the fleet was late) until it was installed.
 */
export const steps = [
  'connect',
  'register',
  'policy',
  'keygen',
  'challenge',
  'GetCACaps',
  'GetCACert',
  'PKIOperation',
  'poll',
  'install',
  'report',
  'push',
  'check-in',
  'enrollment',
] as const
export type Step = (typeof steps)[number]

/** One thing that went wrong, once. */
export interface StepError {
  readonly code: AgentErrorCode
  /** The last thing that the device did before. */
  readonly step: Step
  /** What the server answered: `HTTP 503`, `badRequest`. Absent where it answered nothing. */
  readonly answer?: string | undefined
  readonly platform: FleetPlatform
  readonly device: string
  /** Holds no secret, as no message of an `AgentError` does. */
  readonly message: string
}

/** Where a fleet puts what it measures. Moments are milliseconds since the start of the run; lengths are milliseconds with fractions. */
export interface Meter {
  step(step: Step, platform: FleetPlatform, durationMs: number): void
  error(error: StepError): void
  /** A device was due at `dueMs` and began `lateMs` after that. */
  started(platform: FleetPlatform, dueMs: number, lateMs: number): void
  /** A device is through with its first pass, and whether everything of it is there. */
  completed(platform: FleetPlatform, isGood: boolean): void
  /** The devices whose push connection is open, more or fewer by so many. */
  connected(change: 1 | -1): void
}

/** An HDR histogram of microseconds, three significant digits, as hdr-histogram-js encodes it (V2, compressed, base64). */
export type EncodedHistogram = string

/** What happened in one stretch of time. */
export interface Bin {
  /** Since the start of the run. */
  readonly atMs: number
  /** Devices that were due, by the plan of arrivals. */
  readonly due: number
  readonly started: number
  /** Devices through with their first pass. */
  readonly completed: number
  readonly failed: number
  /** Certificates installed. */
  readonly enrolled: number
  readonly errors: number
  readonly connected: number
  /** Of the enrolments that ended in it, by platform. */
  readonly enrollment: Readonly<Partial<Record<FleetPlatform, EncodedHistogram>>>
}

export interface ErrorCount extends Omit<StepError, 'platform' | 'device' | 'message'> {
  readonly count: number
  readonly first: Pick<StepError, 'platform' | 'device' | 'message'>
}

/** What the process that generates the load cost, and whether it kept up. */
export interface GeneratorCost {
  /** User and system. */
  readonly cpuMs: number
  readonly wallMs: number
  readonly rssBytes: number
  /** How much later than asked a timer fired. */
  readonly loopLag: EncodedHistogram
}

/**
 * What was measured since the last taking, as one JSON value: adding such values up loses nothing, whatever process they come from
 * and in whatever order.
 */
export interface Measurements {
  /** By step, then platform. */
  readonly histograms: Readonly<Partial<Record<Step, Readonly<Partial<Record<FleetPlatform, EncodedHistogram>>>>>>
  readonly errors: readonly ErrorCount[]
  /** How late devices began, against the plan of arrivals. */
  readonly lateness: EncodedHistogram
  /** Devices that began more than `lateAfterMs` late. */
  readonly late: number
  readonly started: number
  /** A length that all bins have; others are made coarser when they are added. A power of two times `firstBinMs`. */
  readonly binMs: number
  readonly bins: readonly Bin[]
  readonly generator: GeneratorCost
}

export const firstBinMs = 250
export const maxBins = 480
/** A device that begins later than that after it was due is counted as late. */
export const lateAfterMs = 100
