import type { ActionResult } from '@certfleet/agent-core'
import type { FleetPlatform } from '../scenario/schema.ts'
import type { Meter } from './types.ts'

export interface EnrollmentsOptions {
  readonly platform: FleetPlatform
  readonly dueMs: number
  readonly meter: Meter
  readonly sinceStartMs: () => number
}

export interface EnrollmentWatch {
  see(result: ActionResult): void
  endFirstPass(): void
}

const isEnrollment: ReadonlySet<ActionResult['kind']> = new Set(['enroll', 'renew', 'poll', 'import'])

/**
 * How long each certificate took: of those that a device asks for in its first pass, from when the device was due, however late it began and
 * however often it failed before; of others from when what led to it began. What a user makes wait begins anew once the user has acted.
 */
export function watchEnrollments({ dueMs, sinceStartMs, meter, platform }: EnrollmentsOptions): EnrollmentWatch {
  const begunMs = new Map<string, number>()
  const undecided = new Set<string>()
  let isFirstPass = true
  function notePending(subject: string, isPending: boolean): void {
    if (isPending === undecided.has(subject)) return
    if (isPending) undecided.add(subject)
    else undecided.delete(subject)
    meter.pending(isPending ? 1 : -1)
  }
  return {
    see({ kind, subject, status, code, durationMs }) {
      if (!isEnrollment.has(kind) && kind !== 'end-attempt') return
      notePending(subject, status === 'pending')
      const now = sinceStartMs()
      const since = begunMs.get(subject) ?? (isFirstPass ? dueMs : now - durationMs)
      if (status === 'done' && kind !== 'end-attempt') meter.step('enrollment', platform, now - since)
      if (status === 'done' || code === 'ERR_USER_ACTION_REQUIRED') begunMs.delete(subject)
      else begunMs.set(subject, since)
    },
    endFirstPass() {
      isFirstPass = false
    },
  }
}
