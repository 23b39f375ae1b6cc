import type { Identity, Instant } from '../types.ts'
import { type Certificate, fingerprintOf, parseCertificate, serialNumberHex } from './certificate.ts'

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
  return known.get(leaf) ?? rememberLeaf(parseCertificate(leaf))
}

/** What was parsed when it was judged need not be parsed again once it is installed. */
export function rememberLeaf(certificate: Certificate): InstalledCertificate {
  const { raw, notBefore, notAfter, publicKey } = certificate
  const facts = { fingerprint: fingerprintOf(raw), serialNumber: serialNumberHex(certificate), notBefore, notAfter, publicKey }
  known.set(raw, facts)
  return facts
}
