import type { Identity, Instant } from '../types.ts'
import { fingerprintOf, parseCertificate, serialNumberHex } from './certificate.ts'

/** What every pass asks of an installed certificate. */
export interface InstalledCertificate {
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly notBefore: Instant
  readonly notAfter: Instant
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
}

const known = new WeakMap<Uint8Array, InstalledCertificate>()

/** The leaf of an installed identity, read when it is first seen: every pass looks at each, and the rest of it would lie in memory meanwhile. */
export function certificateOf({ chain }: Pick<Identity, 'chain'>): InstalledCertificate {
  const leaf = chain[0] as Uint8Array
  const facts = known.get(leaf) ?? read(leaf)
  known.set(leaf, facts)
  return facts
}

function read(leaf: Uint8Array): InstalledCertificate {
  const certificate = parseCertificate(leaf)
  const { notBefore, notAfter, publicKey } = certificate
  return { fingerprint: fingerprintOf(leaf), serialNumber: serialNumberHex(certificate), notBefore, notAfter, publicKey }
}
