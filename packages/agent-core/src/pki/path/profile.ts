import { primitive, readSequence } from '../../der/index.ts'
import { AgentError } from '../../errors.ts'
import type { Instant } from '../../types.ts'
import type { Certificate } from '../certificate.ts'
import { ExtensionOid } from '../certificate-extensions.ts'
import { failure, type PathFailure } from './failure.ts'
import { isEmptyName, isSameName } from './names.ts'

/** Critical extensions that this validator obeys. All others that are critical refuse the certificate (RFC 5280 6.1.4 o). */
const understood: ReadonlySet<string> = new Set([
  ExtensionOid.KeyUsage,
  ExtensionOid.BasicConstraints,
  ExtensionOid.SubjectAltName,
  ExtensionOid.ExtendedKeyUsage,
  ExtensionOid.NameConstraints,
  ExtensionOid.CrlDistributionPoints,
  ExtensionOid.CertificatePolicies,
  ExtensionOid.PolicyMappings,
  ExtensionOid.PolicyConstraints,
  ExtensionOid.InhibitAnyPolicy,
])

/** Where a certificate stands in the path. */
export type Role = 'leaf' | 'intermediate' | 'root'

export function isSelfIssued(certificate: Certificate): boolean {
  return isSameName(certificate.subject, certificate.issuer)
}

/** RFC 5280 4.1.2.5: both ends belong to the period; fractions of a second are dropped. */
export function validityProblem(certificate: Certificate, at: Instant): PathFailure | undefined {
  const second = Math.floor(at / 1000) * 1000
  if (!(second >= certificate.notBefore)) return failure('not-yet-valid', `valid from ${new Date(certificate.notBefore).toISOString()} on`)
  if (!(second <= certificate.notAfter)) return failure('expired', `expired at ${new Date(certificate.notAfter).toISOString()}`)
  return undefined
}

/** What RFC 5280 says of one certificate by itself, whatever path it is in. */
export function profileProblem(certificate: Certificate, role: Role): PathFailure | undefined {
  return (
    criticalProblem(certificate) ??
    policyProblem(certificate) ??
    nameProblem(certificate) ??
    keyIdentifierProblem(certificate, role) ??
    consistencyProblem(certificate)
  )
}

/** RFC 5280 6.1.4 k, n: what makes a certificate an issuer. Version 1 and 2 certificates cannot say that they are one. */
export function issuerProblem(issuer: Certificate): PathFailure | undefined {
  if (issuer.basicConstraints?.ca !== true) return failure('not-a-ca', 'an issuer is no CA by its basicConstraints')
  if (issuer.keyUsage && !issuer.keyUsage.has('keyCertSign')) return failure('key-usage', 'an issuer lacks keyCertSign')
  return undefined
}

/** A purpose (dotted OID) holds where extendedKeyUsage is absent, names it, or names anyExtendedKeyUsage (RFC 5280 4.2.1.12). */
export function purposeProblem(certificate: Certificate, purpose: string): PathFailure | undefined {
  const purposes = certificate.extendedKeyUsage
  if (!purposes || purposes.includes(purpose) || purposes.includes('2.5.29.37.0')) return undefined
  return failure('purpose-mismatch', `extendedKeyUsage does not include ${purpose}`)
}

function criticalProblem({ extensions }: Certificate): PathFailure | undefined {
  for (const [oid, { critical }] of extensions) {
    if (critical && !understood.has(oid))
      return failure('critical-extension', `extension ${oid} is critical, and not understood or not allowed to be`)
  }
  return undefined
}

/**
 * Without requireExplicitPolicy the outcome of policy processing cannot refuse a path (RFC 5280 6.1.5 g),
 * so that policies, mappings and inhibitAnyPolicy need no tree.
 */
function policyProblem({ extensions }: Certificate): PathFailure | undefined {
  const constraints = extensions.get(ExtensionOid.PolicyConstraints)
  if (!constraints) return undefined
  if (!constraints.critical) return failure('profile-violated', 'policyConstraints is not critical (RFC 5280 4.2.1.11)')
  return requiresPolicy(constraints.value) ? failure('policy-unsupported', 'requireExplicitPolicy is not supported') : undefined
}

/** What cannot be read might require it. */
function requiresPolicy(constraints: Uint8Array): boolean {
  try {
    return readSequence(constraints, 'policyConstraints').some(({ tag }) => tag === primitive(0))
  } catch (error) {
    if (error instanceof AgentError) return true
    throw error
  }
}

/** RFC 5280 4.1.2.4, 4.1.2.6. */
function nameProblem(certificate: Certificate): PathFailure | undefined {
  if (isEmptyName(certificate.issuer)) return failure('profile-violated', 'the issuer is empty (RFC 5280 4.1.2.4)')
  if (!isEmptyName(certificate.subject)) return undefined
  if (certificate.basicConstraints?.ca) return failure('profile-violated', 'the subject of a CA is empty (RFC 5280 4.1.2.6)')
  if (certificate.extensions.get(ExtensionOid.SubjectAltName)?.critical) return undefined
  return failure('profile-violated', 'the subject is empty and no critical subjectAltName stands in for it (RFC 5280 4.1.2.6)')
}

/** RFC 5280 4.2.1.1, 4.2.1.2. */
function keyIdentifierProblem(certificate: Certificate, role: Role): PathFailure | undefined {
  if (certificate.basicConstraints?.ca && !certificate.subjectKeyIdentifier)
    return failure('profile-violated', 'a CA without subjectKeyIdentifier (RFC 5280 4.2.1.2)')
  if (role === 'root' || certificate.authorityKeyIdentifier?.keyIdentifier) return undefined
  if (isSelfIssued(certificate)) return failure('no-path', 'a self-signed certificate that is not among the roots')
  return failure('profile-violated', 'no authorityKeyIdentifier with a keyIdentifier (RFC 5280 4.2.1.1)')
}

/** RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.10. */
function consistencyProblem({ basicConstraints, keyUsage, extensions }: Certificate): PathFailure | undefined {
  if (basicConstraints?.ca) return undefined
  if (keyUsage?.has('keyCertSign')) return failure('profile-violated', 'keyCertSign without cA (RFC 5280 4.2.1.3)')
  if (basicConstraints?.pathLength !== undefined) return failure('profile-violated', 'pathLenConstraint without cA (RFC 5280 4.2.1.9)')
  if (extensions.has(ExtensionOid.NameConstraints))
    return failure('profile-violated', 'nameConstraints in a certificate that is no CA (RFC 5280 4.2.1.10)')
  return undefined
}
