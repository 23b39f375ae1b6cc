/** When a failed action is tried again. */
export type Retry =
  /** At the next pass. */
  | 'now'
  /** After the delay of `plan/schedule.ts`. */
  | 'backoff'
  /** With the next revision of the policy: what helps may stand in another profile. */
  | 'on-new-policy'
  /** At each pass, because the user has to act first; nothing is sent before that. */
  | 'on-user'
  /** When the device is unlocked, or after the backoff. */
  | 'on-unlock'
  /** The device cannot do it; only another profile or another device can. */
  | 'never'

/** Who can put it right. */
export type FixedBy = 'admin' | 'ca' | 'network' | 'device' | 'user' | 'embedder'

export interface ErrorAdvice {
  readonly fixedBy: FixedBy
  readonly retry: Retry
  /** What becomes of the attempt (its key, its transactionID): kept for a resend, or ended so that the next one starts afresh. */
  readonly attempt: 'keep' | 'end'
}

export type AgentErrorCode =
  | 'ERR_ALGORITHM_REFUSED'
  | 'ERR_CA_UNTRUSTED'
  | 'ERR_CERTIFICATE_MISMATCH'
  | 'ERR_CERTIFICATE_REFUSED'
  | 'ERR_CERTIFICATE_UNTRUSTED'
  | 'ERR_CHALLENGE_UNAVAILABLE'
  | 'ERR_CLOCK_SKEW'
  | 'ERR_CMS_DECRYPT'
  | 'ERR_CMS_INVALID'
  | 'ERR_DER_MALFORMED'
  | 'ERR_DEVICE_LOCKED'
  | 'ERR_ENROLLMENT_REJECTED'
  | 'ERR_HTTP_STATUS'
  | 'ERR_KEY_EXISTS'
  | 'ERR_KEY_SECRET_REFUSED'
  | 'ERR_KEY_STORAGE_BUSY'
  | 'ERR_KEY_STORAGE_FULL'
  | 'ERR_KEY_STORAGE_LOCKED_OUT'
  | 'ERR_KEY_STORAGE_UNAVAILABLE'
  | 'ERR_KEY_UNAVAILABLE'
  | 'ERR_LIMIT_EXCEEDED'
  | 'ERR_NETWORK'
  | 'ERR_PENDING_TIMEOUT'
  | 'ERR_PFX_INVALID'
  | 'ERR_PFX_PASSWORD'
  | 'ERR_PFX_UNAVAILABLE'
  | 'ERR_POLICY_INVALID'
  | 'ERR_POLICY_ROLLBACK'
  | 'ERR_PROFILE_INVALID'
  | 'ERR_RENEWAL_MISSED'
  | 'ERR_ROOT_NOT_DEPLOYED'
  | 'ERR_ROOT_NOT_INSTALLED'
  | 'ERR_SCEP_MALFORMED'
  | 'ERR_SCEP_REPLY_MISMATCH'
  | 'ERR_STATE_BUSY'
  | 'ERR_STATE_INVALID'
  | 'ERR_STATE_IO'
  | 'ERR_UNAUTHORIZED'
  | 'ERR_UNSUPPORTED'
  | 'ERR_USER_ACTION_REQUIRED'
  | 'ERR_VARIABLE_UNRESOLVED'

