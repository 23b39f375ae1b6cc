import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import {
  createCsr,
  type EnrollmentOutcome,
  type HttpResponse,
  type HttpTransport,
  handlerTransport,
  httpTransport,
  type KeyHandle,
  type ScepHabits,
  type ScepProtocolOptions,
  scepProtocol,
  softwareKeyHandle,
  systemClock,
  systemJitter,
  verifyIssued,
} from '@certfleet/agent-core'
import { type Certificate, fingerprintOf, PurposeOid, parseCertificate } from '@certfleet/agent-core/pki'
import {
  buildPkiRequest,
  buildRequestSigner,
  type CaCertificates,
  type CertRepRules,
  parseCaCertificates,
  parseCertRep,
  transactionIdFor,
} from '@certfleet/agent-core/scep/messages'
import { meetServer } from '#agent-core/scep/server.ts'
import { challenge, type LabProcess } from './lab-process.ts'

const generatePair = promisify(generateKeyPair)

const habits: ScepHabits = {
  order: 'caps-first',
  urlSuffix: '',
  userAgent: 'certfleet-bench',
  signerSubject: 'csr-subject',
  renewal: 'PKCSReq',
  urls: 'first',
}

export interface BenchKey {
  readonly handle: KeyHandle
  readonly subject: string
}

export interface PooledKey extends BenchKey {
  readonly privateKey: KeyObject
}

/** RSA-2048 keys, made on the thread pool. */
export function makeKeys(count: number): Promise<readonly PooledKey[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const { privateKey } = await generatePair('rsa', { modulusLength: 2048 })
      return { privateKey, handle: softwareKeyHandle(privateKey, `bench-${i}`), subject: `CN=device-${i},OU=Bench,O=Example` }
    }),
  )
}

/** One enrolment that succeeded, as bytes, to do parts of it again without a network. */
export interface RecordedEnrolment {
  readonly key: PooledKey
  readonly csr: Uint8Array
  /** The self-signed certificate of the request. */
  readonly signer: CertRepRules['recipient']
  /** PKCSReq. */
  readonly message: Uint8Array
  /** CertRep, and what it is opened with. */
  readonly reply: Uint8Array
  readonly rules: CertRepRules
  readonly leaf: Certificate
}

export interface Client {
  /** From the lab's own GetCACert: the one with the announced fingerprint. */
  readonly root: Uint8Array
  readonly ca: CaCertificates
  readonly records: readonly RecordedEnrolment[]
  /** The whole path: CSR, GetCACaps, GetCACert, PKCSReq, CertRep, judging what was issued. */
  enroll(index: number): Promise<void>
  /** The same with any key. */
  enrollWith(key: BenchKey): Promise<void>
  /** GetCACaps and GetCACert without a socket: parsing, and vouching for the CA. */
  meetServer(index: number): Promise<unknown>
  /** The three HTTP exchanges by themselves. */
  exchangeOnly(index: number): Promise<void>
  close(): Promise<void>
}

export async function connectClient(lab: LabProcess, keys: readonly PooledKey[]): Promise<Client> {
  const transport = httpTransport({ allowLoopback: true })
  const capabilities = await get(transport, lab, 'GetCACaps')
  const certificates = await get(transport, lab, 'GetCACert')
  const ca = parseCaCertificates(certificates.body)
  const root = ca.authorities.find(({ raw }) => fingerprintOf(raw) === lab.caFingerprint)?.raw
  if (root === undefined) throw new Error('the lab does not show the root that it announced')
  const records = await Promise.all(keys.map((key) => record(transport, lab, ca, key)))
  const options: ScepProtocolOptions = {
    urls: [lab.scepUrl],
    habits,
    transport,
    trust: { root },
    hash: 'sha256',
    clock: systemClock,
    jitter: systemJitter,
  }
  const enrollWith = async (key: BenchKey) => {
    const csr = await makeCsr(key)
    const outcome = await scepProtocol(options).request({ csr, key: key.handle }, new AbortController().signal)
    judge(outcome, key, root)
  }
  const canned = handlerTransport(async ({ url }) => (url.includes('GetCACaps') ? capabilities : certificates))
  return {
    root,
    ca,
    records,
    enroll: (index) => enrollWith(keys[index] as PooledKey),
    enrollWith,
    meetServer: () => meetServer({ ...options, transport: canned }, new AbortController().signal),
    async exchangeOnly(index) {
      await get(transport, lab, 'GetCACaps')
      await get(transport, lab, 'GetCACert')
      await post(transport, lab, (records[index] as RecordedEnrolment).message)
    },
    close: () => transport.close(),
  }
}

/** The request of a usual SCEP profile: three names in the subject, two alternative names, challenge. */
export function makeCsr({ handle, subject }: BenchKey): Promise<Uint8Array> {
  return createCsr({
    subject,
    subjectAltNames,
    keyUsages: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsages: [PurposeOid.ClientAuth],
    key: handle,
    hash: 'sha256',
    challenge,
  })
}

const subjectAltNames = [
  { type: 'upn', value: 'device@example.com' },
  { type: 'dns', value: 'device.example.com' },
] as const

function judge(outcome: EnrollmentOutcome, key: BenchKey, root: Uint8Array): Certificate {
  if (outcome.status !== 'issued') throw new Error(`the lab issued nothing: ${JSON.stringify(outcome)}`)
  const request = { subject: key.subject, subjectAltNames, keySpec: key.handle.spec }
  return verifyIssued({ issued: outcome.chain, request, key: key.handle, root, at: systemClock.now() }).leaf
}

async function record(transport: HttpTransport, lab: LabProcess, ca: CaCertificates, key: PooledKey): Promise<RecordedEnrolment> {
  const csr = await makeCsr(key)
  const signer = await buildRequestSigner({ subject: key.subject, key: key.handle, hash: 'sha256', at: systemClock.now() })
  const transactionId = transactionIdFor(key.handle.publicKey)
  const { message, senderNonce } = await buildPkiRequest({ ...requestParts, content: csr, transactionId, recipient: ca.recipient, signer })
  const { body: reply } = await post(transport, lab, message)
  const rules = { signers: ca.signers, transactionId, senderNonce, recipient: signer }
  const answer = await parseCertRep(reply, rules)
  if (answer.status !== 'success') throw new Error(`the lab issued nothing: ${answer.status}`)
  const leaf = answer.certificates.map(parseCertificate).find(({ publicKey }) => Buffer.compare(publicKey, key.handle.publicKey) === 0)
  return { key, csr, signer, message, reply, rules, leaf: leaf as Certificate }
}

/** What PKCSReq is built with, in the benchmark of the message and in the whole enrolment alike. */
export const requestParts = { messageType: 'PKCSReq', hash: 'sha256', cipher: 'aes-128-cbc' } as const

function get(transport: HttpTransport, { scepUrl }: LabProcess, operation: string): Promise<HttpResponse> {
  return transport.send({ method: 'GET', url: `${scepUrl}?operation=${operation}`, headers: { 'user-agent': habits.userAgent } })
}

function post(transport: HttpTransport, { scepUrl }: LabProcess, body: Uint8Array): Promise<HttpResponse> {
  const headers = { 'user-agent': habits.userAgent, 'content-type': 'application/x-pki-message' }
  return transport.send({ method: 'POST', url: `${scepUrl}?operation=PKIOperation`, headers, body })
}
