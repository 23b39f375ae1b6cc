import type { HttpRequest, HttpResponse, KeyHandle } from '@certfleet/agent-core'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { parseCertificate } from '@certfleet/agent-core/pki'
import {
  buildCertRep,
  type CertRepAnswer,
  type OpenedRequest,
  openPkiRequest,
  type PkiRequest,
  verifyPkiRequest,
} from '@certfleet/agent-core/scep/messages'
import { testCertificate, testKey } from './certificates.ts'

const root = { subject: 'CN=Root', key: await testKey('root') }
const issuing = { subject: 'CN=Issuing', key: await testKey('issuing') }
const raSigning = { subject: 'CN=RA signing', key: await testKey('ra-signing') }
const raEncryption = { subject: 'CN=RA encryption', key: await testKey('ra-encryption') }

/** A CA with an issuing CA and two RA certificates, DER. */
export const caCertificates = {
  root: await testCertificate({ ...root, ca: true }),
  issuing: await testCertificate({ ...issuing, issuer: root, ca: true }),
  raSigning: await testCertificate({ ...raSigning, issuer: issuing, keyUsage: ['digitalSignature'] }),
  raEncryption: await testCertificate({ ...raEncryption, issuer: issuing, keyUsage: ['keyEncipherment'] }),
}

export interface ReceivedRequest {
  readonly message: PkiRequest
  readonly opened: OpenedRequest
  readonly method: HttpRequest['method']
}

type Answer = CertRepAnswer | { readonly status: 'issue' }

export interface ScriptedServer {
  readonly handle: (request: HttpRequest) => Promise<HttpResponse>
  /** `<method> <operation> <path> <message parameter>` of every call. */
  readonly calls: string[]
  readonly userAgents: Set<string>
  readonly received: ReceivedRequest[]
}

export interface Script {
  readonly capabilities?: string | HttpResponse
  readonly caCert?: Uint8Array
  /** What the nth request is answered with; the last one stays. Default: issue. */
  readonly answers?: readonly (Answer | HttpResponse)[]
  /** Changes the request that a reply claims to answer. */
  readonly answering?: (message: PkiRequest) => PkiRequest
  readonly signer?: { readonly certificate: Uint8Array; readonly key: KeyHandle }
}

const text = (body: string): HttpResponse => ({ status: 200, headers: {}, body: Buffer.from(body) })

/** A SCEP server that does what the script says and remembers what it was asked: for what a client does, good or bad. */
export function scriptedServer(script: Script = {}): ScriptedServer {
  const calls: string[] = []
  const userAgents = new Set<string>()
  const received: ReceivedRequest[] = []

  async function operation(request: HttpRequest, bytes: Uint8Array): Promise<HttpResponse> {
    const answers = script.answers ?? [{ status: 'issue' }]
    const answer = answers[Math.min(received.length, answers.length - 1)] as Answer | HttpResponse
    const message = verifyPkiRequest(bytes)
    const opened = await openPkiRequest(message, {
      recipients: [{ certificate: parseCertificate(caCertificates.raEncryption), key: raEncryption.key }],
    })
    received.push({ message, opened, method: request.method })
    if ('body' in answer) return answer
    const answerTo = script.answering?.(message) ?? message
    const signer = script.signer ?? { certificate: caCertificates.raSigning, key: raSigning.key }
    const body = await buildCertRep({
      request: answerTo,
      answer: answer.status === 'issue' ? await issue(message, opened) : answer,
      signer: { certificate: parseCertificate(signer.certificate), key: signer.key },
      hash: 'sha256',
    })
    return { status: 200, headers: { 'content-type': 'application/x-pki-message' }, body }
  }

  return {
    calls,
    userAgents,
    received,
    async handle(request) {
      const url = new URL(request.url)
      const name = url.searchParams.get('operation') ?? ''
      calls.push(`${request.method} ${name} ${url.pathname}${name === 'PKIOperation' ? '' : ` ${url.searchParams.get('message') ?? '-'}`}`)
      userAgents.add(request.headers['user-agent'] ?? '')
      if (name === 'GetCACaps')
        return typeof script.capabilities === 'object'
          ? script.capabilities
          : text(script.capabilities ?? 'AES\nSHA-256\nPOSTPKIOperation\nRenewal\n')
      if (name === 'GetCACert') return { status: 200, headers: {}, body: script.caCert ?? bundle(Object.values(caCertificates)) }
      return operation(request, request.body ?? Buffer.from(url.searchParams.get('message') ?? '', 'base64'))
    },
  }
}

export const bundle = (certificates: readonly Uint8Array[]): Uint8Array => buildCertificatesOnly({ certificates, crls: [] })

/** To the key of the request's signer, which is the CSR's in a first request. */
async function issue(message: PkiRequest, opened: OpenedRequest): Promise<CertRepAnswer> {
  const publicKey = 'csr' in opened ? opened.csr.publicKey : message.signer.publicKey
  const key = { ...issuing.key, publicKey }
  const certificate = await testCertificate({ subject: 'CN=dev', key, issuer: issuing, notBefore: 0, notAfter: 3_000_000_000_000 })
  return { status: 'success', certificates: [certificate, caCertificates.issuing], crls: [], cipher: opened.cipher }
}
