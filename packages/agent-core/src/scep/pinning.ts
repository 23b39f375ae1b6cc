import { createHash } from 'node:crypto'
import { AgentError } from '../errors.ts'
import { type Certificate, fingerprintOf, isSelfSigned, parseCertificate } from '../pki/certificate.ts'
import { type PathVerdict, verifyPath } from '../pki/path/index.ts'
import type { Instant } from '../types.ts'
import { type CaCertificates, parseCaCertificates } from './ca-certificates.ts'
import type { ScepTrust } from './habits.ts'

export interface PinningRules {
  readonly trust: ScepTrust
  readonly at: Instant
  /** Takes certificates signed over SHA-1. Default false. */
  readonly legacySha1?: boolean
}

const keptLimit = 64
const kept = new Map<string, { readonly ca: CaCertificates; readonly from: Instant; readonly until: Instant }>()

/**
 * Reads a GetCACert answer and leaves in it only signers that, like the recipient, lead to what is trusted; otherwise `ERR_CA_UNTRUSTED`.
 *
 * The last 64 answers that passed are kept, because a fleet meets the same CA again and again: the same bytes under the same rules
 * pass again while all of their certificates are in date, which is all that could have changed.
 */
export function pinCaCertificates(body: Uint8Array, rules: PinningRules): CaCertificates {
  const { at } = rules
  const name = nameOf(body, rules)
  const known = kept.get(name)
  if (known && isWithin(known, at)) return known.ca
  const answer = parseCaCertificates(Uint8Array.from(body))
  const anchor = anchorOf(answer, rules.trust)
  const ca = pin(answer, anchor, rules)
  const validity = commonValidity([anchor, answer.recipient, ...answer.signers, ...answer.authorities])
  kept.delete(name)
  if (isWithin(validity, at)) kept.set(name, { ca, ...validity })
  if (kept.size > keptLimit) kept.delete(kept.keys().next().value as string)
  return ca
}

/** Everything that the verdict rests on, the time apart. */
function nameOf(body: Uint8Array, { trust, legacySha1 = false }: PinningRules): string {
  return `${fingerprintOf(body)} ${nameOfTrust(trust)} ${legacySha1}`
}

function nameOfTrust(trust: ScepTrust): string {
  if (trust === 'first-use') return trust
  if ('root' in trust) return `root ${fingerprintOf(trust.root)}`
  return 'fingerprint' in trust ? `fingerprint ${trust.fingerprint}` : `thumbprint ${trust.thumbprint}`
}

function commonValidity(certificates: readonly Certificate[]): { from: Instant; until: Instant } {
  return {
    from: Math.max(...certificates.map(({ notBefore }) => notBefore)),
    until: Math.min(...certificates.map(({ notAfter }) => notAfter)),
  }
}

function isWithin({ from, until }: { from: Instant; until: Instant }, at: Instant): boolean {
  return from <= at && at <= until
}

/** The recipient, and at least one signer, must lead to what the profile trusts; signers that do not are forgotten. */
function pin(ca: CaCertificates, anchor: Certificate, { at, legacySha1 = false }: PinningRules): CaCertificates {
  const intermediates = ca.authorities.filter((authority) => authority !== anchor)
  const judge = (leaf: Certificate): PathVerdict => verifyPath({ leaf, intermediates, roots: [anchor], at, legacySha1 })
  const verdicts = new Map([ca.recipient, ...ca.signers].map((certificate) => [certificate, judge(certificate)]))
  const signers = ca.signers.filter((signer) => verdicts.get(signer)?.ok)
  const refused = [ca.recipient, ...(signers.length === 0 ? ca.signers : [])]
    .map((certificate) => verdicts.get(certificate))
    .find((verdict) => !verdict?.ok)
  if (refused && !refused.ok) untrusted(`a certificate of the SCEP server does not lead to the trusted root: ${refused.reason}`)
  return { ...ca, signers }
}

function anchorOf({ authorities, ca }: CaCertificates, trust: ScepTrust): Certificate {
  if (trust === 'first-use') return authorities.find(isSelfSigned) ?? ca
  if ('root' in trust) return parseCertificate(trust.root)
  const [digest, named] = 'fingerprint' in trust ? ['fingerprint', trust.fingerprint] : ['thumbprint', trust.thumbprint]
  return authorities.find(({ raw }) => isPinned(raw, trust)) ?? untrusted(`no CA certificate of the SCEP server has the ${digest} ${named}`)
}

/** Whether a pin names this certificate, DER. */
export function isPinned(certificate: Uint8Array, pin: Exclude<ScepTrust, 'first-use' | { readonly root: Uint8Array }>): boolean {
  if ('fingerprint' in pin) return fingerprintOf(certificate) === pin.fingerprint
  const hash = pin.thumbprint.length === md5Digits ? 'md5' : 'sha1'
  return createHash(hash).update(certificate).digest('hex') === pin.thumbprint
}

const md5Digits = 32

function untrusted(message: string): never {
  throw new AgentError('ERR_CA_UNTRUSTED', message)
}
