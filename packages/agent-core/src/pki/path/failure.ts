export type PathFailureCode =
  /** A signature or key that is too weak, or that certfleet does not know. */
  | 'algorithm-refused'
  /** Building or checking the path would cost more than a path is worth. */
  | 'budget-spent'
  /** A critical extension that is unknown, or that must not be critical. */
  | 'critical-extension'
  | 'expired'
  | 'hostname-mismatch'
  /** An issuer without keyCertSign. */
  | 'key-usage'
  | 'name-constraints'
  /** No issuer is known, or none leads to a root. */
  | 'no-path'
  | 'not-a-ca'
  | 'not-yet-valid'
  | 'path-too-long'
  /** requireExplicitPolicy, which takes the policy tree that is not built here. */
  | 'policy-unsupported'
  /** Breaks a MUST of the certificate profile (RFC 5280 section 4). */
  | 'profile-violated'
  | 'purpose-mismatch'
  | 'revocation-unknown'
  | 'revoked'
  | 'signature-invalid'

export interface PathFailure {
  readonly ok: false
  readonly code: PathFailureCode
  /** Lower case, names the rule; holds no name from the certificate. */
  readonly reason: string
}

export function failure(code: PathFailureCode, reason: string): PathFailure {
  return { ok: false, code, reason }
}
