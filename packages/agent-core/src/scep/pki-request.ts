import { hash as digestOf, randomBytes } from 'node:crypto'
import { buildEnvelopedData, type ContentCipher, type EnvelopeRecipient, openEnvelopedData, undecryptable } from '../cms/enveloped-data.ts'
import { buildSignedData, type CmsSigner, openSignedData } from '../cms/signed-data.ts'
import { normaliseBer } from '../der/ber.ts'
import { expectTag, integer, integerBytes, malformed, readSequence, sequence, Tag } from '../der/index.ts'
import { AgentError } from '../errors.ts'
import { buildCertificate, type NameInput, nameDer } from '../pki/build-certificate.ts'
import { type Certificate, parseCertificate } from '../pki/certificate.ts'
import { type CertificateRequest, parseCsr, verifyCsr } from '../pki/csr.ts'
import { keyUsageExtension } from '../pki/extensions.ts'
import type { KeyHandle, UnwrapPadding } from '../ports.ts'
import type { HashName, Instant } from '../types.ts'
import { encodeScepAttributes, malformedScep, type RequestType, readEnvelopeOf, readNonce } from './attributes.ts'

const nonceBytes = 16
const dayMs = 86_400_000

/** RFC 8894 3.2.1.1 lets the client choose: a hash of the SubjectPublicKeyInfo, upper-case hex digits, so that a resend has the same. */
export function transactionIdFor(publicKey: Uint8Array, hash: 'sha1' | 'sha256' = 'sha256'): string {
  return digestOf(hash, publicKey, 'hex').toUpperCase()
}

/**
 * The self-signed certificate that signs a first request (RFC 8894 2.3): the request's subject, digitalSignature and keyEncipherment,
 * serial number 1 as Android clients have it unless another is given, from a day before `at` to a year after.
 * `key` is the request's own, or a throwaway RSA key where that one cannot decrypt.
 */
export async function buildRequestSigner({
  subject,
  key,
  hash,
  at,
  serialNumber = 1,
}: {
  subject: NameInput
  key: KeyHandle
  hash: HashName
  at: Instant
  /** From 0. */
  serialNumber?: number | undefined
}): Promise<CmsSigner> {
  const name = nameDer(subject)
  const der = await buildCertificate({
    // Tag and length are an octet each: a number has few octets.
    serialNumber: integer(serialNumber).subarray(2),
    issuer: name,
    subject: name,
    publicKey: key.publicKey,
    notBefore: at - dayMs,
    notAfter: at + 365 * dayMs,
    extensions: [keyUsageExtension(['digitalSignature', 'keyEncipherment'])],
    signer: key,
    hash,
  })
  return { certificate: parseCertificate(der), key }
}

export interface PkiRequestContents {
  readonly messageType: RequestType
  /** A CSR (PKCSReq, RenewalReq), an IssuerAndSubject (CertPoll), or an IssuerAndSerialNumber (GetCert, GetCRL), DER. */
  readonly content: Uint8Array
  /** {@link transactionIdFor} the key of the CSR. */
  readonly transactionId: string
  /** Who decrypts: the CA, or the RA's encryption certificate. */
  readonly recipient: Certificate
  /** Self-signed for a first request; the certificate to be renewed for a renewal. The answer is encrypted to it, so its key is RSA. */
  readonly signer: CmsSigner
  readonly hash: HashName
  readonly cipher: ContentCipher
  readonly keyTransport?: UnwrapPadding
}

/** A pkiMessage that asks, DER (RFC 8894 3.3), with the fresh nonce that the answer must repeat. */
export async function buildPkiRequest(contents: PkiRequestContents): Promise<{ message: Uint8Array; senderNonce: Uint8Array }> {
  const { messageType, content, transactionId, recipient, signer, hash, cipher, keyTransport } = contents
  const senderNonce = randomBytes(nonceBytes)
  const message = await buildSignedData({
    content: buildEnvelopedData({ content, recipient, cipher, keyTransport }),
    signer,
    hash,
    attributes: encodeScepAttributes({ messageType, transactionId, senderNonce }),
    certificates: [signer.certificate.raw],
  })
  return { message, senderNonce }
}

