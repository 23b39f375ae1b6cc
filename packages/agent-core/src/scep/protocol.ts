import { createHash } from 'node:crypto'
import type { CmsSigner } from '../cms/signed-data.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { subjectOfCsr } from '../pki/csr.ts'
import type { EnrollmentOutcome, EnrollmentProtocol, EnrollmentRequest, KeyHandle } from '../ports.ts'
import type { CertRep } from './cert-rep.ts'
import { envelopeKeyFor } from './envelope-key.ts'
import { failureText, type Operation, operate, type ScepProtocolOptions } from './operation.ts'
import { buildRequestSigner, issuerAndSubject, transactionIdFor } from './pki-request.ts'
import { meetServer, type ScepServer } from './server.ts'

/**
 * SCEP (RFC 8894) as one OS speaks it: GetCACaps and GetCACert in its order, then PKCSReq or RenewalReq, or CertPoll.
 *
 * Every exchange is complete in itself, and its transactionID is a hash of the key: a repeat after a crash is a resend.
 * For a key that cannot decrypt (EC) a throwaway RSA key signs; a renewal then needs what a first request needs, a challenge.
 */
export function scepProtocol(options: ScepProtocolOptions): EnrollmentProtocol {
  return {
    name: 'scep',
    async request(request, signal) {
      const server = await meetServer(options, signal)
      return exchange(await requestMessage(request, options), request, server, options, signal)
    },
    async poll(request, signal) {
      const server = await meetServer(options, signal)
      const content = issuerAndSubject(server.ca.ca.subject, subjectOfCsr(request.csr))
      const signer = await temporarySigner(request, options)
      return exchange({ messageType: 'CertPoll', content, signer }, request, server, options, signal)
    },
  }
}

type Message = Omit<Operation, 'transactionId'>

/** A renewal may be vouched for by the certificate that it replaces; which way is the OS's habit. A key that cannot decrypt cannot vouch. */
async function requestMessage(request: EnrollmentRequest, options: ScepProtocolOptions): Promise<Message> {
  const { csr: content, current } = request
  const way = options.habits.renewal
  if (!current?.key.unwrapKey || way === 'PKCSReq')
    return { messageType: 'PKCSReq', content, signer: await temporarySigner(request, options) }
  const signer = { certificate: parseCertificate(current.certificate), key: current.key }
  return { messageType: way === 'RenewalReq' ? 'RenewalReq' : 'PKCSReq', content, signer }
}

async function exchange(
  message: Message,
  { key }: EnrollmentRequest,
  server: ScepServer,
  options: ScepProtocolOptions,
  signal: AbortSignal,
): Promise<EnrollmentOutcome> {
  const transactionId = transactionIdFor(key.publicKey, options.habits.transactionIdHash)
  return outcomeOf(await operate({ ...message, transactionId }, server, options, signal), transactionId, server)
}

function outcomeOf(reply: CertRep, transactionId: string, { ca }: ScepServer): EnrollmentOutcome {
  switch (reply.status) {
    case 'success':
      return { status: 'issued', chain: [...reply.certificates, ...ca.authorities.map(({ raw }) => raw)] }
    case 'pending':
      return { status: 'pending', transactionId }
    case 'failure':
      return { status: 'rejected', failInfo: reply.failInfo, ...failureText(reply) }
  }
}

/** A poll makes the same name again as its request: the "random" UUID of Apple's clients is drawn from the key's hash. */
async function temporarySigner({ csr, key }: EnrollmentRequest, { habits, clock }: ScepProtocolOptions): Promise<CmsSigner> {
  const subject = habits.signerSubject === 'csr-subject' ? subjectOfCsr(csr) : `CN=${uuidOf(key)}`
  const { signerSerialNumber: serialNumber } = habits
  return buildRequestSigner({ subject, key: await envelopeKeyFor(key), hash: 'sha256', at: clock.now(), serialNumber })
}

function uuidOf(key: KeyHandle): string {
  const hex = createHash('sha256').update(key.publicKey).digest('hex').toUpperCase()
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}
