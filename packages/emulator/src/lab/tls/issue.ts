import type { Clock } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import type { Audit } from '../audit.ts'
import type { Authorities } from '../authority.ts'
import type { LabStore } from '../store.ts'
import { issueTlsCertificate, type TlsIdentity, type TlsRequest } from './certificate.ts'

export interface TlsIssuance {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly authorities: Authorities
}

/**
 * A certificate of the lab's CA for one of its hosts (S58), on record before it is given out, so that it can be revoked.
 * The key is kept nowhere: a host that starts again asks for a new certificate.
 */
export async function issueTls(request: TlsRequest, { store, clock, audit, authorities }: TlsIssuance): Promise<TlsIdentity> {
  const { root, issuing } = authorities.present()
  for (;;) {
    const identity = await issueTlsCertificate(request, { root, issuing }, clock)
    const { serialNumber } = identity
    const certificate = identity.chain[0] as Uint8Array
    const record = {
      serialNumber,
      transactionId: `tls ${serialNumber}`,
      fingerprint: fingerprintOf(certificate),
      issuer: fingerprintOf(issuing.certificate.raw),
      certificate,
      at: clock.now(),
    }
    const entered = await store.transaction((tx) => {
      if (tx.get('issued', serialNumber)) return false
      tx.put('issued', serialNumber, record)
      audit.add(tx, { event: 'issued', serialNumber, detail: `TLS ${request.purposes.join(', ')}: ${request.publicName}` })
      return true
    })
    if (entered) return identity
  }
}
