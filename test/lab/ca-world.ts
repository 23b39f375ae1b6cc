import type { SubjectAltName } from '@certfleet/agent-core'
import { nameDer } from '@certfleet/agent-core/pki'
import { type CaAccount, type CertificateTemplate, type LabStore, memoryLabStore, type Publication } from '@certfleet/emulator/lab'
import { openAudit } from '#emulator/lab/audit.ts'
import { openAuthorities } from '#emulator/lab/authority.ts'
import { openAccounts } from '#emulator/lab/ca/accounts.ts'
import { openCaSettings } from '#emulator/lab/ca/settings.ts'
import { openTemplates } from '#emulator/lab/ca/templates.ts'
import { type Settlement, settle } from '#emulator/lab/issuance.ts'
import type { CertificateGrant } from '#emulator/lab/records.ts'
import { FakeClock } from '../fakes/clock.ts'
import { start } from './surroundings.ts'

export const day = 86_400_000

export const template = (name: string, other: Partial<CertificateTemplate> = {}): CertificateTemplate => ({
  name,
  displayName: `${name}, as shown`,
  subject: 'supplied-in-request',
  signatureIsProofOfOrigin: false,
  validityMs: 100 * day,
  renewalPeriodMs: 10 * day,
  minKeyBits: 2048,
  enrollAccounts: ['ndes'],
  ...other,
})

export interface CaOptions {
  readonly store?: LabStore
  readonly templates?: readonly CertificateTemplate[]
  readonly accounts?: readonly CaAccount[]
  readonly publish?: Publication
  readonly freshSerialNumber?: () => Buffer
}

const made = memoryLabStore()

/** The CA alone: no NDES, no messages. Its keys are made once a test file. */
export async function openCa({ store = memoryLabStore(), ...options }: CaOptions = {}) {
  const clock = new FakeClock(start)
  await openAuthorities(made, clock, 2048)
  const record = made.get('authority', 'lab')
  if (record && store.get('authority', 'lab') === undefined) await store.transaction((tx) => tx.put('authority', 'lab', record))
  const audit = openAudit(store, clock)
  const settings = await openCaSettings(store, audit, { attributeEndDate: false })
  const { publish, freshSerialNumber } = options
  const all = {
    store,
    clock,
    audit,
    authorities: await openAuthorities(store, clock, 2048),
    accounts: openAccounts(options.accounts ?? []),
    approve: () => 'issue' as const,
    ca: {
      templates: openTemplates(options.templates ?? [], 365 * day),
      accounts: openAccounts(options.accounts ?? []),
      settings,
      publish,
      freshSerialNumber,
    },
  }
  return { ...all, all, settings, settle: (settlement: Settlement) => settle(settlement, all) }
}

const noNames: readonly SubjectAltName[] = []

export function settlementFor(transactionId: string, publicKey: Uint8Array, grant: Partial<CertificateGrant> = {}): Settlement {
  const all: CertificateGrant = {
    subject: nameDer('CN=device-1'),
    publicKey,
    subjectAltNames: noNames,
    keyUsages: [],
    extendedKeyUsages: [],
    ...grant,
  }
  return { transaction: { transactionId, publicKeyDigest: transactionId, signerKeyDigest: transactionId, grant: all } }
}