/** One row a code; the compiler refuses a code without one. `docs/errors.md` is generated from it. */
export const adviceByCode = {
  ERR_ALGORITHM_REFUSED: { fixedBy: 'ca', retry: 'backoff', attempt: 'keep' },
  ERR_CA_UNTRUSTED: { fixedBy: 'admin', retry: 'backoff', attempt: 'keep' },
  ERR_CERTIFICATE_MISMATCH: { fixedBy: 'ca', retry: 'backoff', attempt: 'end' },
  ERR_CERTIFICATE_REFUSED: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'end' },
  ERR_CERTIFICATE_UNTRUSTED: { fixedBy: 'ca', retry: 'backoff', attempt: 'end' },
  ERR_CHALLENGE_UNAVAILABLE: { fixedBy: 'network', retry: 'backoff', attempt: 'keep' },
  ERR_CLOCK_SKEW: { fixedBy: 'device', retry: 'backoff', attempt: 'end' },
  ERR_CMS_DECRYPT: { fixedBy: 'ca', retry: 'backoff', attempt: 'keep' },
  ERR_CMS_INVALID: { fixedBy: 'ca', retry: 'backoff', attempt: 'keep' },
  ERR_DER_MALFORMED: { fixedBy: 'ca', retry: 'backoff', attempt: 'keep' },
  ERR_DEVICE_LOCKED: { fixedBy: 'user', retry: 'on-unlock', attempt: 'keep' },
  ERR_ENROLLMENT_REJECTED: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'end' },
  ERR_HTTP_STATUS: { fixedBy: 'network', retry: 'backoff', attempt: 'keep' },
  ERR_KEY_EXISTS: { fixedBy: 'device', retry: 'now', attempt: 'end' },
  ERR_KEY_SECRET_REFUSED: { fixedBy: 'embedder', retry: 'backoff', attempt: 'keep' },
  ERR_KEY_STORAGE_BUSY: { fixedBy: 'device', retry: 'backoff', attempt: 'keep' },
  ERR_KEY_STORAGE_FULL: { fixedBy: 'device', retry: 'backoff', attempt: 'keep' },
  ERR_KEY_STORAGE_LOCKED_OUT: { fixedBy: 'device', retry: 'backoff', attempt: 'keep' },
  ERR_KEY_STORAGE_UNAVAILABLE: { fixedBy: 'device', retry: 'on-new-policy', attempt: 'end' },
  ERR_KEY_UNAVAILABLE: { fixedBy: 'device', retry: 'backoff', attempt: 'end' },
  ERR_LIMIT_EXCEEDED: { fixedBy: 'admin', retry: 'backoff', attempt: 'keep' },
  ERR_NETWORK: { fixedBy: 'network', retry: 'backoff', attempt: 'keep' },
  ERR_PENDING_TIMEOUT: { fixedBy: 'ca', retry: 'backoff', attempt: 'end' },
  ERR_PFX_INVALID: { fixedBy: 'ca', retry: 'backoff', attempt: 'end' },
  ERR_PFX_PASSWORD: { fixedBy: 'ca', retry: 'backoff', attempt: 'end' },
  ERR_PFX_UNAVAILABLE: { fixedBy: 'network', retry: 'backoff', attempt: 'keep' },
  ERR_POLICY_INVALID: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'keep' },
  ERR_POLICY_ROLLBACK: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'keep' },
  ERR_PROFILE_INVALID: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'end' },
  ERR_RENEWAL_MISSED: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'end' },
  ERR_ROOT_NOT_DEPLOYED: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'end' },
  ERR_ROOT_NOT_INSTALLED: { fixedBy: 'device', retry: 'backoff', attempt: 'keep' },
  ERR_SCEP_MALFORMED: { fixedBy: 'ca', retry: 'backoff', attempt: 'keep' },
  ERR_SCEP_REPLY_MISMATCH: { fixedBy: 'ca', retry: 'backoff', attempt: 'keep' },
  ERR_STATE_BUSY: { fixedBy: 'embedder', retry: 'backoff', attempt: 'keep' },
  ERR_STATE_INVALID: { fixedBy: 'embedder', retry: 'never', attempt: 'keep' },
  ERR_STATE_IO: { fixedBy: 'embedder', retry: 'backoff', attempt: 'keep' },
  ERR_UNAUTHORIZED: { fixedBy: 'admin', retry: 'backoff', attempt: 'keep' },
  ERR_UNSUPPORTED: { fixedBy: 'admin', retry: 'never', attempt: 'end' },
  ERR_USER_ACTION_REQUIRED: { fixedBy: 'user', retry: 'on-user', attempt: 'keep' },
  ERR_VARIABLE_UNRESOLVED: { fixedBy: 'admin', retry: 'on-new-policy', attempt: 'end' },
} as const satisfies Record<AgentErrorCode, ErrorAdvice>

export interface AgentErrorOptions {
  readonly cause?: unknown
  readonly retryAfterMs?: number | undefined
}

/**
 * Every failure that certfleet foresees. Anything else that is thrown is a bug.
 *
 * `message` is lower case, names the thing, and never holds a challenge, key, password or PEM.
 * `cause` carries the evidence.
 */
export class AgentError extends Error {
  override readonly name: string = 'AgentError'
  readonly code: AgentErrorCode
  /** How long the server asked to be left alone, at most a day. Absent where it did not ask. */
  readonly retryAfterMs?: number
  constructor(code: AgentErrorCode, message: string, { retryAfterMs, ...options }: AgentErrorOptions = {}) {
    super(message, options)
    this.code = code
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs
  }
}
