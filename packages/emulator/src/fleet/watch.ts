import type { ActionResult, Agent, AgentErrorCode, Clock, Instant } from '@certfleet/agent-core'
import type { DeviceFailure } from './outcome.ts'

export interface DeviceWatch {
  /** What still stands failed, one a subject. */
  failures(): readonly DeviceFailure[]
  /** One a certificate, by the clock: its first request until it was installed. */
  enrollmentMs(): readonly number[]
}

/** Follows what an agent does, pass after pass. */
export function watchDevice(agent: Agent, clock: Clock): DeviceWatch {
  const failures = new Map<string, DeviceFailure>()
  const startedAt = new Map<string, Instant>()
  const enrollmentMs: number[] = []

  agent.on('result', ({ kind, subject, status, durationMs, code, message }: ActionResult) => {
    if (status === 'failed') failures.set(subject, { subject, code: code as AgentErrorCode, message: message ?? '' })
    else failures.delete(subject)
    if (kind !== 'enroll' && kind !== 'renew' && kind !== 'poll') return
    const now = clock.now()
    const since = startedAt.get(subject) ?? now - durationMs
    if (status === 'done') enrollmentMs.push(now - since)
    if (status === 'pending') startedAt.set(subject, since)
    else startedAt.delete(subject)
  })

  return { failures: () => [...failures.values()], enrollmentMs: () => enrollmentMs }
}
