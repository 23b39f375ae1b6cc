import { AgentError, type Clock, type Instant } from '@certfleet/agent-core'
import { buildCrl, type CrlReason, fingerprintOf } from '@certfleet/agent-core/pki'
import type { Audit } from './audit.ts'
import type { Authorities, Authority } from './authority.ts'
import type { Accounts } from './ca/accounts.ts'
import { defaultTemplateName } from './ca/templates.ts'
import type { CrlRecord, IssuedRecord, RevocationRecord } from './records.ts'
import type { LabStore, LabTransaction } from './store.ts'

export interface RevocationOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly authorities: Authorities
  /** Who may revoke what (S52). Default: nobody but the CA's administrator. */
  readonly accounts?: Pick<Accounts, 'mayManage'> | undefined
}

/** removeFromCRL lifts a hold; the certificate is then on no CRL any more. */
export type RevocationReason = CrlReason | 'removeFromCRL'

export interface RevokedBy {
  /** Default: the CA's administrator, who may do everything. */
  readonly account?: string | undefined
}

const dayMs = 86_400_000
/** A CRL counts for so long; half-way the next one is made. */
export const crlLifetimeMs = 7 * dayMs
/** For devices whose clock is behind. */
const backdatedMs = 10 * 60_000
const noCrl: CrlRecord = { revocations: 0 }

/**
 * Revokes a certificate that this lab issued, by its serial number in lower-case hex. Revoking again changes nothing, but that a
 * hold (certificateHold) becomes final by any other reason, or is lifted by removeFromCRL. By an account that does not hold
 * Issue and Manage Certificates for the certificate's template (S52): `ERR_UNAUTHORIZED`, and the audit has it.
 * A serial number that is not on record, or no hold to be lifted: `ERR_UNSUPPORTED`.
 */
export async function revoke(
  serialNumber: string,
  reason: RevocationReason,
  options: RevocationOptions,
  { account }: RevokedBy = {},
): Promise<void> {
  const { store, clock } = options
  const record = store.get('issued', serialNumber)
  if (record === undefined) throw new AgentError('ERR_UNSUPPORTED', `no certificate with serial number ${serialNumber} was issued here`)
  if (account !== undefined) await assertMayManage(account, record, options)
  await store.transaction((tx) => change(tx, { serialNumber, issuer: record.issuer, at: clock.now() }, reason, options.audit))
}

async function assertMayManage(account: string, { serialNumber, template }: IssuedRecord, options: RevocationOptions): Promise<void> {
  const { store, audit, accounts } = options
  const name = template ?? defaultTemplateName
  if (accounts?.mayManage(account, name)) return
  const refused = `account "${account}" does not hold issue and manage certificates for template "${name}"`
  await store.transaction((tx) => audit.add(tx, { event: 'revocation-refused', serialNumber, detail: refused }))
  throw new AgentError('ERR_UNAUTHORIZED', `certificate ${serialNumber} is not revoked: ${refused}`)
}

function change(tx: LabTransaction, wanted: Omit<RevocationRecord, 'reason'>, reason: RevocationReason, audit: Audit): void {
  const { serialNumber, issuer } = wanted
  const present = tx.get('revocations', serialNumber)
  const isHeld = present?.reason === 'certificateHold'
  if (reason === 'removeFromCRL' && !isHeld) throw new AgentError('ERR_UNSUPPORTED', `certificate ${serialNumber} is not on hold`)
  if (present && (!isHeld || reason === 'certificateHold')) return
  // What was on hold counted for nothing since then (RFC 5280 5.3.1).
  if (reason === 'removeFromCRL') tx.remove('revocations', serialNumber)
  else tx.put('revocations', serialNumber, { ...(present ?? wanted), reason })
  const crl = tx.get('crls', issuer) ?? noCrl
  tx.put('crls', issuer, { ...crl, revocations: crl.revocations + 1 })
  audit.add(tx, { event: reason === 'removeFromCRL' ? 'hold-lifted' : 'revoked', serialNumber, detail: reason })
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
