import { createHash } from 'node:crypto'
import { type KeyHandle, type SubjectAltName, softwareKeyHandle } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  type KeyUsageBit,
  keyIdentifierOf,
  keyUsageExtension,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { rsaKey } from './rsa-keys.ts'

const keys = new Map<string, KeyHandle>()

/** RSA-2048 keys, one a label in all of a process. */
export async function testKey(label: string): Promise<KeyHandle> {
  const key = keys.get(label) ?? softwareKeyHandle(rsaKey(), label)
  keys.set(label, key)
  return key
}

export interface TestCertificate {
  readonly subject: string
  readonly key: KeyHandle
  readonly issuer?: { readonly subject: string; readonly key: KeyHandle }
  readonly ca?: boolean
  readonly keyUsage?: readonly KeyUsageBit[]
  readonly subjectAltNames?: readonly SubjectAltName[]
  readonly notBefore?: number
  readonly notAfter?: number
}

/** A certificate for a test, DER; self-signed without an issuer. Valid from 1970 to 2096 unless told otherwise. */
export function testCertificate({
  subject,
  key,
  issuer,
  ca = false,
  keyUsage,
  subjectAltNames,
  notBefore = 0,
  notAfter = 4_000_000_000_000,
}: TestCertificate): Promise<Uint8Array> {
  const by = issuer ?? { subject, key }
  return buildCertificate({
    serialNumber: createHash('sha256')
      .update(`${by.subject} ${subject}`)
      .update(key.publicKey)
      .digest()
      .subarray(0, 8)
      .map((octet, i) => (i === 0 ? (octet & 0x7f) | 1 : octet)),
    issuer: by.subject,
    subject,
    publicKey: key.publicKey,
    notBefore,
    notAfter,
    extensions: [
      basicConstraintsExtension({ ca }),
      subjectKeyIdentifierExtension(key.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(by.key.publicKey)),
      keyUsageExtension(keyUsage ?? (ca ? ['keyCertSign', 'cRLSign'] : ['digitalSignature', 'keyEncipherment'])),
      ...(subjectAltNames ? [subjectAltNameExtension(subjectAltNames)] : []),
    ],
    signer: by.key,
    hash: 'sha256',
  })
}
