import type { Instant } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  extendedKeyUsageExtension,
  type KeyUsageBit,
  keyIdentifierOf,
  keyUsageExtension,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { caFacts, says } from '@certfleet/platforms'
import { endOfValidity } from '../tenant/validity.ts'
import type { Authority } from './authority.ts'
import { type Publication, publicationExtensions } from './ca/publication.ts'
import type { CertificateTemplate } from './ca/templates.ts'
import type { CertificateGrant } from './records.ts'

/** A new certificate is valid from this long ago, for devices whose clock is behind. */
const backdatedMs = 10 * 60_000

export interface IssueTerms {
  readonly serialNumber: Uint8Array
  readonly at: Instant
  readonly authority: Authority
  readonly template: CertificateTemplate
  /** EDITF_ATTRIBUTEENDDATE is running: a lifetime in the grant counts (S50). */
  readonly honoursEndDate: boolean
  readonly publish: Publication
}

/**
 * Issues what was granted: template and grant decide every field, nothing is copied from a request (S48).
 * The lifetime is the template's, or a shorter one that was granted (S50), cut off at the CA's own end.
 */
export function issueCertificate(grant: CertificateGrant, terms: IssueTerms): Promise<Uint8Array> {
  const { serialNumber, at, authority, template, publish } = terms
  const { issuing } = authority
  const { subject, publicKey, subjectAltNames, extendedKeyUsages } = grant
  const notBefore = Math.floor((at - backdatedMs) / 1000) * 1000
  const validity = terms.honoursEndDate ? grant.validity : undefined
  const lifetimeEnds = notBefore + template.validityMs
  return buildCertificate({
    serialNumber,
    issuer: issuing.certificate.subject,
    subject,
    publicKey,
    notBefore,
    notAfter: Math.min(lifetimeEnds, validity ? endOfValidity(validity, notBefore) : lifetimeEnds, issuing.certificate.notAfter),
    extensions: [
      keyUsageExtension(keyUsagesOf(template, grant)),
      extendedKeyUsageExtension(
        template.applicationPolicies ?? (extendedKeyUsages.length > 0 ? extendedKeyUsages : [says(caFacts.templatePurpose, {})]),
      ),
      ...(subjectAltNames.length > 0 ? [subjectAltNameExtension(subjectAltNames, subject.length === 2)] : []),
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuing.key.publicKey)),
      ...publicationExtensions(publish, authority),
    ],
    signer: issuing.key,
    hash: 'sha256',
  })
}

/** "Signature is proof of origin" is the nonRepudiation bit, beside whatever else there is (S49). */
function keyUsagesOf(template: CertificateTemplate, grant: CertificateGrant): readonly KeyUsageBit[] {
  const granted = grant.keyUsages.length > 0 ? grant.keyUsages : (['digitalSignature', 'keyEncipherment'] as const)
  const usages: readonly KeyUsageBit[] = template.keyUsages ?? granted
  return template.signatureIsProofOfOrigin ? [...usages, says(caFacts.proofOfOrigin, {})] : usages
}
