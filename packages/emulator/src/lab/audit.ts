import type { Clock } from '@certfleet/agent-core'
import type { AuditEntry } from './records.ts'
import type { LabStore, LabTransaction } from './store.ts'

/** The log keeps this many entries, so that a flood of refusals cannot fill the disk. */
export const maxAuditEntries = 10_000

/** A transactionID comes from outside, and the audit is read on terminals. */
const unprintable = /[^\x20-\x7e]/gu

export interface Audit {
  /** Adds an entry within a transaction: it stands or falls with what it tells of. */
  add(transaction: LabTransaction, entry: Omit<AuditEntry, 'sequence' | 'at'>): void
  /** Oldest first. */
  entries(): readonly AuditEntry[]
}

export function openAudit(store: LabStore, clock: Clock): Audit {
  const entries = () => [...store.list('audit')].sort((a, b) => a.sequence - b.sequence)
  let sequence = entries().at(-1)?.sequence ?? 0
  return {
    add(transaction, entry) {
      sequence++
      const transactionId = entry.transactionId?.replace(unprintable, '?')
      const record = { ...entry, ...(transactionId !== undefined && { transactionId }), sequence, at: clock.now() }
      transaction.put('audit', String(sequence % maxAuditEntries).padStart(5, '0'), record)
    },
    entries,
  }
}
