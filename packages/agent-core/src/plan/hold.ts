import type { AgentErrorCode } from '../errors.ts'
import type { CertificateProfile, Failure, IdentityKey, Instant } from '../types.ts'
import type { Action, Situation } from './plan.ts'

export interface Held {
  readonly key: IdentityKey
  /** Absent where only a new policy, or the user, helps. */
  readonly until?: Instant
  /** Present where nothing has failed, so that no failure on record says why. */
  readonly why?: { readonly code: AgentErrorCode; readonly message: string }
}

/** Why a profile's next action must wait, if it must. */
export function holdOf(next: Action, key: IdentityKey, profile: CertificateProfile, situation: Situation): Held | undefined {
  if (next.kind === 'fail') return undefined
  const { state, lifecycle } = situation
  const failure = state.failures.get(key)
  if (failure && isHeld(failure, profile, situation)) return { key, ...(failure.retry === 'backoff' && { until: failure.retryAt }) }
  if (next.kind === 'renew' && lifecycle.renewal.onlyUnlocked && state.locked) {
    const message = `"${profile.displayName}" is due for renewal, for which this OS must be unlocked; unlock it before the certificate expires`
    return { key, why: { code: 'ERR_DEVICE_LOCKED', message } }
  }
  return undefined
}

/**
 * A backoff spares a server and ends by itself: only a profile that asks for something else, or of somebody else, does not wait it out.
 * A final refusal ends by no clock, and what helps may stand in a root or a group: it gets one try with every revision of the policy.
 */
function isHeld(failure: Failure, profile: CertificateProfile, { policy, state, now }: Situation): boolean {
  switch (failure.retry) {
    case 'now':
    case 'on-user':
      return false
    case 'backoff':
      // A clock that was put back makes the moment of the next try mean nothing.
      return failure.digest === profile.digest && now >= failure.lastAt && now < failure.retryAt
    case 'on-unlock':
      return failure.digest === profile.digest && state.locked
    case 'on-new-policy':
    case 'never':
      return failure.revision === policy.revision
  }
}
