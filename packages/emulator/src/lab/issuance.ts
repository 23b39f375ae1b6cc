import type { Clock } from '@certfleet/agent-core'
import { fingerprintOf, formatName } from '@certfleet/agent-core/pki'
import type { FailInfo } from '@certfleet/agent-core/scep/messages'
import type { Audit } from './audit.ts'
import { type Authorities, freshSerialNumber } from './authority.ts'
import { spend } from './challenges.ts'
import { sha256Hex } from './digest.ts'
import type { EnrollmentTransaction, IssuedRecord } from './records.ts'
import type { LabStore, LabTransaction } from './store.ts'
import { issueCertificate } from './template.ts'
import type { ValidationCode } from './validation.ts'

/** What an approver is shown. */
export interface ApprovalRequest {
  readonly transactionId: string
  /** Distinguished name as text. */
  readonly subject: string
  readonly deviceId?: string
  readonly profileId?: string
  readonly attemptId?: string
}

/** Issue now, ask again at the next poll, or no. */
export type Approval = 'issue' | 'pending' | { readonly failInfo: FailInfo }

export interface IssuanceOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly authorities: Authorities
  readonly approve: (request: ApprovalRequest) => Approval
  readonly templateValidityMs: number
}

/** A transaction as it is about to be, what it spends, and the issue by the same transactionID that it comes after. */
export interface Settlement {
  readonly transaction: EnrollmentTransaction
  readonly challengeId?: string | undefined
  readonly replaces?: string | undefined
}

export type Settled =
  | { readonly status: 'issued'; readonly certificate: Uint8Array }
  | { readonly status: 'pending' }
  | { readonly status: 'refused'; readonly failInfo: FailInfo; readonly code?: ValidationCode; readonly detail?: string }

export function transactionKey(transactionId: string): string {
  return sha256Hex(transactionId)
}

/**
 * Brings an authorised transaction to what it comes to now. One transaction yields one certificate, however often and
 * however many at once ask for it: whoever commits first has issued it, the others get the same. What is answered is on record.
 */
export async function settle(settlement: Settlement, options: IssuanceOptions): Promise<Settled> {
  const { store, approve, audit } = options
  const { transaction } = settlement
  if (transaction.serialNumber !== undefined) return issuedBefore(transaction.serialNumber, store)
  const approval = approve(shown(transaction))
  if (typeof approval === 'object') return { status: 'refused', failInfo: approval.failInfo }
  if (approval === 'issue') return issue(settlement, options)
  return store.transaction((tx): Settled => {
    const present = claim(tx, settlement)
    if (typeof present === 'object') return present
    if (present !== undefined) return { status: 'issued', certificate: (tx.get('issued', present) as IssuedRecord).certificate }
    tx.put('transactions', transactionKey(transaction.transactionId), transaction)
    audit.add(tx, { event: 'pending', transactionId: transaction.transactionId, ...named(transaction) })
    return { status: 'pending' }
  })
}

async function issue(settlement: Settlement, options: IssuanceOptions): Promise<Settled> {
  const { store, clock, authorities, templateValidityMs } = options
  const { grant } = settlement.transaction
  for (;;) {
    const at = clock.now()
    const serial = freshSerialNumber()
    const authority = authorities.present()
    const certificate = await issueCertificate(grant, { serialNumber: serial, at, authority, templateValidityMs })
    const record: IssuedRecord = {
      serialNumber: serial.toString('hex'),
      transactionId: settlement.transaction.transactionId,
      fingerprint: fingerprintOf(certificate),
      issuer: fingerprintOf(authority.issuing.certificate.raw),
      ...grant.binding,
      certificate,
      at,
    }
    const settled = await store.transaction((tx) => enter(tx, record, settlement, options.audit))
    if (settled !== 'serial-taken') return settled
  }
}

function enter(tx: LabTransaction, record: IssuedRecord, settlement: Settlement, audit: Audit): Settled | 'serial-taken' {
  const { transactionId, serialNumber } = record
  if (tx.get('issued', serialNumber)) return 'serial-taken'
  const present = claim(tx, settlement)
  if (typeof present === 'object') return present
  if (present !== undefined) return { status: 'issued', certificate: (tx.get('issued', present) as IssuedRecord).certificate }
  tx.put('issued', serialNumber, record)
  tx.put('transactions', transactionKey(transactionId), { ...settlement.transaction, serialNumber })
  audit.add(tx, { event: 'issued', transactionId, serialNumber, ...named(settlement.transaction) })
  return { status: 'issued', certificate: record.certificate }
}

/** Takes hold of transactionID and challenge, unless they are another's; the serial number when this transaction has issued meanwhile. */
function claim(tx: LabTransaction, { transaction, challengeId, replaces }: Settlement): Settled | string | undefined {
  const { transactionId, publicKeyDigest } = transaction
  const present = tx.get('transactions', transactionKey(transactionId))
  if (present && present.publicKeyDigest !== publicKeyDigest)
    return { status: 'refused', failInfo: 'badRequest', code: 'RegisteredKeyMismatch' }
  if (present?.serialNumber !== replaces && present?.serialNumber !== undefined) return present.serialNumber
  if (challengeId === undefined || spend(tx, challengeId, { transactionId, publicKeyDigest })) return undefined
  return { status: 'refused', failInfo: 'badRequest', code: 'BadCertificateRequestIdInChallenge' }
}

function issuedBefore(serialNumber: string, store: LabStore): Settled {
  if (store.get('revocations', serialNumber))
    return { status: 'refused', failInfo: 'badRequest', detail: 'the certificate of this transaction is revoked' }
  return { status: 'issued', certificate: (store.get('issued', serialNumber) as IssuedRecord).certificate }
}

function shown(transaction: EnrollmentTransaction): ApprovalRequest {
  const { transactionId, grant } = transaction
  return { transactionId, subject: formatName(grant.subject), ...grant.binding }
}

function named({ grant }: EnrollmentTransaction): { deviceId?: string; profileId?: string } {
  const { binding } = grant
  return binding ? { deviceId: binding.deviceId, profileId: binding.profileId } : {}
}
