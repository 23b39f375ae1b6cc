import { fingerprintOf } from '@certfleet/agent-core/pki'
import { currentCrl, type RevocationOptions } from '../revocation.ts'

/** The CRL of the CA whose certificate has this SHA-256, lower-case hex: the one that issues now or one before it. DER; undefined for others. */
export async function crlOf(issuerFingerprint: string, options: RevocationOptions): Promise<Uint8Array | undefined> {
  const isMeant = (der: Uint8Array) => fingerprintOf(der) === issuerFingerprint
  const authority = options.authorities.sofar().find(({ issuing }) => isMeant(issuing.certificate.raw))
  return authority && currentCrl(authority, options)
}
