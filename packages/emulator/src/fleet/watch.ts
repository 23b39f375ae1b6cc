import type { ActionResult, Agent, AgentErrorCode, Clock, InapplicableProfile, Instant } from '@certfleet/agent-core'
import type { DeviceFailure, ProfileOutcome } from './outcome.ts'

export interface DeviceWatch {
  /** What still stands failed, one a subject. */
  failures(): readonly DeviceFailure[]
  /** What stands still until the user acts, one a subject. */
  waitingForUser(): readonly DeviceFailure[]
  /** One a certificate, by the clock: its first request until it was installed. */
  enrollmentMs(): readonly number[]
  /** By the last pass, once a profile. */
  ignoredSettings(): readonly string[]
  /** By the last pass. */
  profiles(): readonly ProfileOutcome[]
  /** By the last pass. */
  notApplicable(): readonly InapplicableProfile[]
}

/** Follows what an agent does, pass after pass. */
export function watchDevice(agent: Agent, clock: Clock): DeviceWatch {
  const failures = new Map<string, DeviceFailure>()
  const startedAt = new Map<string, Instant>()
  const enrollmentMs: number[] = []
  let ignoredSettings: readonly string[] = []
  let profiles: readonly ProfileOutcome[] = []
  let notApplicable: readonly InapplicableProfile[] = []

  agent.on('result', ({ kind, subject, status, durationMs, code, message }: ActionResult) => {
    if (status === 'failed') failures.set(subject, { subject, code: code as AgentErrorCode, message: message ?? '' })
    else failures.delete(subject)
    if (kind !== 'enroll' && kind !== 'renew' && kind !== 'poll' && kind !== 'import') return
    const now = clock.now()
    const since = startedAt.get(subject) ?? now - durationMs
    if (status === 'done') enrollmentMs.push(now - since)
    if (status === 'pending') startedAt.set(subject, since)
    else startedAt.delete(subject)
  })

  agent.on('pass', ({ report }) => {
    ignoredSettings = report.profiles.flatMap((profile) => profile.ignoredSettings ?? [])
    profiles = report.profiles.map(({ profileId, principal, state, os }) => ({ profileId, principal, state, ...(os && { os }) }))
    notApplicable = report.notApplicable ?? []
  })

  const failed = (onUser: boolean) => [...failures.values()].filter(({ code }) => (code === 'ERR_USER_ACTION_REQUIRED') === onUser)
  return {
    failures: () => failed(false),
    waitingForUser: () => failed(true),
    enrollmentMs: () => enrollmentMs,
    ignoredSettings: () => ignoredSettings,
    profiles: () => profiles,
    notApplicable: () => notApplicable,
  }
}
