import { AgentError } from '@certfleet/agent-core'
import {
  constructed,
  expectTag,
  readChildren,
  readOctetString,
  readOid,
  readSequence,
  readText,
  Tag,
  type Tlv,
} from '@certfleet/agent-core/der'

/** What a failure must repeat so that its reader knows it for the answer (RFC 8894 3.2.1). Nothing in it is to be believed. */
export interface UnverifiedRequest {
  readonly transactionId: string
  readonly senderNonce: Uint8Array
}

const transactionIdOid = '2.16.840.1.113733.1.9.7'
const senderNonceOid = '2.16.840.1.113733.1.9.5'
const maxEchoedCharacters = 1024
const maxEchoedBytes = 64

/** Reads transactionID and senderNonce of a message whose signature is not good. Undefined where they are not to be found, or the message is not DER. */
export function readUnverifiedRequest(bytes: Uint8Array): UnverifiedRequest | undefined {
  try {
    const attributes = signedAttributes(bytes)
    const transactionId = readText(attributes.get(transactionIdOid), 'transactionID')
    const senderNonce = readOctetString(attributes.get(senderNonceOid) as Tlv, 'senderNonce')
    const overlong = transactionId.length > maxEchoedCharacters || senderNonce.length > maxEchoedBytes
    return transactionId === '' || overlong ? undefined : { transactionId, senderNonce }
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

function signedAttributes(bytes: Uint8Array): ReadonlyMap<string, Tlv | undefined> {
  const what = 'signed message'
  const [, wrapped] = readSequence(bytes, what)
  const [signedData] = readChildren(expectTag(wrapped, constructed(0), what).value, what)
  const signerInfos = readChildren(expectTag(signedData, Tag.Sequence, what).value, what).at(-1)
  const [signerInfo] = readChildren(expectTag(signerInfos, Tag.Set, what).value, what)
  const fields = readChildren(expectTag(signerInfo, Tag.Sequence, what).value, what)
  const attributes = readChildren(expectTag(fields[3], constructed(0), what).value, what)
  return new Map(attributes.map((attribute) => readAttribute(attribute, what)))
}

function readAttribute(attribute: Tlv, what: string): [string, Tlv | undefined] {
  const [type, values] = readChildren(expectTag(attribute, Tag.Sequence, what).value, what)
  return [readOid(type, what), readChildren(expectTag(values, Tag.Set, what).value, what)[0]]
}
