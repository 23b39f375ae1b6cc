import { generateKeyPairSync } from 'node:crypto'
import { type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import {
  basicConstraintsExtension,
  buildCertificate,
  type Certificate,
  type ExtensionValue,
  keyUsageExtension,
  parseCertificate,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'

export interface TestIdentity {
  readonly certificate: Certificate
  readonly key: KeyHandle
  /** PKCS#8 PEM, for openssl. */
  readonly keyPem: string
}

export const now = Date.UTC(2026, 0, 1)
const dayMs = 86_400_000

let serial = 100

/** A certificate with a fresh key, self-signed unless `issuer` is given. */
export async function identity(
  subject: string,
  { issuer, extensions = [], ec = false }: { issuer?: TestIdentity; extensions?: readonly ExtensionValue[]; ec?: boolean } = {},
): Promise<TestIdentity> {
  const { privateKey } = ec ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = softwareKeyHandle(privateKey, subject)
  const der = await buildCertificate({
    serialNumber: Uint8Array.of(++serial),
    issuer: issuer?.certificate.subject ?? subject,
    subject,
    publicKey: key.publicKey,
    notBefore: now - dayMs,
    notAfter: now + 3650 * dayMs,
    extensions: [subjectKeyIdentifierExtension(key.publicKey), ...extensions],
    signer: issuer?.key ?? key,
    hash: 'sha256',
  })
  return { certificate: parseCertificate(der), key, keyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() }
}

export const caExtensions = [basicConstraintsExtension({ ca: true }), keyUsageExtension(['keyCertSign', 'cRLSign'])]

export function pem({ raw }: Certificate): string {
  const lines =
    Buffer.from(raw)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
