import { constants, createCipheriv, createHash, publicEncrypt } from 'node:crypto'
import { CmsOid, issuerAndSerialNumber } from '@certfleet/agent-core/cms'
import {
  bitString,
  constructed,
  explicit,
  integer,
  nullValue,
  octetString,
  oid,
  primitive,
  readChildren,
  readDer,
  sequence,
  setOf,
  Tag,
  tlv,
} from '@certfleet/agent-core/der'
import type { Certificate } from '@certfleet/agent-core/pki'
import { encodeScepAttributes, type ScepAttributes } from '#agent-core/scep/attributes.ts'
import type { FuzzKey } from './keys.ts'
import type { Random } from './random.ts'
import type { Holder } from './world.ts'

// Messages as agent-core's builders write them, whose octets depend on nothing but what they are made of, and which take any content.

const sha256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue)
const rsaEncryption = sequence(oid('1.2.840.113549.1.1.1'), nullValue)
const sha256WithRsa = sequence(oid('1.2.840.113549.1.1.11'), nullValue)

/** Certificate, CertificateList or CertificationRequest over `body`, whatever that is. */
export function signedBody(body: Uint8Array, key: FuzzKey): Uint8Array {
  return sequence(body, sha256WithRsa, bitString(key.sign(body)))
}

/** The `tbs` or request info of such a value. */
export function bodyOf(signed: Uint8Array): Uint8Array {
  return readChildren(readDer(signed).value)[0]?.raw as Uint8Array
}

/** SET OF Attribute for `content`, with the attributes of SCEP where there are some. */
export function signedAttributes(content: Uint8Array | undefined, scep?: ScepAttributes): Uint8Array {
  const digest = createHash('sha256')
    .update(content ?? new Uint8Array())
    .digest()
  return setOf([
    attribute(CmsOid.ContentType, oid(CmsOid.Data)),
    attribute(CmsOid.MessageDigest, octetString(digest)),
    ...(scep ? encodeScepAttributes(scep).map(({ oid: type, value }) => attribute(type, value)) : []),
  ])
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return sequence(oid(type), tlv(Tag.Set, value))
}

/** SignedData over those attributes, which are signed as they are. */
export function signedData(content: Uint8Array | undefined, attributes: Uint8Array, { certificate, key }: Holder): Uint8Array {
  const field = Uint8Array.from(attributes)
  if (field.length > 0) field[0] = constructed(0)
  const signerInfo = sequence(
    integer(1),
    issuerAndSerialNumber(certificate),
    sha256,
    field,
    rsaEncryption,
    octetString(key.sign(attributes)),
  )
  const encapsulated = sequence(oid(CmsOid.Data), ...(content === undefined ? [] : [explicit(0, octetString(content))]))
  const certificates = setOf([certificate.raw], constructed(0))
  const body = sequence(integer(1), tlv(Tag.Set, sha256), encapsulated, certificates, tlv(Tag.Set, signerInfo))
  return sequence(oid(CmsOid.SignedData), explicit(0, body))
}

/** EnvelopedData, AES-128-CBC, with key, IV and padding drawn from `random`. */
export function envelope(content: Uint8Array, recipient: Certificate, random: Random): Uint8Array {
  const key = random.bytes(16)
  const iv = random.bytes(16)
  const cipher = createCipheriv('aes-128-cbc', key, iv)
  const encrypted = tlv(primitive(0), cipher.update(content), cipher.final())
  const recipientInfo = sequence(integer(0), issuerAndSerialNumber(recipient), rsaEncryption, octetString(wrapped(key, recipient, random)))
  const info = sequence(oid(CmsOid.Data), sequence(oid('2.16.840.1.101.3.4.1.2'), octetString(iv)), encrypted)
  return sequence(oid(CmsOid.EnvelopedData), explicit(0, sequence(integer(0), tlv(Tag.Set, recipientInfo), info)))
}

/** RSAES-PKCS1-v1_5 for a key of 1024 bits. */
function wrapped(key: Uint8Array, recipient: Certificate, random: Random): Uint8Array {
  const padding = random.bytes(128 - 3 - key.length).map((octet) => octet || 1)
  const encoded = Buffer.concat([Uint8Array.of(0, 2), padding, Uint8Array.of(0), key])
  const publicKey = { key: Buffer.from(recipient.publicKey), format: 'der', type: 'spki', padding: constants.RSA_NO_PADDING } as const
  return publicEncrypt(publicKey, encoded)
}
