import { AgentError } from '../errors.ts'
import type { KeyHandle } from '../ports.ts'
import type { Instant, RequestSpec } from '../types.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
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
  assertUsable(leaf, at)
  const intermediates = certificates.filter((candidate) => candidate !== leaf)
  const path = verifyPath({
    leaf,
    intermediates,
    roots: [trusted],
    at: Math.max(at, leaf.notBefore),
    minLeafRsaBits: minLeafRsaBits(request),
  })
  if (!path.ok) {
    throw new AgentError('ERR_CERTIFICATE_UNTRUSTED', `the issued certificate has no valid path to the trusted root: ${path.reason}`)
  }
  return { chain: path.chain.map(({ raw }) => raw), leaf }
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

function assertUsable(leaf: Certificate, at: Instant): void {
  if (leaf.basicConstraints?.ca) mismatch('it is a CA certificate')
  if (at > leaf.notAfter) mismatch(`it expired on ${new Date(leaf.notAfter).toISOString()}`)
  if (at < leaf.notBefore - clockToleranceMs) mismatch(`it is not valid before ${new Date(leaf.notBefore).toISOString()}`)
}

function mismatch(reason: string): never {
  throw new AgentError('ERR_CERTIFICATE_MISMATCH', `the issued certificate is not as requested: ${reason}`)
}
