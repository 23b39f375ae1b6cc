import type { AuditEntry, LabStore } from '../lab/index.ts'

/** The same store; `onEntry` is told of each entry of the lab's log once it is committed. */
export function withLog(store: LabStore, onEntry: (entry: AuditEntry) => void): LabStore {
  return {
    ...store,
    async transaction(work) {
      const entries: AuditEntry[] = []
      const result = await store.transaction((transaction) => {
        entries.length = 0
        return work({
          ...transaction,
          put(table, key, value) {
            if (table === 'audit') entries.push(value as AuditEntry)
            transaction.put(table, key, value)
          },
        })
      })
      for (const entry of entries) onEntry(entry)
      return result
    },
  }
}

/** `2027-01-15T08:00:00.000Z issued deviceId=ios-1 profileId=… serialNumber=…`; the log holds no secrets. */
export function logLine({ at, event, sequence: _, ...facts }: AuditEntry): string {
  const told = Object.entries(facts).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${JSON.stringify(value)}`]))
  return [new Date(at).toISOString(), event, ...told].join(' ')
}