/** What CertPoll asks with (RFC 8894 3.3.3): the names of the CA and of the pending request, DER. */
export function issuerAndSubject(issuer: Uint8Array, subject: Uint8Array): Uint8Array {
  return sequence(issuer, subject)
}

/** A request whose signature is good. Who its signer is, and what that one may have, is for the server to judge. */
export interface PkiRequest {
  readonly messageType: RequestType
  readonly transactionId: string
  readonly senderNonce: Uint8Array
  /** From the message itself: self-signed, or one that it claims to renew. */
  readonly signer: Certificate
  readonly hash: HashName
  /** Still encrypted. */
  readonly envelope: Uint8Array
}

/**
 * Reads a request and checks its signature by the certificate that it brings along; decrypts nothing.
 * Fails with the errors of openSignedData, or with `ERR_SCEP_MALFORMED`.
 */
export function verifyPkiRequest(bytes: Uint8Array, { legacySha1 }: { legacySha1?: boolean } = {}): PkiRequest {
  const message = openSignedData(bytes, { signers: 'enclosed', legacySha1 })
  const { messageType, transactionId } = readEnvelopeOf(message)
  const senderNonce = readNonce(message, 'senderNonce')
  if (messageType === 'CertRep') malformedScep('a CertRep where a request was expected')
  if (senderNonce === undefined) malformedScep('it has no senderNonce')
  if (message.content === undefined) malformedScep('a request without an envelope')
  return { messageType, transactionId, senderNonce, signer: message.signer, hash: message.hash, envelope: message.content }
}

export interface OpenRequestRules {
  /** The certificates that a request may be encrypted to, with their keys. */
  readonly recipients: readonly EnvelopeRecipient[]
  readonly legacyDes?: boolean
  /** For the CSR's own signature. */
  readonly legacySha1?: boolean
  /** Take CSRs whose version is not 0, as some Apple clients send. */
  readonly allowBadVersion?: boolean
}

/** `cipher` is the client's; the answer had better use the same. */
export type OpenedRequest = { readonly cipher: ContentCipher } & (
  | { readonly messageType: 'PKCSReq' | 'RenewalReq' /** Signed by its own key. */; readonly csr: CertificateRequest }
  /** Names, DER. */
  | { readonly messageType: 'CertPoll'; readonly issuer: Uint8Array; readonly subject: Uint8Array }
  /** Name, DER, and the contents of the INTEGER. */
  | { readonly messageType: 'GetCert' | 'GetCRL'; readonly issuer: Uint8Array; readonly serialNumber: Uint8Array }
)

/**
 * Decrypts a request that {@link verifyPkiRequest} returned and reads what it asks for.
 * Fails with the errors of openEnvelopedData (`ERR_CMS_DECRYPT` too when what comes out is no DER at all, so that nobody learns which),
 * parseCsr and verifyCsr.
 */
export async function openPkiRequest(request: PkiRequest, rules: OpenRequestRules): Promise<OpenedRequest> {
  const { content, cipher } = await openEnvelope(request.envelope, rules)
  const { messageType } = request
  if (messageType === 'PKCSReq' || messageType === 'RenewalReq') {
    const csr = parseCsr(content, rules)
    verifyCsr(csr, rules)
    return { messageType, cipher, csr }
  }
  const [issuer, second, ...rest] = readSequence(content, messageType)
  const name = expectTag(issuer, Tag.Sequence, 'issuer').raw
  if (rest.length > 0) malformed(messageType, 'it is not two values')
  if (messageType === 'CertPoll') return { messageType, cipher, issuer: name, subject: expectTag(second, Tag.Sequence, 'subject').raw }
  return { messageType, cipher, issuer: name, serialNumber: integerBytes(second, 'serial number') }
}

/** The content of an envelope, in which SCEP only ever has one BER value; anything else is taken for a decryption that failed. */
export async function openEnvelope(
  envelope: Uint8Array,
  rules: Pick<OpenRequestRules, 'recipients' | 'legacyDes'>,
): Promise<{ content: Uint8Array; cipher: ContentCipher }> {
  const { content, cipher } = await openEnvelopedData(envelope, rules)
  try {
    return { content: normaliseBer(content), cipher }
  } catch (error) {
    if (error instanceof AgentError) return undecryptable()
    throw error
  }
}
