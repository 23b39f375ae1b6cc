import { AgentError } from '../errors.ts'
import { fingerprintOf, isSelfSigned, parseCertificate } from '../pki/certificate.ts'
import type { StoreName } from '../types.ts'

/**
 * Judges a certificate at the door of a modelled store and returns its fingerprint.
 *
 * Root and intermediate CA certificates enter (S6), nothing else; `computer-root` holds self-signed ones only (W-CS).
 * The intermediate stores take a self-signed one too, as Windows does, though no path ends there.
 * Otherwise `ERR_CERTIFICATE_REFUSED`.
 */
export function admit(store: StoreName, der: Uint8Array): string {
  const certificate = parseCertificate(der)
  const selfSigned = isSelfSigned(certificate)
  // A version 1 root has no extensions to say that it is a CA; only its self-signature vouches for it.
  const isCa = certificate.basicConstraints?.ca ?? (selfSigned && certificate.extensions.size === 0)
  if (!isCa) refuse(store, 'it is not a CA certificate')
  if (store === 'computer-root' && !selfSigned) refuse(store, 'it is not self-signed; an intermediate CA belongs in an intermediate store')
  return fingerprintOf(der)
}

function refuse(store: StoreName, reason: string): never {
  throw new AgentError('ERR_CERTIFICATE_REFUSED', `certificate refused by store ${store}: ${reason}`)
}
