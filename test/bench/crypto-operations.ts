import {
  type Cipher,
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  type Decipher,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { promisify } from 'node:util'
import { readChildren, readDer, type Tlv } from '@certfleet/agent-core/der'
import { type Certificate, publicKeyOf, sameName } from '@certfleet/agent-core/pki'
import type { Client, RecordedEnrolment } from './client.ts'

/** Calls into node:crypto, by what they are for, over the bytes that one enrolment had. */
export type CryptoOperations = Readonly<Record<string, readonly (() => unknown)[]>>

export type Signer = (hash: string, data: Uint8Array, key: KeyObject) => unknown

/** RSA signatures as the client makes them, on the thread pool; and without that detour. */
export const signers = { pool: promisify(sign) as Signer, sync: sign as Signer }

/** What building a PKCSReq from a CSR takes: see docs/performance.md. */
export function requestOperations({ key, csr, message }: RecordedEnrolment, { ca }: Client, signWith: Signer): CryptoOperations {
  const { attributes, content } = signedParts(message)
  const recipientKey = publicKeyOf(ca.recipient)
  const contentKey = randomBytes(16)
  const iv = randomBytes(16)
  return {
    'random content key, IV and nonce': Array(3).fill(() => randomBytes(16)),
    'AES-128-CBC encrypt the CSR': [() => finish(createCipheriv('aes-128-cbc', contentKey, iv), csr)],
    'RSA wrap the content key': [() => publicEncrypt({ key: recipientKey, padding: constants.RSA_PKCS1_PADDING }, contentKey)],
    'SHA-256 of the PKCSReq envelope': [() => sha256(content)],
    'RSA sign the PKCSReq': [() => signWith('sha256', attributes, key.privateKey)],
  }
}

/** What opening a CertRep takes. */
export function replyOperations({ key: { privateKey }, reply, rules }: RecordedEnrolment): CryptoOperations {
  const { attributes, content, signature } = signedParts(reply)
  const { wrappedKey, iv, encrypted } = envelopeParts(content)
  const signerKey = publicKeyOf(rules.signers[0] as Certificate)
  const unwrap = () => privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, wrappedKey)
  const contentKey = unwrap().subarray(-16)
  return {
    'SHA-256 of the CertRep envelope': [() => sha256(content)],
    'RSA verify the CertRep': [() => verify('sha256', attributes, signerKey, signature)],
    'RSA unwrap the content key': [unwrap],
    'HMAC for implicit rejection': [() => createHmac('sha256', contentKey).update(wrappedKey).digest()],
    'AES-128-CBC decrypt the certificates': [() => finish(createDecipheriv('aes-128-cbc', contentKey, iv), encrypted)],
  }
}

/**
 * The whole enrolment: both messages, the two signatures before them, and the path from the issued certificate to the root.
 * The RA's certificates are verified once a GetCACert answer and public keys imported once a key: neither is in it.
 */
export function enrolmentOperations(record: RecordedEnrolment, client: Client, signWith: Signer): CryptoOperations {
  const { key, csr, signer, leaf } = record
  const info = descend(csr, 0)
  return {
    'RSA sign the CSR': [() => signWith('sha256', info, key.privateKey)],
    'RSA sign the self-signed certificate': [() => signWith('sha256', signer.certificate.tbs, key.privateKey)],
    'SHA-256 for transactionID': [() => sha256(key.handle.publicKey)],
    ...requestOperations(record, client, signWith),
    ...replyOperations(record),
    'RSA verify the issued certificate and its CA': [verification(leaf, client), verification(client.ca.ca, client)],
  }
}

/** One after the other, as the client does them: each waits for the one before. */
export async function perform(operations: CryptoOperations): Promise<void> {
  for (const calls of Object.values(operations)) for (const call of calls) await call()
}

function verification({ issuer, tbs, signature }: Certificate, { ca }: Client): () => boolean {
  const by = ca.authorities.find(({ subject }) => sameName(subject, issuer)) as Certificate
  const key = publicKeyOf(by)
  return () => verify('sha256', tbs, key, signature)
}

/** The signed attributes as they are digested, the content and the signature of SignedData with one certificate and one signer. */
function signedParts(message: Uint8Array): { attributes: Uint8Array; content: Uint8Array; signature: Uint8Array } {
  const attributes = Uint8Array.from(descend(message, 1, 0, 4, 0, 3))
  attributes[0] = 0x31
  return { attributes, content: contents(message, 1, 0, 2, 1, 0), signature: contents(message, 1, 0, 4, 0, 5) }
}

function envelopeParts(envelope: Uint8Array): { wrappedKey: Uint8Array; iv: Uint8Array; encrypted: Uint8Array } {
  return {
    wrappedKey: contents(envelope, 1, 0, 1, 0, 3),
    iv: contents(envelope, 1, 0, 2, 1, 1),
    encrypted: contents(envelope, 1, 0, 2, 2),
  }
}

/** The value at that place, counting children from 0. */
function descend(bytes: Uint8Array, ...path: readonly number[]): Uint8Array {
  return path.reduce((value, child) => (readChildren(readDer(value).value)[child] as Tlv).raw, bytes)
}

function contents(bytes: Uint8Array, ...path: readonly number[]): Uint8Array {
  return readDer(descend(bytes, ...path)).value
}

function finish(cipher: Cipher | Decipher, bytes: Uint8Array): Buffer {
  return Buffer.concat([cipher.update(bytes), cipher.final()])
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
