import type { Instant, Validity } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  PurposeOid,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import type { Authority } from './authority.ts'
import type { CertificateGrant } from './records.ts'

/** A new certificate is valid from this long ago, for devices whose clock is behind. */
const backdatedMs = 10 * 60_000

/**
 * Issues what was granted: template and grant decide every field, nothing is copied from a request (S48).
 * The lifetime is the granted one, at most the template's, cut off at the CA's own end (S50).
 */
export function issueCertificate(
  grant: CertificateGrant,
  {
    serialNumber,
    at,
    authority,
    templateValidityMs,
  }: { serialNumber: Uint8Array; at: Instant; authority: Authority; templateValidityMs: number },
): Promise<Uint8Array> {
  const { issuing } = authority
  const { subject, publicKey, subjectAltNames, keyUsages, extendedKeyUsages, validity } = grant
  const notBefore = Math.floor((at - backdatedMs) / 1000) * 1000
  const lifetimeEnds = notBefore + templateValidityMs
  return buildCertificate({
    serialNumber,
    issuer: issuing.certificate.subject,
    subject,
    publicKey,
    notBefore,
    notAfter: Math.min(lifetimeEnds, validity ? endOf(validity, notBefore) : lifetimeEnds, issuing.certificate.notAfter),
    extensions: [
      keyUsageExtension(keyUsages.length > 0 ? keyUsages : ['digitalSignature', 'keyEncipherment']),
      extendedKeyUsageExtension(extendedKeyUsages.length > 0 ? extendedKeyUsages : [PurposeOid.ClientAuth]),
      ...(subjectAltNames.length > 0 ? [subjectAltNameExtension(subjectAltNames, subject.length === 2)] : []),
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuing.key.publicKey)),
    ],
    signer: issuing.key,
    hash: 'sha256',
  })
}

/** Months and years by the calendar. */
function endOf({ value, scale }: Validity, from: Instant): Instant {
  const end = new Date(from)
  if (scale === 'days') end.setUTCDate(end.getUTCDate() + value)
  else end.setUTCMonth(end.getUTCMonth() + value * (scale === 'years' ? 12 : 1))
  // A count beyond what a Date can hold is cut off by the template all the same.
  return Number.isNaN(end.getTime()) ? Number.POSITIVE_INFINITY : end.getTime()
}
