import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  type Certificate,
  type ExtensionValue,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { type FuzzKey, fuzzKey } from './keys.ts'

export interface Holder {
  readonly certificate: Certificate
  readonly key: FuzzKey
}

/** Who talks to whom in every message: the same octets in every process. */
export interface World {
  readonly root: Holder
  readonly issuing: Holder
  /** Signs answers and decrypts requests. */
  readonly ra: Holder
  /** Asks, self-signed. */
  readonly client: Holder
  /** What the CA issued to the client. */
  readonly leaf: Holder
}

export const at = Date.UTC(2027, 0, 1)
export const host = 'device.example.com'
const dayMs = 86_400_000

export async function createWorld(): Promise<World> {
  const root = await holder('CN=Fuzz root,O=certfleet', { extensions: caExtensions })
  const issuing = await holder('CN=Fuzz issuing,O=certfleet', { issuer: root, extensions: caExtensions })
  const ra = await holder('CN=Fuzz RA', { issuer: issuing, extensions: [keyUsageExtension(['digitalSignature', 'keyEncipherment'])] })
  const client = await holder('CN=device', { extensions: [keyUsageExtension(['digitalSignature', 'keyEncipherment'])] })
  const leaf = await holder('CN=device', { issuer: issuing, key: client.key, extensions: leafExtensions })
  return { root, issuing, ra, client, leaf }
}

const caExtensions = [basicConstraintsExtension({ ca: true, pathLength: 3 }), keyUsageExtension(['keyCertSign', 'cRLSign'])]
const leafExtensions = [
  keyUsageExtension(['digitalSignature']),
  subjectAltNameExtension([
    { type: 'dns', value: host },
    { type: 'email', value: 'device@example.com' },
    { type: 'upn', value: 'device@example.com' },
    { type: 'uri', value: 'tag:example.com,2026:device' },
  ]),
]

interface HolderOptions {
  readonly issuer?: Holder
  readonly key?: FuzzKey
  readonly extensions: readonly ExtensionValue[]
}

async function holder(subject: string, { issuer, key = fuzzKey(subject), extensions }: HolderOptions): Promise<Holder> {
  const by = issuer?.key ?? key
  const der = await buildCertificate({
    serialNumber: keyIdentifierOf(key.handle.publicKey).subarray(0, 8).map(positive),
    issuer: issuer?.certificate.subject ?? subject,
    subject,
    publicKey: key.handle.publicKey,
    notBefore: at - 300 * dayMs,
    notAfter: at + 3000 * dayMs,
    extensions: [
      ...extensions,
      subjectKeyIdentifierExtension(key.handle.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(by.handle.publicKey)),
    ],
    signer: by.handle,
    hash: 'sha256',
  })
  return { certificate: parseCertificate(der), key }
}

function positive(octet: number, i: number): number {
  return i === 0 ? (octet & 0x7f) | 1 : octet
}
