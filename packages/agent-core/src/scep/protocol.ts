import { createHash } from 'node:crypto'
import type { CmsSigner } from '../cms/signed-data.ts'
import { AgentError } from '../errors.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { subjectOfCsr } from '../pki/csr.ts'
import type { EnrollmentOutcome, EnrollmentProtocol, EnrollmentRequest, HttpResponse, KeyHandle } from '../ports.ts'
import type { HashName } from '../types.ts'
import type { RequestType } from './attributes.ts'
import { chooseAlgorithms, type ScepAlgorithms } from './capabilities.ts'
import { type CertRep, parseCertRep } from './cert-rep.ts'
import { buildPkiRequest, buildRequestSigner, issuerAndSubject, transactionIdFor } from './pki-request.ts'
import { assertOk, meetServer, type ScepServer, type ScepServerOptions } from './server.ts'

export interface ScepProtocolOptions extends ScepServerOptions {
  /** The digest the profile asks for. Default: what the CA's capabilities offer (A10). */
  readonly hash?: Exclude<HashName, 'sha1'>
  /** Reads replies that are encrypted with single DES. Default false. */
  readonly legacyDes?: boolean
}

/**
 * SCEP (RFC 8894) as one OS speaks it: GetCACaps and GetCACert in its order, then PKCSReq or RenewalReq, or CertPoll.
 *
 * Every exchange is complete in itself, and its transactionID is the hash of the key: a repeat after a crash is a resend.
 */
export function scepProtocol(options: ScepProtocolOptions): EnrollmentProtocol {
  return {
    name: 'scep',
    async request(request, signal) {
      const server = await meetServer(options, signal)
      return exchange({ server, ...(await requestMessage(request, options)), request, options, signal })
    },
    async poll(request, signal) {
      const server = await meetServer(options, signal)
      const content = issuerAndSubject(server.ca.ca.subject, subjectOfCsr(request.csr))
      const signer = await temporarySigner(request, options)
      return exchange({ server, messageType: 'CertPoll', content, signer, request, options, signal })
    },
  }
}

interface Message {
  readonly messageType: RequestType
  readonly content: Uint8Array
  readonly signer: CmsSigner
}

interface Exchange extends Message {
  readonly server: ScepServer
  readonly request: EnrollmentRequest
  readonly options: ScepProtocolOptions
  readonly signal: AbortSignal
}

/** A renewal may be vouched for by the certificate that it replaces; which way is the OS's habit. */
async function requestMessage(request: EnrollmentRequest, options: ScepProtocolOptions): Promise<Message> {
  const { csr: content, current } = request
  const way = options.habits.renewal
  if (!current || way === 'PKCSReq') return { messageType: 'PKCSReq', content, signer: await temporarySigner(request, options) }
  const signer = { certificate: parseCertificate(current.certificate), key: current.key }
  return { messageType: way === 'RenewalReq' ? 'RenewalReq' : 'PKCSReq', content, signer }
}

async function exchange({ server, messageType, content, signer, request, options, signal }: Exchange): Promise<EnrollmentOutcome> {
  const { legacyDes, legacySha1 } = options
  const algorithms = chooseAlgorithms(server.capabilities, options)
  const { hash, cipher } = algorithms
  const { recipient, signers } = server.ca
  const transactionId = transactionIdFor(request.key.publicKey)
  const { message, senderNonce } = await buildPkiRequest({ messageType, content, transactionId, recipient, signer, hash, cipher })
  const response = await sendOperation(message, server, algorithms, options, signal)
  assertOk(response, 'PKIOperation')
  const reply = await parseCertRep(response.body, { signers, transactionId, senderNonce, recipient: signer, legacyDes, legacySha1 })
  return outcomeOf(reply, transactionId, server)
}

function outcomeOf(reply: CertRep, transactionId: string, { ca }: ScepServer): EnrollmentOutcome {
  switch (reply.status) {
    case 'success':
      return { status: 'issued', chain: [...reply.certificates, ...ca.authorities.map(({ raw }) => raw)] }
    case 'pending':
      return { status: 'pending', transactionId }
    case 'failure': {
      const text = [reply.failInfoText, reply.hresult].filter((part) => part !== undefined).join(', ')
      return { status: 'rejected', failInfo: reply.failInfo, ...(text && { text }) }
    }
  }
}

function sendOperation(
  message: Uint8Array,
  { url }: ScepServer,
  { post }: ScepAlgorithms,
  { transport, habits }: ScepProtocolOptions,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const headers = { 'user-agent': habits.userAgent }
  if (post) {
    const posted = { ...headers, 'content-type': 'application/x-pki-message' }
    return transport.send({ method: 'POST', url: `${url}?operation=PKIOperation`, headers: posted, body: message }, signal)
  }
  const encoded = encodeURIComponent(Buffer.from(message).toString('base64'))
  return transport.send({ method: 'GET', url: `${url}?operation=PKIOperation&message=${encoded}`, headers }, signal)
}

/** A poll makes the same name again as its request: the "random" UUID of Apple's clients is drawn from the key's hash. */
async function temporarySigner({ csr, key }: EnrollmentRequest, { habits, clock }: ScepProtocolOptions): Promise<CmsSigner> {
  if (!key.unwrapKey) throw new AgentError('ERR_UNSUPPORTED', 'the key cannot unwrap a SCEP reply: it must be an RSA key that decrypts')
  const subject = habits.signerSubject === 'csr-subject' ? subjectOfCsr(csr) : `CN=${uuidOf(key)}`
  return buildRequestSigner({ subject, key, hash: 'sha256', at: clock.now() })
}

function uuidOf(key: KeyHandle): string {
  const hex = createHash('sha256').update(key.publicKey).digest('hex').toUpperCase()
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}
