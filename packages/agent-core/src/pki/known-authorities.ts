import type { Certificate } from './certificate.ts'

const limit = 64
const maxBytes = 4096
const known = new Map<string, Certificate>()

/** A CA certificate with these octets, as it was read before. */
export function knownAuthority(der: Uint8Array): Certificate | undefined {
  if (der.length > maxBytes) return undefined
  const name = nameOf(der)
  const certificate = known.get(name)
  if (certificate === undefined) return undefined
  known.delete(name)
  // Everything in it is a view of `raw`: one whose octets somebody has changed is nobody's any more.
  if (Buffer.compare(certificate.raw, der) !== 0) return undefined
  known.set(name, certificate)
  return certificate
}

/** Keeps the last 64: devices meet the same few again and again. `certificate` is to be of octets that nobody else holds. */
export function keepAuthority(certificate: Certificate): Certificate {
  known.set(nameOf(certificate.raw), certificate)
  if (known.size > limit) known.delete(known.keys().next().value as string)
  return certificate
}

/** Whether a certificate would be kept: one of an end entity seldom comes again. */
export function isWorthKeeping({ raw, basicConstraints }: Certificate): boolean {
  return basicConstraints?.ca === true && raw.length <= maxBytes
}

function nameOf(der: Uint8Array): string {
  return Buffer.from(der.buffer, der.byteOffset, der.length).toString('latin1')
}
