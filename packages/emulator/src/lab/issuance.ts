import type { Clock } from '@certfleet/agent-core'
import { fingerprintOf, formatName } from '@certfleet/agent-core/pki'
import type { FailInfo } from '@certfleet/agent-core/scep/messages'
import type { Audit } from './audit.ts'
import { type Authorities, freshSerialNumber } from './authority.ts'
import { type Accounts, ndesAccount } from './ca/accounts.ts'
import { type EnrollmentBy, permittedTemplate } from './ca/enrollment.ts'
import type { Publication } from './ca/publication.ts'
import type { CaSettings } from './ca/settings.ts'
import { type CertificateTemplate, defaultTemplateName, isApple, type Templates } from './ca/templates.ts'
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
  readonly ca: CertificationAuthority
}

/** What the CA goes by. */
export interface CertificationAuthority {
  readonly templates: Templates
  readonly accounts: Accounts
  readonly settings: Pick<CaSettings, 'attributeEndDate'>
  /** Default: certificates do not say where their revocation is told of. */
  readonly publish?: Publication | undefined
  /** 1 to 20 octets, the first not above 0x7f. Default: 158 random bits. One that is taken is drawn again. */
  readonly freshSerialNumber?: (() => Buffer) | undefined
}

/** A transaction as it is about to be, by which template and for whom; what it spends; the issue by the same transactionID that it comes after. */
export interface Settlement extends EnrollmentBy {
  readonly transaction: EnrollmentTransaction
  readonly challengeId?: string | undefined
  readonly replaces?: string | undefined
}

export type Settled = { readonly status: 'issued'; readonly certificate: Uint8Array } | { readonly status: 'pending' } | Refused

interface Refused {
  readonly status: 'refused'
  readonly failInfo: FailInfo
  readonly code?: ValidationCode
  /** The CA's no, unsigned. */
  readonly hresult?: number
  readonly detail?: string
}

export function transactionKey(transactionId: string): string {
  return sha256Hex(transactionId)
}

/**
 * Brings an authorised transaction to what it comes to now. One transaction yields one certificate, however often and
 * however many at once ask for it: whoever commits first has issued it, the others get the same. What is answered is on record.
 */
export async function settle(asked: Settlement, options: IssuanceOptions): Promise<Settled> {
  const { store, approve, audit } = options
  if (asked.transaction.serialNumber !== undefined) return issuedBefore(asked.transaction.serialNumber, store)
  const settlement = withTemplate(asked)
  const { transaction } = settlement
  const template = permittedTemplate(transaction, transaction.grant.publicKey, options.ca)
  if ('hresult' in template) return { status: 'refused', failInfo: 'badRequest', ...template }
  const approval = approve(shown(transaction))
  if (typeof approval === 'object') return { status: 'refused', failInfo: approval.failInfo }
  if (approval === 'issue') return issue(settlement, template, options)
  return store.transaction((tx): Settled => {
    const present = claim(tx, settlement)
    if (typeof present === 'object') return present
    if (present !== undefined) return { status: 'issued', certificate: (tx.get('issued', present) as IssuedRecord).certificate }
    tx.put('transactions', transactionKey(transaction.transactionId), transaction)
    audit.add(tx, { event: 'pending', transactionId: transaction.transactionId, ...named(transaction) })
    return { status: 'pending' }
  })
}

/** What a transaction was first asked for by stays with it: a poll names neither template nor account. */
function withTemplate({ transaction, template, account, ...rest }: Settlement): Settlement {
  const by = { template: transaction.template ?? template ?? defaultTemplateName, account: transaction.account ?? account ?? ndesAccount }
  return { ...rest, transaction: { ...transaction, ...by } }
}

async function issue(settlement: Settlement, template: CertificateTemplate, options: IssuanceOptions): Promise<Settled> {
  const { store, clock, authorities, ca } = options
  const { grant } = settlement.transaction
  const draw = ca.freshSerialNumber ?? freshSerialNumber
  for (;;) {
    const at = clock.now()
    const serial = draw()
    const authority = authorities.present()
    const { running: honoursEndDate } = ca.settings.attributeEndDate()
    const terms = { serialNumber: serial, at, authority, template, honoursEndDate, publish: ca.publish ?? {} }
    const certificate = await issueCertificate(grant, terms)
    const record: IssuedRecord = {
      serialNumber: serial.toString('hex'),
      transactionId: settlement.transaction.transactionId,
      fingerprint: fingerprintOf(certificate),
      issuer: fingerprintOf(authority.issuing.certificate.raw),
      template: template.name,
      ...grant.binding,
      certificate,
      at,
    }
    const settled = await store.transaction((tx) => enter(tx, record, settlement, template, options.audit))
    if (settled !== 'serial-taken') return settled
  }
}

function enter(
  tx: LabTransaction,
  record: IssuedRecord,
  settlement: Settlement,
  template: CertificateTemplate,
  audit: Audit,
): Settled | 'serial-taken' {
  const { transactionId, serialNumber } = record
  if (tx.get('issued', serialNumber)) return 'serial-taken'
  const present = claim(tx, settlement)
  if (typeof present === 'object') return present
  if (present !== undefined) return { status: 'issued', certificate: (tx.get('issued', present) as IssuedRecord).certificate }
  tx.put('issued', serialNumber, record)
  tx.put('transactions', transactionKey(transactionId), { ...settlement.transaction, serialNumber })
  audit.add(tx, { event: 'issued', transactionId, serialNumber, ...named(settlement.transaction), ...warning(tx, settlement, template) })
  return { status: 'issued', certificate: record.certificate }
}

/** S49: the CA issues it all the same, as it knows nothing of platforms. */
function warning(tx: LabTransaction, { transaction }: Settlement, template: CertificateTemplate): { detail?: string } {
  const { deviceId } = transaction.grant.binding ?? {}
  const platform = deviceId === undefined ? undefined : tx.get('registrations', deviceId)?.platform
  if (!template.signatureIsProofOfOrigin || platform === undefined || !isApple(platform)) return {}
  return { detail: `warning: template "${template.name}" has "signature is proof of origin", which ${platform} must not get (S49)` }
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
