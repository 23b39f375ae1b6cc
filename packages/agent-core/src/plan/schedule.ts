import type { IdentityFacts, Instant } from '../types.ts'

/** No wait after a failure is shorter. */
export const backoffMinMs = 30_000
/** The first is no longer. */
export const backoffFirstMs = 60_000
/** No wait is longer. */
export const backoffMaxMs = 6 * 3_600_000
/** The share of the renewal window over which renewals are spread. */
export const jitterShareOfWindow = 0.1

/**
 * When renewal is due: the moment at which `thresholdPercent` of the certificate's own lifetime remains (S24), later by the jitter that
 * was drawn at installation. That was a tenth of the window as it was then: of a window that an edit made smaller no more is taken.
 */
export function renewAt(identity: Pick<IdentityFacts, 'notBefore' | 'notAfter' | 'renewalJitterMs'>, thresholdPercent: number): Instant {
  const windowMs = renewalWindowMs(identity, thresholdPercent)
  return identity.notAfter - windowMs + Math.min(identity.renewalJitterMs, Math.floor(windowMs * jitterShareOfWindow))
}

/** The part of the lifetime in which the device renews: threshold 20 on 100 days is the last 20 days. */
export function renewalWindowMs(certificate: { notBefore: Instant; notAfter: Instant }, thresholdPercent: number): number {
  return Math.floor(((certificate.notAfter - certificate.notBefore) * thresholdPercent) / 100)
}

/** The bounds from which the wait after the `count`th failure in a row is drawn: full jitter over a doubling delay. */
export function backoffBounds(count: number): { minMs: number; maxMs: number } {
  return { minMs: backoffMinMs, maxMs: Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(count - 1, 20)) }
}
