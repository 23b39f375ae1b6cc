import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { type Clock, softwareKeyHandle } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { freshSerialNumber } from '../authority.ts'
import type { TlsIssuer } from './certificate.ts'

const dayMs = 86_400_000
const generatePair = promisify(generateKeyPair)

export interface TlsAuthorityOptions {
  readonly clock: Clock
  /** Of the root: text for a common name, without commas. */
  readonly name: string
  /** Default 3650 days, from a day ago. */
  readonly validityMs?: number
}

/**
 * A root that signs TLS certificates and nothing else: the further Trusted Root of the document's requirements, as for the CA
 * "that signs the server authentication certificates for your Wi-Fi access points". Made anew at each call, kept nowhere.
 */
export async function makeTlsAuthority({ clock, name, validityMs = 3650 * dayMs }: TlsAuthorityOptions): Promise<TlsIssuer> {
  const { privateKey } = await generatePair('ec', { namedCurve: 'P-256' })
  const key = softwareKeyHandle(privateKey, 'tls-root')
  const notBefore = Math.floor((clock.now() - dayMs) / 1000) * 1000
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: `CN=${name}`,
    subject: `CN=${name}`,
    publicKey: key.publicKey,
    notBefore,
    notAfter: notBefore + validityMs,
    extensions: [
      basicConstraintsExtension({ ca: true }),
      keyUsageExtension(['keyCertSign', 'cRLSign']),
      subjectKeyIdentifierExtension(key.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(key.publicKey)),
    ],
    signer: key,
    hash: 'sha256',
  })
  const root = parseCertificate(certificate)
  return { root, issuing: { certificate: root, key } }
}
