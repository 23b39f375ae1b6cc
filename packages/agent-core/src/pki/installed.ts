import type { Identity } from '../types.ts'
import { type Certificate, parseCertificate } from './certificate.ts'

const parsed = new WeakMap<Uint8Array, Certificate>()

/** The leaf of an installed identity, parsed when it is first seen: every pass looks at each. */
export function certificateOf({ chain }: Pick<Identity, 'chain'>): Certificate {
  const leaf = chain[0] as Uint8Array
  const known = parsed.get(leaf)
  if (known) return known
  const certificate = parseCertificate(leaf)
  parsed.set(leaf, certificate)
  return certificate
}
