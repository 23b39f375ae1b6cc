import type { AgentErrorCode } from '@certfleet/agent-core'
import type { FleetPlatform } from '../scenario/schema.ts'

/**
 * What is timed, in the order of every table. `connect`: a connection that was opened, TLS included. `pfx`: the fetching of a PFX; its key's
 * import is `keygen`. `push`: the WebSocket's handshake. `poll`: one question about a pending request, GetCACaps and the like included. `check-in`: a pass of a device that had its certificates. `enrollment`: a certificate, from
 * the moment at which its device was due (which is before it began where the fleet was late) until it was installed.
 */
export const steps = [
  'connect',
  'register',
  'policy',
  'keygen',
  'challenge',
  'pfx',
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

/** Whose a step was. `all`: of no one platform, as a connection of a pool is that devices share. */
export type StepPlatform = FleetPlatform | 'all'

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
  /** It ended now. One that was aborted is not a step. */
  step(step: Step, platform: StepPlatform, durationMs: number): void
  error(error: StepError): void
  /** A device was due at `dueMs` and began `lateMs` after that. */
  started(dueMs: number, lateMs: number): void
  /** A device is through with its first pass, and whether everything of it is there. */
  completed(isGood: boolean): void
  /** The devices whose push connection is open, more or fewer by so many. */
  connected(change: 1 | -1): void
  /** The requests that the CA has not decided, more or fewer by so many. */
  pending(change: 1 | -1): void
}

/**
 * A histogram as values with their counts, one after the other, in no order: `[1000, 3, 1002, 1]`. Values are the lowest microseconds of the
 * buckets that an HDR histogram of three significant digits has, so that adding up two of them is adding counts. Values are at most an hour.
 */
export type EncodedHistogram = readonly number[]

/** What happened in one stretch of time. */
export interface Bin {
  /** Since the start of the run. */
  readonly atMs: number
  /** Devices that were due, by the plan of arrivals, as far as they have begun since. */
  readonly due: number
  readonly started: number
  /** Devices through with their first pass. */
  readonly completed: number
  /** Of those, with something that is not there. */
  readonly failed: number
  readonly errors: number
  /** By how many there are more or fewer open push connections at its end than at its begin. */
  readonly connected: number
  /** Of the enrolments that ended in it, by platform. */
  readonly enrollment: Readonly<Partial<Record<StepPlatform, EncodedHistogram>>>
}

export interface ErrorCount extends Pick<StepError, 'code' | 'step' | 'answer'> {
  readonly count: number
  /** With when it was, since the start of the run. */
  readonly first: Pick<StepError, 'platform' | 'device' | 'message'> & { readonly atMs: number }
}

/** What one process cost over a stretch of time, and whether it kept up. */
export interface ProcessCost {
  /** User and system, all threads. */
  readonly cpuMs: number
  /** How long its event loop was at work: what it cannot have more of than time. */
  readonly busyMs: number
  readonly wallMs: number
  /** At the end. */
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
  readonly histograms: Readonly<Partial<Record<Step, Readonly<Partial<Record<StepPlatform, EncodedHistogram>>>>>>
  readonly errors: readonly ErrorCount[]
  /** How late devices began, against the plan of arrivals: one value a device. */
  readonly lateness: EncodedHistogram
  /** Devices that began more than `lateAfterMs` late. */
  readonly late: number
  /** By how many more or fewer requests are undecided. */
  readonly pending: number
  /** A length that all bins have; others are made coarser when they are added. A power of two times `firstBinMs`. */
  readonly binMs: number
  readonly bins: readonly Bin[]
  readonly cost: ProcessCost
}

export const firstBinMs = 250
export const maxBins = 480
/** A device that begins later than that after it was due is counted as late. */
export const lateAfterMs = 100
