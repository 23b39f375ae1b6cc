import { randomBytes, randomUUID } from 'node:crypto'
import type { HttpRequest, HttpResponse, KeyHandle, SubjectAltName } from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import { type Certificate, createCsr, nameDer, PurposeOid } from '@certfleet/agent-core/pki'
import {
  buildPkiRequest,
  buildRequestSigner,
  issuerAndSubject,
  type PkiRequestContents,
  transactionIdFor,
} from '@certfleet/agent-core/scep/messages'
import { Skipped } from '../context.ts'
import { type Answer, describe, isSuccess, readAnswer } from './reply.ts'
import { goodChallenge, orSkipped, remember, type ServerSession, trustedAuthorities } from './session.ts'

/** What a request is about; sent again it is the same transaction. */
export interface Wanted {
  readonly key: KeyHandle
  /** Distinguished name as text. */
  readonly subject: string
  readonly subjectAltNames: readonly SubjectAltName[]
  /** DER. */
  readonly csr: Uint8Array
  readonly transactionId: string
  readonly signer: CmsSigner
  readonly messageType: PkiRequestContents['messageType']
}

export interface Wish {
  readonly challenge?: string
  /** Default: another one each time, because servers may refuse a name that they know. */
  readonly name?: Pick<Wanted, 'subject' | 'subjectAltNames'>
  readonly key?: KeyHandle
  readonly messageType?: Wanted['messageType']
  /** Default: a temporary one, named as the OS names it. */
  readonly signer?: CmsSigner
}

/** A request and what came of it. */
export interface Exchange {
  readonly wanted: Wanted
  readonly senderNonce: Uint8Array
  readonly response: HttpResponse
  readonly answer: Answer
}

/** Makes key, CSR and signer as the OS does. */
export async function want(session: ServerSession, wish: Wish = {}): Promise<Wanted> {
  const { challenge, name = freshName(), key = await session.newKey(), messageType = 'PKCSReq' } = wish
  const csr = await createCsr({
    ...name,
    keyUsages: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsages: [PurposeOid.ClientAuth],
    key,
    hash: 'sha256',
    ...(challenge !== undefined && { challenge }),
  })
  const signer = wish.signer ?? (await temporarySigner(session, name.subject, key))
  return { ...name, key, csr, transactionId: transactionIdFor(key.publicKey), signer, messageType }
}

/** The message of a request, with the algorithms that the OS takes for this server; what is changed is changed in it. */
export async function sealed(
  session: ServerSession,
  { messageType, csr: content, transactionId, signer }: Wanted,
  changed: Partial<PkiRequestContents> = {},
): Promise<{ message: Uint8Array; senderNonce: Uint8Array }> {
  const { recipient } = await trustedAuthorities(session)
  const { hash, cipher } = await orSkipped(session.algorithms)
  return buildPkiRequest({ messageType, content, transactionId, signer, recipient, hash, cipher, ...changed })
}

/** Sends a message and reads what comes back; certificates in it count as issued. */
export async function exchanged(
  session: ServerSession,
  wanted: Wanted,
  { message, senderNonce }: { message: Uint8Array; senderNonce: Uint8Array },
  method?: HttpRequest['method'],
): Promise<Exchange> {
  const { ca } = await orSkipped(session.authorities)
  const response = await sendMessage(session, message, method)
  const known = [...ca.authorities, ...ca.signers, ca.recipient]
  const answer = await readAnswer(response, { known, recipient: wanted.signer })
  const leaf = isSuccess(answer) && leafOf(answer.certificates, wanted.key)
  if (leaf) remember(session, leaf)
  return { wanted, senderNonce, response, answer }
}

/** A request from beginning to end. */
export async function requested(session: ServerSession, wish: Wish, method?: HttpRequest['method']): Promise<Exchange> {
  const wanted = await want(session, wish)
  return exchanged(session, wanted, await sealed(session, wanted), method)
}

/** By POST where the server says so, or by the method that is asked for. */
export async function sendMessage(session: ServerSession, message: Uint8Array, method?: HttpRequest['method']): Promise<HttpResponse> {
  const { target, habits, signal } = session
  const by = method ?? ((await orSkipped(session.algorithms)).post ? 'POST' : 'GET')
  const headers = { 'user-agent': habits.userAgent }
  const url = `${target.url}?operation=PKIOperation`
  if (by === 'POST') {
    const posted = { ...headers, 'content-type': 'application/x-pki-message' }
    return target.transport.send({ method: 'POST', url, headers: posted, body: message }, signal)
  }
  const encoded = encodeURIComponent(Buffer.from(message).toString('base64'))
  return target.transport.send({ method: 'GET', url: `${url}&message=${encoded}`, headers }, signal)
}

export interface FirstEnrolment extends Exchange {
  readonly challenge: string
  /** The answers before the last one, where the server did not decide at once. */
  readonly before: readonly Exchange[]
}

/** The ordinary enrolment that many checks look at, made once. */
export function firstEnrolment(session: ServerSession): Promise<FirstEnrolment> {
  return session.once('first enrolment', async () => {
    const challenge = await goodChallenge(session)
    const before: Exchange[] = []
    let last = await requested(session, { challenge })
    const { polls, firstDelayMs, delayMs } = session.behaviour.pendingSchedule
    for (let poll = 0; poll < polls && last.answer.kind === 'reply' && last.answer.status === 'PENDING'; poll++) {
      const waitMs = poll === 0 ? firstDelayMs : delayMs
      session.target.onPending?.(waitMs)
      await session.target.clock.sleep(waitMs, session.signal)
      before.push(last)
      last = await polled(session, last.wanted)
    }
    return { ...last, challenge, before }
  })
}

export interface Enrolled {
  readonly wanted: Wanted
  readonly challenge: string
  readonly leaf: Certificate
}

/** What the first enrolment gave; nothing: the check is skipped, because another one says so. */
export async function enrolled(session: ServerSession): Promise<Enrolled> {
  const { answer, wanted, challenge } = await orSkipped(() => firstEnrolment(session))
  const leaf = isSuccess(answer) && leafOf(answer.certificates, wanted.key)
  if (!leaf) throw new Skipped(`it needs a certificate, and the first enrolment ended with ${describe(answer)}`)
  return { wanted, challenge, leaf }
}

/** The certificate for this key. */
export function leafOf(certificates: readonly Certificate[], { publicKey }: KeyHandle): Certificate | undefined {
  return certificates.find((certificate) => Buffer.compare(certificate.publicKey, publicKey) === 0)
}

async function polled(session: ServerSession, wanted: Wanted): Promise<Exchange> {
  const { ca } = await trustedAuthorities(session)
  const content = issuerAndSubject(ca.subject, nameDer(wanted.subject))
  return exchanged(session, wanted, await sealed(session, wanted, { messageType: 'CertPoll', content }))
}

function freshName(): Pick<Wanted, 'subject' | 'subjectAltNames'> {
  const name = `conformance-${randomBytes(6).toString('hex')}`
  return { subject: `CN=${name},O=certfleet`, subjectAltNames: [{ type: 'dns', value: `${name}.example.com` }] }
}

function temporarySigner({ habits, target }: ServerSession, subject: string, key: KeyHandle): Promise<CmsSigner> {
  const own = habits.signerSubject === 'csr-subject' ? subject : `CN=${randomUUID().toUpperCase()}`
  return buildRequestSigner({ subject: own, key, hash: 'sha256', at: target.clock.now() })
}
