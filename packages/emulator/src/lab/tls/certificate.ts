import { generateKeyPair } from 'node:crypto'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import { AgentError, type ClientIdentity, type Clock, type Instant, softwareKeyHandle } from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import { primitive, sequence, tlv } from '@certfleet/agent-core/der'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  type Certificate,
  ExtensionOid,
  type ExtensionValue,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  PurposeOid,
  serialNumberHex,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { freshSerialNumber } from '../authority.ts'
import { addressOctets } from './address.ts'

/** What a host asks for (S58). */
export interface TlsRequest {
  /** DNS name or IP address: the subject, and the first name of the SAN. A server's public name; for a client, the NDES host's DNS name. */
  readonly publicName: string
  /** Further names of the SAN: those that the host has inside. Default none. */
  readonly internalNames?: readonly string[]
  /** At least one; one certificate may serve both. */
  readonly purposes: readonly ('server' | 'client')[]
  /** From ten minutes ago, and never beyond the CA's own end. Default 365 days. */
  readonly validityMs?: number
}

/** A certificate with its P-256 key, for node:tls. `chain` is without the root. */
export interface TlsIdentity extends ClientIdentity {
  readonly publicName: string
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly expiresAt: Instant
}

/** Who signs, and the root that it leads to: the lab's CA, or one of its own. */
export interface TlsIssuer {
  readonly root: Certificate
  readonly issuing: CmsSigner
}

const dayMs = 86_400_000
/** For devices whose clock is behind. */
const backdatedMs = 10 * 60_000
const purposeOids = { server: PurposeOid.ServerAuth, client: PurposeOid.ClientAuth } as const
const generatePair = promisify(generateKeyPair)

/** Makes a key and a certificate for it, which is on no record. Names that are neither DNS names nor IP addresses: `ERR_UNSUPPORTED`. */
export async function issueTlsCertificate(request: TlsRequest, { root, issuing }: TlsIssuer, clock: Clock): Promise<TlsIdentity> {
  const { publicName, internalNames = [], purposes, validityMs = 365 * dayMs } = request
  const { privateKey } = await generatePair('ec', { namedCurve: 'P-256' })
  const { publicKey } = softwareKeyHandle(privateKey, 'tls')
  const names = subjectAltNames([publicName, ...internalNames])
  const serialNumber = freshSerialNumber()
  const notBefore = Math.floor((clock.now() - backdatedMs) / 1000) * 1000
  const expiresAt = Math.min(notBefore + validityMs, issuing.certificate.notAfter)
  const certificate = await buildCertificate({
    serialNumber,
    issuer: issuing.certificate.subject,
    subject: `CN=${publicName}`,
    publicKey,
    notBefore,
    notAfter: expiresAt,
    extensions: [
      keyUsageExtension(['digitalSignature']),
      extendedKeyUsageExtension(purposes.map((purpose) => purposeOids[purpose])),
      names,
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuing.key.publicKey)),
    ],
    signer: issuing.key,
    hash: 'sha256',
  })
  const above = Buffer.compare(root.raw, issuing.certificate.raw) === 0 ? [] : [issuing.certificate.raw]
  return { publicName, serialNumber: serialNumberHex({ serialNumber }), expiresAt, chain: [certificate, ...above], privateKey }
}

/** RFC 5280 4.2.1.6; a profile's SAN has no IP addresses, a host's may. */
function subjectAltNames(names: readonly string[]): ExtensionValue {
  return { oid: ExtensionOid.SubjectAltName, value: sequence(...[...new Set(names)].map(generalName)) }
}

function generalName(name: string): Uint8Array {
  if (isIP(name) !== 0) return tlv(primitive(7), addressOctets(name))
  if (!isHostName(name)) throw new AgentError('ERR_UNSUPPORTED', `a TLS certificate is for DNS names and IP addresses, not "${name}"`)
  return tlv(primitive(2), Buffer.from(name, 'latin1'))
}

/** RFC 1123 2.1. No wildcards: S58 and S59 want the name itself. */
function isHostName(name: string): boolean {
  return name.length <= 253 && /^(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/i.test(name)
}
