import type { ActionResult } from '@certfleet/agent-core'
import type { FleetPlatform } from '../scenario/schema.ts'
import type { Meter } from './types.ts'

export interface EnrollmentsOptions {
  readonly spec: { readonly platform: FleetPlatform }
  readonly dueMs: number
  readonly meter: Meter
  readonly sinceStartMs: () => number
}

/** A certificate that was asked for and is not there yet. */
interface Open {
  readonly sinceMs: number
  readonly isPending: boolean
}

const isEnrollment: ReadonlySet<ActionResult['kind']> = new Set(['enroll', 'renew', 'poll', 'import'])

/**
 * How long each certificate took: of those that a device asks for in its first pass, from when the device was due, however late it began and
 * however often it failed before; of others from when what led to it began. What a user makes wait begins anew once the user has acted.
 */
export class Enrollments {
  readonly #options: EnrollmentsOptions
  // Most devices of a fleet have none for most of the time.
  #opens: Map<string, Open> | undefined

  constructor(options: EnrollmentsOptions) {
    this.#options = options
  }

  see({ kind, subject, status, code, durationMs }: ActionResult, isFirstPass: boolean): void {
    const isEnd = kind === 'end-attempt'
    if (!isEnrollment.has(kind) && !isEnd) return
    const { spec, dueMs, meter, sinceStartMs } = this.#options
    const now = sinceStartMs()
    const since = { sinceMs: isFirstPass ? dueMs : now - durationMs, isPending: false }
    const { sinceMs, isPending: wasPending } = this.#opens?.get(subject) ?? since
    const isPending = status === 'pending'
    if (isPending !== wasPending) meter.pending(isPending ? 1 : -1)
    if (status === 'done' && !isEnd) meter.step('enrollment', spec.platform, now - sinceMs)
    if (status === 'done' || code === 'ERR_USER_ACTION_REQUIRED') this.#opens?.delete(subject)
    else this.#opens = (this.#opens ?? new Map<string, Open>()).set(subject, { sinceMs, isPending })
    if (this.#opens?.size === 0) this.#opens = undefined
  }
}
