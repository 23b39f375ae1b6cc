import { AgentError, type Clock, type Instant } from '@certfleet/agent-core'
import { buildCrl, type CrlReason, fingerprintOf } from '@certfleet/agent-core/pki'
import type { Audit } from './audit.ts'
import type { Authorities, Authority } from './authority.ts'
import type { CrlRecord, RevocationRecord } from './records.ts'
import type { LabStore } from './store.ts'

export interface RevocationOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly authorities: Authorities
}

const dayMs = 86_400_000
/** A CRL counts for so long; half-way the next one is made. */
export const crlLifetimeMs = 7 * dayMs
/** For devices whose clock is behind. */
const backdatedMs = 10 * 60_000
const noCrl: CrlRecord = { revocations: 0 }

/**
 * Revokes a certificate that this lab issued, by its serial number in lower-case hex. Revoking again changes nothing.
 * A serial number that is not on record: `ERR_UNSUPPORTED`.
 */
export async function revoke(serialNumber: string, reason: CrlReason, options: RevocationOptions): Promise<void> {
  const { store, clock, audit } = options
  const issuer = store.get('issued', serialNumber)?.issuer
  if (issuer === undefined) throw new AgentError('ERR_UNSUPPORTED', `no certificate with serial number ${serialNumber} was issued here`)
  await store.transaction((tx) => {
    if (tx.get('revocations', serialNumber)) return
    const crl = tx.get('crls', issuer) ?? noCrl
    tx.put('revocations', serialNumber, { serialNumber, issuer, at: clock.now(), reason })
    tx.put('crls', issuer, { ...crl, revocations: crl.revocations + 1 })
    audit.add(tx, { event: 'revoked', serialNumber, detail: reason })
  })
}

/** The CRL of an issuing CA, DER: the one on record while nothing was revoked since and half of its time is left, else a new one. */
export async function currentCrl(authority: Authority, { store, clock }: RevocationOptions): Promise<Uint8Array> {
  const issuer = fingerprintOf(authority.issuing.certificate.raw)
  for (;;) {
    const now = clock.now()
    const record = store.get('crls', issuer) ?? noCrl
    if (record.last && isFresh(record, record.last.thisUpdate, now)) return record.last.crl
    const number = (record.last?.number ?? 0) + 1
    const thisUpdate = Math.floor((now - backdatedMs) / 1000) * 1000
    const crl = await sign(
      authority,
      [...store.list('revocations')].filter((entry) => entry.issuer === issuer),
      number,
      thisUpdate,
    )
    const kept = await store.transaction((tx) => {
      const present = tx.get('crls', issuer) ?? noCrl
      if (present.revocations !== record.revocations || present.last?.number !== record.last?.number) return false
      tx.put('crls', issuer, { revocations: present.revocations, last: { number, revocations: present.revocations, thisUpdate, crl } })
      return true
    })
    if (kept) return crl
  }
}

function isFresh({ revocations, last }: CrlRecord, thisUpdate: Instant, now: Instant): boolean {
  return last?.revocations === revocations && now >= thisUpdate && now < thisUpdate + crlLifetimeMs / 2
}

function sign({ issuing }: Authority, revocations: readonly RevocationRecord[], number: number, thisUpdate: Instant): Promise<Uint8Array> {
  return buildCrl({
    issuer: issuing.certificate.subject,
    number,
    thisUpdate,
    nextUpdate: thisUpdate + crlLifetimeMs,
    entries: revocations.map(({ serialNumber, at, reason }) => ({
      serialNumber: Buffer.from(serialNumber, 'hex'),
      revokedAt: at,
      reason,
    })),
    signer: issuing.key,
    hash: 'sha256',
  })
}
