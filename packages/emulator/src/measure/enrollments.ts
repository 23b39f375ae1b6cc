import type { ActionResult } from '@certfleet/agent-core'
import type { FleetPlatform } from '../scenario/schema.ts'
import type { Meter } from './types.ts'

export interface EnrollmentsOptions {
  readonly platform: FleetPlatform
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
export function enrollmentWatch({ platform, dueMs, meter, sinceStartMs }: EnrollmentsOptions) {
  // Most devices of a fleet have none for most of the time.
  let opens: Map<string, Open> | undefined
  return ({ kind, subject, status, code, durationMs }: ActionResult, isFirstPass: boolean): void => {
    const isEnd = kind === 'end-attempt'
    if (!isEnrollment.has(kind) && !isEnd) return
    const now = sinceStartMs()
    const { sinceMs, isPending: wasPending } = opens?.get(subject) ?? { sinceMs: isFirstPass ? dueMs : now - durationMs, isPending: false }
    const isPending = status === 'pending'
    if (isPending !== wasPending) meter.pending(isPending ? 1 : -1)
    if (status === 'done' && !isEnd) meter.step('enrollment', platform, now - sinceMs)
    if (status === 'done' || code === 'ERR_USER_ACTION_REQUIRED') opens?.delete(subject)
    else opens = (opens ?? new Map<string, Open>()).set(subject, { sinceMs, isPending })
    if (opens?.size === 0) opens = undefined
  }
}
