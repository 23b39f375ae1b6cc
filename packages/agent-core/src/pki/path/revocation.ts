import { AgentError } from '../../errors.ts'
import type { Instant } from '../../types.ts'
import type { Certificate } from '../certificate.ts'
import { ExtensionOid } from '../certificate-extensions.ts'
import { type CertificateRevocationList, entryKey } from './crl.ts'
import { allReasons, comparableDirectory, type DistributionPoint, type ReasonMask, readDistributionPoints } from './distribution-points.ts'
import { failure, type PathFailure } from './failure.ts'
import { isSameName } from './names.ts'

/** What revocation checking asks of the path validator. */
export interface RevocationContext {
  readonly at: Instant
  readonly crls: readonly CertificateRevocationList[]
  /** Whether a certificate that is trusted, by the same root as the checked path, to sign CRLs made this signature. */
  isSignedByTrusted(crl: CertificateRevocationList): boolean
}

/** CRLReason removeFromCRL: an entry of a delta CRL that lifts a hold. */
const removeFromCrl = 8

/**
 * RFC 5280 6.3.3 for one certificate: revoked, or not covered for every reason by CRLs that are current and rightly signed.
 * CRLs without a number, of version 1, or with an unknown critical extension count as absent.
 */
export function revocationProblem(certificate: Certificate, context: RevocationContext): PathFailure | undefined {
  const points = distributionPointsOf(certificate)
  if (!points) return failure('revocation-unknown', 'cRLDistributionPoints cannot be read')
  let covered: ReasonMask = 0
  for (const point of points) {
    for (const crl of context.crls) {
      const reasons = scopeOf(crl, point, certificate)
      if ((reasons & ~covered) === 0 || !isUsable(crl, context)) continue
      if (isRevoked(certificate, crl, context)) return failure('revoked', 'a certificate is on a CRL')
      covered |= reasons
    }
  }
  return covered === allReasons ? undefined : failure('revocation-unknown', 'no current CRL covers a certificate')
}

/** Those of the certificate, then the one that stands for every CRL of its issuer (RFC 5280 6.3.3, last paragraph). */
function distributionPointsOf(certificate: Certificate): readonly DistributionPoint[] | undefined {
  const extension = certificate.extensions.get(ExtensionOid.CrlDistributionPoints)
  const issuer: DistributionPoint = { names: [comparableDirectory(certificate.issuer)], reasons: allReasons }
  if (!extension) return [issuer]
  try {
    return [...readDistributionPoints(extension.value, certificate.issuer), issuer]
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

/** Steps b to d: the reasons for which this complete CRL speaks of this certificate at this point; 0 for none. */
function scopeOf(crl: CertificateRevocationList, point: DistributionPoint, certificate: Certificate): ReasonMask {
  const scope = crl.issuingDistributionPoint
  if (crl.deltaBase !== undefined || !hasRightIssuer(crl, point, certificate)) return 0
  if (!scope) return point.reasons
  const wanted = point.names ?? point.crlIssuers ?? []
  if (scope.names && !scope.names.some((name) => wanted.includes(name))) return 0
  const isCa = certificate.basicConstraints?.ca === true
  if (scope.onlyAttributeCerts || (scope.onlyUserCerts && isCa) || (scope.onlyCaCerts && !isCa)) return 0
  return point.reasons & scope.reasons
}

function hasRightIssuer(crl: CertificateRevocationList, point: DistributionPoint, certificate: Certificate): boolean {
  if (!point.crlIssuers) return isSameName(crl.issuer, certificate.issuer)
  return crl.issuingDistributionPoint?.indirect === true && point.crlIssuers.includes(comparableDirectory(crl.issuer))
}

function isUsable(crl: CertificateRevocationList, context: RevocationContext): boolean {
  if (!crl.usable || crl.number === undefined || !isCurrent(crl, context.at)) return false
  return context.isSignedByTrusted(crl)
}

/** A CRL without nextUpdate breaks RFC 5280 5.1.2.5 and could be replayed for ever. */
function isCurrent(crl: CertificateRevocationList, at: Instant): boolean {
  return crl.thisUpdate <= at && crl.nextUpdate !== undefined && at <= crl.nextUpdate
}

function isRevoked(certificate: Certificate, crl: CertificateRevocationList, context: RevocationContext): boolean {
  const key = entryKey(comparableDirectory(certificate.issuer), certificate.serialNumber)
  const delta = newestDelta(crl, context)
  const reason = delta?.entries.get(key) ?? crl.entries.get(key)
  return reason !== undefined && reason !== removeFromCrl
}

/** Step c: same issuer, scope and signing key, built on this CRL or an older one, and newer than it. */
function newestDelta(complete: CertificateRevocationList, context: RevocationContext): CertificateRevocationList | undefined {
  const deltas = context.crls.filter((crl) => isDeltaOf(crl, complete) && isUsable(crl, context))
  return deltas.reduce<CertificateRevocationList | undefined>(
    (best, crl) => (best && (best.number ?? 0n) > (crl.number ?? 0n) ? best : crl),
    undefined,
  )
}

function isDeltaOf(crl: CertificateRevocationList, complete: CertificateRevocationList): boolean {
  if (crl.deltaBase === undefined || crl.number === undefined || complete.number === undefined) return false
  if (crl.deltaBase > complete.number || crl.number <= complete.number || !isSameName(crl.issuer, complete.issuer)) return false
  return (
    sameExtension(crl, complete, ExtensionOid.IssuingDistributionPoint) && sameExtension(crl, complete, ExtensionOid.AuthorityKeyIdentifier)
  )
}

function sameExtension(a: CertificateRevocationList, b: CertificateRevocationList, oid: string): boolean {
  return Buffer.compare(a.extensions.get(oid)?.value ?? new Uint8Array(), b.extensions.get(oid)?.value ?? new Uint8Array()) === 0
}
