import { constants, createCipheriv, createHash, type KeyObject, publicEncrypt, randomBytes, sign } from 'node:crypto'
import { CmsOid, type CmsSigner, issuerAndSerialNumber, type SignedAttribute } from '@certfleet/agent-core/cms'
import {
  constructed,
  explicit,
  integer,
  nullValue,
  octetString,
  oid,
  primitive,
  printableString,
  sequence,
  setOf,
  Tag,
  tlv,
} from '@certfleet/agent-core/der'
import { type Certificate, importPublicKey } from '@certfleet/agent-core/pki'
import { ScepOid } from './reply.ts'

const desOid = '1.3.14.3.2.7'
const md5Oid = '1.2.840.113549.2.5'
const rsaOid = '1.2.840.113549.1.1.1'
const rsaEncryption = sequence(oid(rsaOid), nullValue)

/** EnvelopedData in single DES, which no client of certfleet writes: 3DES with three equal keys. */
export function desEnvelope(content: Uint8Array, recipient: Certificate): Uint8Array {
  const [key, iv] = [randomBytes(8), randomBytes(8)]
  const encryptor = createCipheriv('des-ede3-cbc', Buffer.concat([key, key, key]), iv)
  const encrypted = tlv(primitive(0), encryptor.update(content), encryptor.final())
  const wrapped = publicEncrypt({ key: importPublicKey(recipient.publicKey), padding: constants.RSA_PKCS1_PADDING }, key)
  const recipientInfo = sequence(integer(0), issuerAndSerialNumber(recipient), rsaEncryption, octetString(wrapped))
  const contentInfo = sequence(oid(CmsOid.Data), sequence(oid(desOid), octetString(iv)), encrypted)
  return sequence(oid(CmsOid.EnvelopedData), explicit(0, sequence(integer(0), tlv(Tag.Set, recipientInfo), contentInfo)))
}

/** The attributes of a PKCSReq. */
export function requestAttributes(transactionId: string, senderNonce: Uint8Array): readonly SignedAttribute[] {
  return [
    { oid: ScepOid.messageType, value: printableString('19') },
    { oid: ScepOid.transactionId, value: printableString(transactionId) },
    { oid: ScepOid.senderNonce, value: octetString(senderNonce) },
  ]
}

export interface Md5Contents {
  readonly content: Uint8Array
  readonly attributes: readonly SignedAttribute[]
  readonly certificate: CmsSigner['certificate']
  readonly privateKey: KeyObject
}

/** SignedData over MD5, which no client of certfleet writes. */
export function md5Signed({ content, attributes, certificate, privateKey }: Md5Contents): Uint8Array {
  const digest = createHash('md5').update(content).digest()
  const signedAttributes = setOf([
    attribute(CmsOid.ContentType, oid(CmsOid.Data)),
    attribute(CmsOid.MessageDigest, octetString(digest)),
    ...attributes.map(({ oid: type, value }) => attribute(type, value)),
  ])
  const algorithm = sequence(oid(md5Oid), nullValue)
  const tagged = Uint8Array.from(signedAttributes)
  tagged[0] = constructed(0)
  const signature = octetString(sign('md5', signedAttributes, privateKey))
  const signerInfo = sequence(integer(1), issuerAndSerialNumber(certificate), algorithm, tagged, rsaEncryption, signature)
  const parts = [
    integer(1),
    tlv(Tag.Set, algorithm),
    sequence(oid(CmsOid.Data), explicit(0, octetString(content))),
    setOf([certificate.raw], constructed(0)),
    tlv(Tag.Set, signerInfo),
  ]
  return sequence(oid(CmsOid.SignedData), explicit(0, sequence(...parts)))
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return sequence(oid(type), tlv(Tag.Set, value))
}
