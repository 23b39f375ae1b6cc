import type { Instant } from '@certfleet/agent-core'
import type { Binding } from '../records.ts'

/** A request that the validation API let through, and what became of it. */
export interface ForeignEnrollment {
  readonly transactionId: string
  readonly publicKeyDigest: string
  readonly binding: Binding
  /** Distinguished name as text, as it was validated. */
  readonly subject: string
  /** Who asked: product and version. */
  readonly callerInfo: string
  readonly validatedAt: Instant
  /** Missing until the server notified. */
  readonly outcome?: ForeignCertificate | ForeignFailure
}

/** The certificate that the server's CA issued, as it told. */
export interface ForeignCertificate {
  readonly status: 'issued'
  /** SHA-1, lower-case hex. */
  readonly thumbprint: string
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly notAfter: Instant
  readonly issuerName: string
  readonly caConfiguration?: string
  readonly certificateAuthority?: string
  readonly at: Instant
}

export interface ForeignFailure {
  readonly status: 'failed'
  readonly hResult: number
  readonly errorDescription: string
  readonly at: Instant
}

/** What the admin wants revoked at somebody else's CA. */
export interface RevocationRequest {
  readonly requestContext: string
  readonly serialNumber: string
  readonly issuerName: string
  readonly caConfiguration?: string
  readonly requestedAt: Instant
  /** `open` until a result was uploaded; one that failed but can be tried again leaves it open. */
  readonly state: 'open' | 'revoked' | 'failed'
  /** Of the last failure. */
  readonly error?: { readonly code: number; readonly message: string }
  readonly reportedAt?: Instant
}
