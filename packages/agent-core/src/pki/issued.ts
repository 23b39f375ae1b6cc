import { AgentError } from '../errors.ts'
import type { KeyHandle } from '../ports.ts'
import type { Instant, RequestSpec } from '../types.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { rememberLeaf } from './installed.ts'
import { canonicalRdns, encodeName, formatName, parseDistinguishedName } from './names.ts'
import { verifyPath } from './path/verify-path.ts'
import { readSubjectAltNames } from './subject-alt-names.ts'

/** Clocks of CA and device may differ by this much before a fresh certificate counts as not yet valid. */
const clockToleranceMs = 5 * 60_000

export interface IssuedCheck {
  /** What the CA sent, in any order; DER. */
  readonly issued: readonly Uint8Array[]
  readonly request: Pick<RequestSpec, 'subject' | 'subjectAltNames' | 'keySpec'>
  readonly key: Pick<KeyHandle, 'publicKey'>
  /** The trusted certificate that the chain must lead to, DER. */
  readonly root: Uint8Array
  readonly at: Instant
}

/**
 * Finds our certificate among those issued and judges it before anything is stored: our key, our subject, every SAN that was
 * asked for, in date, not a CA (`ERR_CERTIFICATE_MISMATCH`), and a valid path to the root (`ERR_CERTIFICATE_UNTRUSTED`).
 * Returns the path, leaf first, root last.
 */
export function verifyIssued({ issued, request, key, root, at }: IssuedCheck): { chain: readonly Uint8Array[]; leaf: Certificate } {
  const trusted = parseCertificate(root)
  const certificates = issued.filter((der) => Buffer.compare(der, root) !== 0).flatMap(readable)
  const leaf = certificates.find((candidate) => Buffer.compare(candidate.publicKey, key.publicKey) === 0)
  if (!leaf) mismatch('none of the certificates is for the key of the request')
  assertAsRequested(leaf, request)
  const unfit = whyUnfit(leaf, at)
  if (unfit !== undefined) mismatch(unfit)
  const issuers = certificates.filter((candidate) => candidate !== leaf)
  const chain = pathTo({ trusted, leaf, issuers, at, minLeafRsaBits: minLeafRsaBits(request) })
  rememberLeaf(leaf)
  return { chain, leaf }
}

export interface DeliveredCheck {
  /** Whose key was shown to be its own, DER. */
  readonly certificate: Uint8Array
  /** What may stand between it and the root, in any order; DER. */
  readonly issuers: readonly Uint8Array[]
  /** The trusted certificate that the chain must lead to, DER. */
  readonly root: Uint8Array
  readonly at: Instant
}

/** As `verifyIssued` of a certificate that was not requested by the device: it chose neither key nor names. */
export function verifyDelivered({ certificate, issuers, root, at }: DeliveredCheck): { chain: readonly Uint8Array[]; leaf: Certificate } {
  const leaf = parseCertificate(certificate)
  const unfit = whyUnfit(leaf, at)
  if (unfit !== undefined) throw new AgentError('ERR_CERTIFICATE_MISMATCH', `the delivered certificate cannot be installed: ${unfit}`)
  const others = issuers.filter((der) => Buffer.compare(der, root) !== 0).flatMap(readable)
  return { chain: pathTo({ trusted: parseCertificate(root), leaf, issuers: others, at, minLeafRsaBits: 2048 }), leaf }
}

interface PathWish {
  readonly trusted: Certificate
  readonly leaf: Certificate
  readonly issuers: readonly Certificate[]
  readonly at: Instant
  readonly minLeafRsaBits: number
}

/** Leaf first, root last, DER. */
function pathTo({ trusted, leaf, issuers, at, minLeafRsaBits }: PathWish): readonly Uint8Array[] {
  const path = verifyPath({ leaf, intermediates: issuers, roots: [trusted], at: Math.max(at, leaf.notBefore), minLeafRsaBits })
  if (!path.ok) {
    throw new AgentError('ERR_CERTIFICATE_UNTRUSTED', `the issued certificate has no valid path to the trusted root: ${path.reason}`)
  }
  return path.chain.map(({ raw }) => raw)
}

/** What cannot be read cannot be ours, and leads nowhere. */
function readable(der: Uint8Array): Certificate[] {
  try {
    return [parseCertificate(der)]
  } catch (error) {
    if (error instanceof AgentError) return []
    throw error
  }
}

/** RSA-1024 passes where the profile asks for it, and nowhere else. */
function minLeafRsaBits({ keySpec }: IssuedCheck['request']): number {
  return keySpec.algorithm === 'rsa' ? Math.min(2048, keySpec.bits) : 2048
}

function assertAsRequested(leaf: Certificate, request: IssuedCheck['request']): void {
  const wanted = encodeName(parseDistinguishedName(request.subject))
  if (!sameAttributes(leaf.subject, wanted)) mismatch(`its subject is ${formatName(leaf.subject)}, not ${formatName(wanted)}`)
  const names = new Set(readSubjectAltNames(leaf).map(({ type, value }) => `${type}:${value}`))
  const missing = request.subjectAltNames.find(({ type, value }) => !names.has(`${type}:${value}`))
  if (missing) mismatch(`it lacks the subject alternative name ${missing.type}:${missing.value}`)
}

/** CAs built on Go write the RDNs in an order of their own (C, O, OU, …, CN); the same RDNs in another order are still our subject. */
function sameAttributes(a: Uint8Array, b: Uint8Array): boolean {
  const sorted = (name: Uint8Array) => JSON.stringify([...canonicalRdns(name)].sort())
  return Buffer.compare(a, b) === 0 || sorted(a) === sorted(b)
}

function whyUnfit(leaf: Certificate, at: Instant): string | undefined {
  if (leaf.basicConstraints?.ca) return 'it is a CA certificate'
  if (at > leaf.notAfter) return `it expired on ${new Date(leaf.notAfter).toISOString()}`
  if (at < leaf.notBefore - clockToleranceMs) return `it is not valid before ${new Date(leaf.notBefore).toISOString()}`
  return undefined
}

function mismatch(reason: string): never {
  throw new AgentError('ERR_CERTIFICATE_MISMATCH', `the issued certificate is not as requested: ${reason}`)
}
