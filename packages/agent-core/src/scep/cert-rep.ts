import { randomBytes } from 'node:crypto'
import { buildCertificatesOnly, type CertificateBag, openCertificatesOnly } from '../cms/certificates-only.ts'
import { buildEnvelopedData, type ContentCipher, type EnvelopeRecipient } from '../cms/enveloped-data.ts'
import { buildSignedData, type CmsSigner, openSignedData, type SignedMessage } from '../cms/signed-data.ts'
import { AgentError } from '../errors.ts'
import type { Certificate } from '../pki/certificate.ts'
import type { UnwrapPadding } from '../ports.ts'
import type { HashName } from '../types.ts'
import {
  encodeScepAttributes,
  type FailInfo,
  malformedScep,
  readEnvelopeOf,
  readFailure,
  readNonce,
  readPkiStatus,
  type ScepFailure,
} from './attributes.ts'
import { openEnvelope, type PkiRequest } from './pki-request.ts'

export interface CertRepRules {
  /** The CA and RA certificates that may sign for it, pinned before; certificates in the message count for nothing. */
  readonly signers: readonly Certificate[]
  readonly transactionId: string
  /** The nonce of the request that this answers. */
  readonly senderNonce: Uint8Array
  /** The request's signer, to whom a success is encrypted. */
  readonly recipient: EnvelopeRecipient
  readonly legacySha1?: boolean | undefined
  readonly legacyDes?: boolean | undefined
}

/** What the CA answered. Certificates come as sent, in no order, DER, and are still to be judged. */
export type CertRep =
  | ({ readonly status: 'success' } & CertificateBag)
  | { readonly status: 'pending' }
  | ({ readonly status: 'failure' } & ScepFailure)

/**
 * Verifies an answer, then reads it, then decrypts it. Content counts only in a success: NDES puts one zero byte into a failure.
 * Another transaction's or an old answer: `ERR_SCEP_REPLY_MISMATCH`; otherwise the errors of openSignedData and openEnvelopedData,
 * and `ERR_SCEP_MALFORMED` for a success that carries nothing.
 */
export async function parseCertRep(bytes: Uint8Array, rules: CertRepRules): Promise<CertRep> {
  const { signers, recipient, legacySha1, legacyDes = false } = rules
  const message = openSignedData(bytes, { signers, legacySha1 })
  assertAnswers(message, rules)
  const status = readPkiStatus(message)
  if (status === 'pending') return { status }
  if (status === 'failure') return { status, ...readFailure(message) }
  if (message.content === undefined) return malformedScep('a success without an envelope')
  const { content } = await openEnvelope(message.content, { recipients: [recipient], legacyDes })
  const bag = openCertificatesOnly(content)
  if (bag.certificates.length + bag.crls.length === 0) malformedScep('a success with neither certificate nor CRL')
  return { status, ...bag }
}

function assertAnswers(message: SignedMessage, { transactionId, senderNonce }: CertRepRules): void {
  const reply = readEnvelopeOf(message)
  const nonce = readNonce(message, 'recipientNonce')
  if (reply.messageType !== 'CertRep') malformedScep(`a ${reply.messageType} where a CertRep was expected`)
  if (reply.transactionId !== transactionId) mismatch('transactionID')
  if (nonce === undefined || Buffer.compare(nonce, senderNonce) !== 0) mismatch('recipientNonce')
}

function mismatch(attribute: string): never {
  throw new AgentError('ERR_SCEP_REPLY_MISMATCH', `the reply's ${attribute} is not that of the request`)
}

export type CertRepAnswer =
  /** To the signer of the request. */
  | ({ readonly status: 'success'; readonly cipher: ContentCipher; readonly keyTransport?: UnwrapPadding } & CertificateBag)
  | { readonly status: 'pending' }
  | {
      readonly status: 'failure'
      readonly failInfo: FailInfo
      readonly failInfoText?: string
      /** Makes it the failure that NDES sends: this code, one zero byte as content, no certificates. Unsigned, like 0x80070057. */
      readonly ndesHresult?: number
    }

export interface CertRepContents {
  /** The request, or what is known of it when it could not be opened. */
  readonly request: Pick<PkiRequest, 'transactionId' | 'senderNonce' | 'signer'>
  readonly answer: CertRepAnswer
  /** The CA or the RA. */
  readonly signer: CmsSigner
  readonly hash: HashName
}

/** An answer, DER (RFC 8894 3.3.2). A request signer whose key is not RSA cannot be sent a success: `ERR_UNSUPPORTED`. */
export function buildCertRep({ request, answer, signer, hash }: CertRepContents): Promise<Uint8Array> {
  const likeNdes = answer.status === 'failure' && answer.ndesHresult !== undefined
  return buildSignedData({
    content: likeNdes ? Uint8Array.of(0) : contentOf(answer, request.signer),
    signer,
    hash,
    attributes: encodeScepAttributes({
      messageType: 'CertRep',
      transactionId: request.transactionId,
      senderNonce: randomBytes(16),
      recipientNonce: request.senderNonce,
      pkiStatus: answer.status,
      ...(answer.status === 'failure' && { failInfo: answer.failInfo, failInfoText: answer.failInfoText, hresult: answer.ndesHresult }),
    }),
    certificates: likeNdes ? [] : [signer.certificate.raw],
  })
}

function contentOf(answer: CertRepAnswer, recipient: Certificate): Uint8Array | undefined {
  if (answer.status !== 'success') return undefined
  const { cipher, keyTransport } = answer
  return buildEnvelopedData({ content: buildCertificatesOnly(answer), recipient, cipher, keyTransport })
}
