import { AgentError } from '@certfleet/agent-core'
import { buildSignedData, CmsOid, type CmsSigner, openSignedData } from '@certfleet/agent-core/cms'
import { octetString, printableString } from '@certfleet/agent-core/der'

export type WrongAttribute = 'wrong-recipient-nonce' | 'wrong-sender-nonce' | 'wrong-transaction-id'

/** RFC 8894 3.2.1. */
const attributeOids: Record<WrongAttribute, string> = {
  'wrong-sender-nonce': '2.16.840.1.113733.1.9.5',
  'wrong-recipient-nonce': '2.16.840.1.113733.1.9.6',
  'wrong-transaction-id': '2.16.840.1.113733.1.9.7',
}

/** The CertRep with one attribute that is wrong, under a signature that is right. Undefined for what is no CertRep of this signer's. */
export async function forgeReply(reply: Uint8Array, wrong: WrongAttribute, signer: CmsSigner): Promise<Uint8Array | undefined> {
  const message = opened(reply, signer)
  if (message === undefined) return undefined
  const attributes = [...message.attributes]
    .filter(([oid]) => oid !== CmsOid.ContentType && oid !== CmsOid.MessageDigest)
    .map(([oid, [value]]) => ({ oid, value: oid === attributeOids[wrong] ? wrongValues[wrong] : (value?.raw ?? new Uint8Array()) }))
  return buildSignedData({ content: message.content, signer, hash: message.hash, attributes, certificates: message.certificates })
}

const wrongValues: Record<WrongAttribute, Uint8Array> = {
  'wrong-recipient-nonce': octetString(new Uint8Array(16).fill(0xa5)),
  'wrong-sender-nonce': octetString(new Uint8Array(8)),
  'wrong-transaction-id': printableString('0'.repeat(64)),
}

function opened(reply: Uint8Array, { certificate }: CmsSigner) {
  try {
    return openSignedData(reply, { signers: [certificate] })
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}
