import type { IdentityFacts, Instant } from '../types.ts'

/** First wait after a failure. */
export const backoffMinMs = 60_000
/** No wait is longer. */
export const backoffMaxMs = 6 * 3_600_000
/** The share of the renewal window over which renewals are spread. */
export const jitterShareOfWindow = 0.1

/**
 * When renewal is due: the moment at which `thresholdPercent` of the certificate's own lifetime remains (S24),
 * later by the jitter that was drawn at installation, and never after it has expired.
 */
export function renewAt(identity: Pick<IdentityFacts, 'notBefore' | 'notAfter' | 'renewalJitterMs'>, thresholdPercent: number): Instant {
  return Math.min(identity.notAfter, identity.notAfter - renewalWindowMs(identity, thresholdPercent) + identity.renewalJitterMs)
}

/** The part of the lifetime in which the device renews: threshold 20 on 100 days is the last 20 days. */
export function renewalWindowMs(certificate: { notBefore: Instant; notAfter: Instant }, thresholdPercent: number): number {
  return Math.floor(((certificate.notAfter - certificate.notBefore) * thresholdPercent) / 100)
}

/** The bounds from which the wait after the `count`th failure in a row is drawn: half to whole of a doubling delay. */
export function backoffBounds(count: number): { minMs: number; maxMs: number } {
  const maxMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(count - 1, 20))
  return { minMs: maxMs / 2, maxMs }
}
