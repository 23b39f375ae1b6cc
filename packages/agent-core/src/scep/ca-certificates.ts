import { buildCertificatesOnly, openCertificatesOnly } from '../cms/certificates-only.ts'
import { buildSignedData, type CmsSigner, openSignedData } from '../cms/signed-data.ts'
import { normaliseBer } from '../der/ber.ts'
import { readSequence, Tag } from '../der/index.ts'
import { type Certificate, parseCertificate } from '../pki/certificate.ts'
import { canonicalRdns } from '../pki/names.ts'
import type { HashName } from '../types.ts'
import { malformedScep } from './attributes.ts'

/** A GetCACert answer, its certificates told apart. Nothing is trusted yet: each one that is used needs a path to the pinned CA. */
export interface CaCertificates {
  /** The CA that issues. */
  readonly ca: Certificate
  /** All CA certificates, the issuing one first. */
  readonly authorities: readonly Certificate[]
  /** Who may sign an answer: RA certificates for digitalSignature, then the issuing CA. */
  readonly signers: readonly Certificate[]
  /** Whom requests are encrypted to: the RA certificate for keyEncipherment, the newest of several, or the CA. */
  readonly recipient: Certificate
}

/**
 * Reads a GetCACert body: one certificate, or a degenerate SignedData with CA and RA certificates in any order (RFC 8894 4.2).
 * Told by its bytes, because servers mislabel it. No certificate or no CA in it: `ERR_SCEP_MALFORMED`.
 */
export function parseCaCertificates(body: Uint8Array): CaCertificates {
  return sortRoles(readCertificates(body).map(parseCertificate))
}

function readCertificates(body: Uint8Array): readonly Uint8Array[] {
  const der = normaliseBer(body, 'GetCACert answer')
  return readSequence(der, 'GetCACert answer')[0]?.tag === Tag.Oid ? openCertificatesOnly(der).certificates : [der]
}

interface Named {
  readonly certificate: Certificate
  /** Names made comparable once, because every certificate is compared with every other. */
  readonly subject: string
  readonly issuer: string
}

function sortRoles(certificates: readonly Certificate[]): CaCertificates {
  const all = certificates.map(named)
  const authorities = all.length === 1 ? all : all.filter(isAuthority)
  const registration = all.filter((candidate) => !authorities.includes(candidate))
  const ca = (authorities.find((candidate) => issuedAny(candidate, registration)) ?? lowest(authorities))?.certificate
  if (ca === undefined) return malformedScep(`no CA certificate among the ${certificates.length} of the GetCACert answer`)
  const others = registration.map(({ certificate }) => certificate)
  const encrypting = others.filter(mayUse('keyEncipherment')).sort((a, b) => b.notBefore - a.notBefore)
  return {
    ca,
    authorities: [ca, ...authorities.flatMap(({ certificate }) => (certificate === ca ? [] : [certificate]))],
    signers: [...others.filter(mayUse('digitalSignature')), ca],
    recipient: encrypting[0] ?? ca,
  }
}

function named(certificate: Certificate): Named {
  return { certificate, subject: canonicalRdns(certificate.subject).join(), issuer: canonicalRdns(certificate.issuer).join() }
}

/** Version 1 has no basic constraints: there a certificate that names itself as issuer is a root. */
function isAuthority({ certificate: { basicConstraints, version }, subject, issuer }: Named): boolean {
  return basicConstraints?.ca ?? (version < 3 && subject === issuer)
}

function issuedAny(ca: Named, certificates: readonly Named[]): boolean {
  return certificates.some(({ issuer }) => issuer === ca.subject)
}

/** The CA that issued none of the others. */
function lowest(authorities: readonly Named[]): Named | undefined {
  return (
    authorities.find(
      (candidate) =>
        !issuedAny(
          candidate,
          authorities.filter((other) => other !== candidate),
        ),
    ) ?? authorities[0]
  )
}

function mayUse(usage: 'digitalSignature' | 'keyEncipherment') {
  return ({ keyUsage }: Certificate): boolean => keyUsage === undefined || keyUsage.has(usage)
}

/** A GetNextCACert answer: the CA's next certificates, signed by the present CA or RA, DER (RFC 8894 4.7). */
export function buildNextCaCertificates(next: {
  certificates: readonly Uint8Array[]
  signer: CmsSigner
  hash: HashName
}): Promise<Uint8Array> {
  const { certificates, signer, hash } = next
  const content = buildCertificatesOnly({ certificates, crls: [] })
  return buildSignedData({ content, signer, hash, attributes: [], certificates: [signer.certificate.raw] })
}

/** Reads such an answer. Only what `signers`, pinned before, have signed is returned; fails with the errors of openSignedData. */
export function parseNextCaCertificates(
  body: Uint8Array,
  rules: { signers: readonly Certificate[]; legacySha1?: boolean },
): CaCertificates {
  const { content } = openSignedData(body, rules)
  if (content === undefined) malformedScep('a GetNextCACert answer without content')
  return parseCaCertificates(content)
}
