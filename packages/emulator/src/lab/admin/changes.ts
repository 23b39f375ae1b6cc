import type { LabStore, LabTransaction } from '../store.ts'
import type { AdminChanges } from './records.ts'
import { Refusal } from './request.ts'

export type Counted = Exclude<keyof AdminChanges, 'version'>

/** More of them is refused with 403. */
export const maxCounts: Readonly<Record<Counted, number>> = { profiles: 1_000, users: 20_000, groups: 5_000 }

const none: AdminChanges = { version: 0, profiles: 0, users: 0, groups: 0 }

/** How often the admin's side changed by now. */
export function changesOf(store: LabStore): AdminChanges {
  return store.get('adminChanges', 'admin') ?? none
}

/** Does all of the work, or where it throws none of it, and counts it as a change; `added` tells how many more of a kind there are. */
export function change<R>(
  store: LabStore,
  work: (transaction: LabTransaction, added: (kind: Counted, by: 1 | -1) => void) => R,
): Promise<R> {
  return store.transaction((transaction) => {
    let changes = transaction.get('adminChanges', 'admin') ?? none
    const result = work(transaction, (kind, by) => {
      const count = changes[kind] + by
      if (count > maxCounts[kind]) throw new Refusal(403, 'QuotaExceeded', `expected at most ${maxCounts[kind]} ${kind}`)
      changes = { ...changes, [kind]: count }
    })
    transaction.put('adminChanges', 'admin', { ...changes, version: changes.version + 1 })
    return result
  })
}
