import type { Instant } from '../../types.ts'
import type { TpmLockout } from './facts.ts'

/** Wrong authorizations that a TPM remembers, and since when the next one to forget has been counting (failedTries). */
export interface AuthorizationFailures {
  readonly count: number
  readonly since: Instant
}

export const noFailures: AuthorizationFailures = { count: 0, since: 0 }

/** What is remembered at `now`: every `recoveryMs` one less (TPM 2.0 Part 1, dictionary attack protection). A clock put back forgets nothing. */
export function rememberedFailures(
  { count, since }: AuthorizationFailures,
  now: Instant,
  { recoveryMs }: TpmLockout,
): AuthorizationFailures {
  const forgotten = Math.min(count, Math.max(0, Math.floor((now - since) / recoveryMs)))
  return { count: count - forgotten, since: since + forgotten * recoveryMs }
}

/** One failure more, from which the time to forget starts anew. A TPM that is locked out looks at no authorization, so that it counts none. */
export function withFailure(failures: AuthorizationFailures, now: Instant, lockout: TpmLockout): AuthorizationFailures {
  const remembered = rememberedFailures(failures, now, lockout)
  return remembered.count >= lockout.maxTries ? remembered : { count: remembered.count + 1, since: now }
}

/** When the TPM takes authorizations again; undefined while it does. */
export function lockedOutUntil(failures: AuthorizationFailures, now: Instant, lockout: TpmLockout): Instant | undefined {
  const { count, since } = rememberedFailures(failures, now, lockout)
  return count >= lockout.maxTries ? since + lockout.recoveryMs : undefined
}
