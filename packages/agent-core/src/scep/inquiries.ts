import { randomBytes } from 'node:crypto'
import { issuerAndSerialNumber } from '../cms/recipient-identifier.ts'
import { AgentError } from '../errors.ts'
import { type Certificate, parseCertificate, publicKeyOf } from '../pki/certificate.ts'
import { sameName } from '../pki/names.ts'
import { type CertificateRevocationList, parseCrl } from '../pki/path/crl.ts'
import { signatureWeakness } from '../pki/path/floors.ts'
import { verifySignature } from '../pki/path/signature.ts'
import type { KeyHandle } from '../ports.ts'
import { type CaCertificates, parseNextCaCertificates } from './ca-certificates.ts'
import type { CertRep } from './cert-rep.ts'
import { failureText, operate, type ScepProtocolOptions } from './operation.ts'
import { assertOk, get, meetServer, type ScepServer } from './server.ts'

/** Who asks: a certificate of the CA and its key, which signs the question and decrypts the answer; a key that cannot: `ERR_UNSUPPORTED`. */
export interface ScepIdentity {
  /** DER. */
  readonly certificate: Uint8Array
  readonly key: KeyHandle
}

/** A certificate by its issuer's name, DER, and the contents of its serial number. */
export interface CertificateName {
  readonly issuer: Uint8Array
  readonly serialNumber: Uint8Array
}

/** What a CA answers to a question; a refusal is an answer. */
export type ScepAnswer<T> =
  | { readonly status: 'found'; readonly found: T }
  | { readonly status: 'rejected'; readonly failInfo: string; readonly text?: string }

/**
 * The certificates that the CA will have after its roll-over (GetNextCACert, RFC 8894 4.7), vouched for by the signature of the CA
 * that `options.trust` pins today. Undefined where the server prepares none. They may not be valid yet; whoever keeps them decides when they count.
 */
export async function nextCaCertificates(options: ScepProtocolOptions, signal: AbortSignal): Promise<CaCertificates | undefined> {
  const { url, capabilities, ca } = await meetServer(options, signal)
  if (!capabilities.has('GetNextCACert')) return undefined
  const response = await get(url, 'GetNextCACert', options, signal)
  // The roll-over may have come about between the two questions.
  if (response.status === 404) return undefined
  assertOk(response, 'GetNextCACert')
  return parseNextCaCertificates(response.body, { signers: ca.signers, legacySha1: options.legacySha1 ?? false })
}

/** Fetches a certificate that the CA issued (GetCert, RFC 8894 4.5). Another one than was asked for: `ERR_CERTIFICATE_MISMATCH`. */
export async function getCertificate(
  options: ScepProtocolOptions,
  wanted: CertificateName,
  asker: ScepIdentity,
  signal: AbortSignal,
): Promise<ScepAnswer<Certificate>> {
  const { reply } = await ask('GetCert', wanted, asker, options, signal)
  if (reply.status !== 'success') return rejected(reply)
  const found = reply.certificates.map(parseCertificate).find((certificate) => isNamed(certificate, wanted))
  if (found) return { status: 'found', found }
  throw new AgentError('ERR_CERTIFICATE_MISMATCH', 'the CA answered GetCert with another certificate than was asked for')
}

/**
 * Fetches the CRL that covers a certificate (GetCRL, RFC 8894 4.6), signed by a CA that is pinned.
 * Whether it is current, `verifyPath` judges with `crls`. None by that CA, or signed by another: `ERR_CERTIFICATE_UNTRUSTED`.
 */
export async function getCrl(
  options: ScepProtocolOptions,
  wanted: CertificateName,
  asker: ScepIdentity,
  signal: AbortSignal,
): Promise<ScepAnswer<CertificateRevocationList>> {
  const { reply, server } = await ask('GetCRL', wanted, asker, options, signal)
  if (reply.status !== 'success') return rejected(reply)
  const { legacySha1 = false } = options
  const found = reply.crls.map(parseCrl).find((crl) => sameName(crl.issuer, wanted.issuer) && isSigned(crl, server, legacySha1))
  if (found) return { status: 'found', found }
  throw new AgentError('ERR_CERTIFICATE_UNTRUSTED', 'the CA answered GetCRL without a CRL that the issuer signed')
}

async function ask(
  messageType: 'GetCert' | 'GetCRL',
  wanted: CertificateName,
  { certificate, key }: ScepIdentity,
  options: ScepProtocolOptions,
  signal: AbortSignal,
): Promise<{ reply: CertRep; server: ScepServer }> {
  if (!key.unwrapKey) throw new AgentError('ERR_UNSUPPORTED', `the key "${key.label}" cannot decrypt a SCEP reply: it must be an RSA key`)
  const server = await meetServer(options, signal)
  // It asks about no enrolment, so that it must not bear the transactionID of one.
  const transactionId = randomBytes(16).toString('hex').toUpperCase()
  const signer = { certificate: parseCertificate(certificate), key }
  const operation = { messageType, content: issuerAndSerialNumber(wanted), transactionId, signer }
  return { reply: await operate(operation, server, options, signal), server }
}

function rejected(reply: Exclude<CertRep, { status: 'success' }>): ScepAnswer<never> {
  if (reply.status === 'failure') return { status: 'rejected', failInfo: reply.failInfo, ...failureText(reply) }
  throw new AgentError('ERR_SCEP_MALFORMED', 'malformed SCEP message: a question about what there is cannot be pending')
}

function isNamed(certificate: Certificate, { issuer, serialNumber }: CertificateName): boolean {
  return Buffer.compare(certificate.serialNumber, serialNumber) === 0 && sameName(certificate.issuer, issuer)
}

function isSigned(crl: CertificateRevocationList, { ca }: ScepServer, legacySha1: boolean): boolean {
  if (signatureWeakness(crl.signatureAlgorithm, { legacySha1 })) return false
  return ca.signers.some(
    (authority) =>
      sameName(authority.subject, crl.issuer) &&
      (authority.keyUsage?.has('cRLSign') ?? true) &&
      verifySignature(publicKeyOf(authority), crl.signatureAlgorithm, crl.tbs, crl.signature),
  )
}
