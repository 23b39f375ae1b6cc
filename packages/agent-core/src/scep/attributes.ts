import { type SignedAttribute, type SignedMessage, signedAttribute } from '../cms/signed-data.ts'
import { isPrintable, octetString, printableString, readOctetString, readText, utf8String } from '../der/index.ts'
import { AgentError } from '../errors.ts'

/** RFC 8894 3.2.1; failInfoText is RFC 8894 3.2.1.4.1, hresult is NDES's szOID_ENROLL_SCEP_ERROR. */
const ScepOid = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
  failInfoText: '1.3.6.1.5.5.7.24.1',
  hresult: '1.3.6.1.4.1.311.21.33',
} as const

/** RFC 8894 3.2.1.2. */
export const messageTypes = { CertRep: '3', RenewalReq: '17', PKCSReq: '19', CertPoll: '20', GetCert: '21', GetCRL: '22' } as const

export type MessageType = keyof typeof messageTypes
export type RequestType = Exclude<MessageType, 'CertRep'>

/** RFC 8894 3.2.1.3. */
export const pkiStatuses = { success: '0', failure: '2', pending: '3' } as const

export type PkiStatus = keyof typeof pkiStatuses

/** RFC 8894 3.2.1.4. */
export const failInfos = { badAlg: '0', badMessageCheck: '1', badRequest: '2', badTime: '3', badCertId: '4' } as const

export type FailInfo = keyof typeof failInfos

const maxTransactionIdCharacters = 1024
const maxNonceBytes = 64

/** The SCEP attributes to be signed. Texts are their values on the wire. */
export interface ScepAttributes {
  readonly messageType: MessageType
  readonly transactionId: string
  readonly senderNonce: Uint8Array
  readonly recipientNonce?: Uint8Array
  readonly pkiStatus?: PkiStatus
  readonly failInfo?: FailInfo
  readonly failInfoText?: string | undefined
  /** As NDES reports it; unsigned 32 bits, like 0x80070057. */
  readonly hresult?: number | undefined
}

export function encodeScepAttributes(attributes: ScepAttributes): SignedAttribute[] {
  const { messageType, transactionId, senderNonce, recipientNonce, pkiStatus, failInfo, failInfoText, hresult } = attributes
  const values: Partial<Record<keyof typeof ScepOid, Uint8Array>> = {
    messageType: printableString(messageTypes[messageType]),
    transactionId: isPrintable(transactionId) ? printableString(transactionId) : utf8String(transactionId),
    senderNonce: octetString(senderNonce),
    ...(recipientNonce && { recipientNonce: octetString(recipientNonce) }),
    ...(pkiStatus && { pkiStatus: printableString(pkiStatuses[pkiStatus]) }),
    ...(failInfo && { failInfo: printableString(failInfos[failInfo]) }),
    ...(failInfoText !== undefined && { failInfoText: utf8String(failInfoText) }),
    ...(hresult !== undefined && { hresult: printableString(String(hresult | 0)) }),
  }
  return Object.entries(values).map(([name, value]) => ({ oid: ScepOid[name as keyof typeof ScepOid], value }))
}

/** messageType and transactionID, which every message has. Missing, unknown or overlong: `ERR_SCEP_MALFORMED`. */
export function readEnvelopeOf(message: SignedMessage): { messageType: MessageType; transactionId: string } {
  const type = text(message, 'messageType')
  const messageType = nameOf(messageTypes, type)
  const transactionId = text(message, 'transactionId')
  if (messageType === undefined) malformedScep(type === undefined ? 'it has no messageType' : 'its messageType is none of RFC 8894')
  if (!transactionId || transactionId.length > maxTransactionIdCharacters)
    malformedScep(`it has no transactionID of 1 to ${maxTransactionIdCharacters} characters`)
  return { messageType, transactionId }
}

/** RFC 8894 3.2.1.5 wants 16 octets; older peers send 8. Undefined where it is missing. */
export function readNonce(message: SignedMessage, name: 'senderNonce' | 'recipientNonce'): Uint8Array | undefined {
  const value = signedAttribute(message, ScepOid[name])
  if (value === undefined) return undefined
  const nonce = readOctetString(value, name)
  if (nonce.length === 0 || nonce.length > maxNonceBytes) malformedScep(`its ${name} has ${nonce.length} octets`)
  return nonce
}

export function readPkiStatus(message: SignedMessage): PkiStatus {
  return nameOf(pkiStatuses, text(message, 'pkiStatus')) ?? malformedScep('it has no pkiStatus of RFC 8894')
}

export interface ScepFailure {
  readonly failInfo: FailInfo
  readonly failInfoText?: string
  /** What NDES adds, like `0x80070057`. */
  readonly hresult?: string
}

/** A failInfo that is missing or unknown counts as badRequest; what else cannot be read of the reason is left out. */
export function readFailure(message: SignedMessage): ScepFailure {
  const failInfoText = text(message, 'failInfoText')
  const hresult = text(message, 'hresult')
  return {
    failInfo: nameOf(failInfos, text(message, 'failInfo')) ?? 'badRequest',
    ...(failInfoText !== undefined && { failInfoText }),
    ...(hresult !== undefined && /^-?\d{1,10}$/.test(hresult) && { hresult: `0x${(Number(hresult) >>> 0).toString(16).padStart(8, '0')}` }),
  }
}

function text(message: SignedMessage, name: keyof typeof ScepOid): string | undefined {
  const value = signedAttribute(message, ScepOid[name])
  return value && readText(value, name)
}

function nameOf<K extends string>(table: Readonly<Record<K, string>>, value: string | undefined): K | undefined {
  return (Object.keys(table) as K[]).find((name) => table[name] === value)
}

export function malformedScep(problem: string): never {
  throw new AgentError('ERR_SCEP_MALFORMED', `malformed SCEP message: ${problem}`)
}
