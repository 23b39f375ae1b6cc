import { AgentError, type HttpResponse } from '@certfleet/agent-core'
import {
  type CmsSigner,
  openCertificatesOnly,
  openEnvelopedData,
  openSignedData,
  type SignedMessage,
  signedAttribute,
} from '@certfleet/agent-core/cms'
import { normaliseBer, readOctetString, readText } from '@certfleet/agent-core/der'
import { type Certificate, parseCertificate } from '@certfleet/agent-core/pki'
import { failInfos } from '@certfleet/agent-core/scep/messages'

/** RFC 8894 3.2.1. */
export const ScepOid = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
} as const

/** What came back for a PKIOperation. */
export type Answer =
  | { readonly kind: 'http'; readonly status: number }
  /** HTTP status 200, and nothing that a device could take for an answer. */
  | { readonly kind: 'unreadable'; readonly problem: string }
  | Reply

/** A signed message, its signature good. What is wrong with it otherwise is left for checks to say. */
export interface Reply {
  readonly kind: 'reply'
  readonly signed: SignedMessage
  /** GetCACert has shown the signer's certificate. */
  readonly isSignerKnown: boolean
  readonly status: 'SUCCESS' | 'FAILURE' | 'PENDING' | undefined
  readonly failInfo: string | undefined
  readonly messageType: string | undefined
  readonly transactionId: string | undefined
  readonly recipientNonce: Uint8Array | undefined
  readonly senderNonce: Uint8Array | undefined
  readonly certificates: readonly Certificate[]
  /** Why there are none in a SUCCESS. */
  readonly problem?: string
}

export interface ReadingRules {
  /** What GetCACert has shown. */
  readonly known: readonly Certificate[]
  /** Whom a SUCCESS is for. */
  readonly recipient: CmsSigner
}

/** Reads as much as can be read: SHA-1 and single DES too, for checks to name them. */
export async function readAnswer(response: HttpResponse, { known, recipient }: ReadingRules): Promise<Answer> {
  if (response.status !== 200) return { kind: 'http', status: response.status }
  try {
    const { signed, isSignerKnown } = opened(response.body, known)
    const status = statuses.get(textOf(signed, 'pkiStatus') ?? '')
    const content = status === 'SUCCESS' ? await contentOf(signed, recipient) : { certificates: [] }
    return { kind: 'reply', isSignerKnown, status, ...attributesOf(signed), ...content, signed }
  } catch (error) {
    return { kind: 'unreadable', problem: foreseen(error) }
  }
}

const statuses: ReadonlyMap<string, 'SUCCESS' | 'FAILURE' | 'PENDING'> = new Map([
  ['0', 'SUCCESS'],
  ['2', 'FAILURE'],
  ['3', 'PENDING'],
])

/** For a reason: `FAILURE badRequest`, `HTTP status 500`. */
export function describe(answer: Answer): string {
  if (answer.kind === 'http') return `HTTP status ${answer.status}`
  if (answer.kind === 'unreadable') return `what is no CertRep (${answer.problem})`
  if (answer.status !== 'FAILURE') return answer.status ?? 'a CertRep without pkiStatus'
  return `FAILURE ${answer.failInfo ?? 'without failInfo'}`
}

export const isSuccess = (answer: Answer): answer is Reply => answer.kind === 'reply' && answer.status === 'SUCCESS'
export const isPending = (answer: Answer): boolean => answer.kind === 'reply' && answer.status === 'PENDING'
export const isFailure = (answer: Answer): answer is Reply => answer.kind === 'reply' && answer.status === 'FAILURE'

/** NDES encloses no certificate in a failure; a signer that nobody has shown before had better be enclosed. */
function opened(body: Uint8Array, known: readonly Certificate[]): { signed: SignedMessage; isSignerKnown: boolean } {
  try {
    return { signed: openSignedData(body, { signers: known, legacySha1: true }), isSignerKnown: true }
  } catch (error) {
    foreseen(error)
    return { signed: openSignedData(body, { signers: 'enclosed', legacySha1: true }), isSignerKnown: false }
  }
}

function attributesOf(signed: SignedMessage): Pick<Reply, 'failInfo' | 'messageType' | 'transactionId' | 'recipientNonce' | 'senderNonce'> {
  const code = textOf(signed, 'failInfo')
  return {
    failInfo: Object.entries(failInfos).find(([, value]) => value === code)?.[0],
    messageType: textOf(signed, 'messageType'),
    transactionId: textOf(signed, 'transactionId'),
    recipientNonce: octetsOf(signed, 'recipientNonce'),
    senderNonce: octetsOf(signed, 'senderNonce'),
  }
}

async function contentOf({ content }: SignedMessage, recipient: CmsSigner): Promise<Pick<Reply, 'certificates' | 'problem'>> {
  if (content === undefined) return { certificates: [], problem: 'it holds no envelope' }
  try {
    const envelope = await openEnvelopedData(content, { recipients: [recipient], legacyDes: true })
    return { certificates: openCertificatesOnly(normaliseBer(envelope.content)).certificates.map(parseCertificate) }
  } catch (error) {
    return { certificates: [], problem: foreseen(error) }
  }
}

function textOf(signed: SignedMessage, name: keyof typeof ScepOid): string | undefined {
  const value = signedAttribute(signed, ScepOid[name])
  return value && readText(value, name)
}

function octetsOf(signed: SignedMessage, name: keyof typeof ScepOid): Uint8Array | undefined {
  const value = signedAttribute(signed, ScepOid[name])
  return value && readOctetString(value, name)
}

/** What an `AgentError` says; anything else is a bug. */
function foreseen(error: unknown): string {
  if (error instanceof AgentError) return error.message
  throw error
}
