import { AgentError, type KeyHandle } from '@certfleet/agent-core'
import { CmsOid, openEnvelopedData } from '@certfleet/agent-core/cms'
import { explicit, integer, nullValue, octetString, oid, primitive, sequence, Tag, tlv } from '@certfleet/agent-core/der'
import { buildCertificate, keyIdentifierOf, parseCertificate, subjectKeyIdentifierExtension } from '@certfleet/agent-core/pki'

const rsaEncryption = sequence(oid('1.2.840.113549.1.1.1'), nullValue)
const aesCbcOids: Readonly<Record<number, string>> = {
  16: '2.16.840.1.101.3.4.1.2',
  24: '2.16.840.1.101.3.4.1.22',
  32: '2.16.840.1.101.3.4.1.42',
}

/** EnvelopedData over parts that a vector gives, with no regard for whether they fit together. */
export interface EnvelopeParts {
  readonly wrappedKey: Uint8Array
  /** Which AES-CBC. */
  readonly keyBytes: number
  readonly iv: Uint8Array
  readonly encrypted: Uint8Array
}

/** Opens such an envelope with `key`, through everything that certfleet does with one. */
export async function openParts(parts: EnvelopeParts, key: KeyHandle): Promise<Uint8Array> {
  const recipient = { certificate: await certificateFor(key), key }
  return (await openEnvelopedData(envelopeOf(parts, keyIdentifierOf(key.publicKey)), { recipients: [recipient] })).content
}

/** True where the error is the one that every decryption failure must be, to the letter (RFC 8017 7.2.2 note). */
export function isOneError(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'ERR_CMS_DECRYPT' && error.message === 'the envelope could not be decrypted'
}

function envelopeOf({ wrappedKey, keyBytes, iv, encrypted }: EnvelopeParts, keyIdentifier: Uint8Array): Uint8Array {
  const recipientInfo = sequence(integer(2), tlv(primitive(0), keyIdentifier), rsaEncryption, octetString(wrappedKey))
  const algorithm = sequence(oid(aesCbcOids[keyBytes] as string), octetString(iv))
  const contentInfo = sequence(oid(CmsOid.Data), algorithm, tlv(primitive(0), encrypted))
  return sequence(oid(CmsOid.EnvelopedData), explicit(0, sequence(integer(2), tlv(Tag.Set, recipientInfo), contentInfo)))
}

async function certificateFor(key: KeyHandle) {
  const der = await buildCertificate({
    serialNumber: Uint8Array.of(1),
    issuer: 'CN=vector',
    subject: 'CN=vector',
    publicKey: key.publicKey,
    notBefore: 0,
    notAfter: 1,
    extensions: [subjectKeyIdentifierExtension(key.publicKey)],
    signer: key,
    hash: 'sha256',
  })
  return parseCertificate(der)
}
