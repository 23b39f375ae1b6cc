import type { Clock, Instant } from '@certfleet/agent-core'
import type { LabStore, LabTables } from '../lab/index.ts'

type Table = 'challenges' | 'issued' | 'transactions'

const dayMs = 86_400_000

/**
 * The same store without what nobody can ask for any more, as a CA's administrator deletes rows: challenges past their hour, certificates and
 * their transactions a month after they expired. So a simulation of years needs no more memory than one of months.
 */
export function forgetful(store: LabStore, clock: Pick<Clock, 'now'>, validityMs: number): LabStore & { forget(): Promise<void> } {
  const keptMs: Readonly<Record<Table, number>> = {
    challenges: 2 * dayMs,
    issued: validityMs + 30 * dayMs,
    transactions: validityMs + 30 * dayMs,
  }
  const entered: Readonly<Record<Table, Map<string, Instant>>> = { challenges: new Map(), issued: new Map(), transactions: new Map() }
  const isForgotten = (table: keyof LabTables): table is Table => table in entered

  /** In the order of their last change, so that the oldest are found first. */
  function note(table: Table, key: string): void {
    entered[table].delete(key)
    entered[table].set(key, clock.now())
  }

  function outdated(table: Table): readonly string[] {
    const keys: string[] = []
    for (const [key, at] of entered[table]) {
      if (clock.now() - at < keptMs[table]) break
      keys.push(key)
    }
    return keys
  }

  return {
    ...store,
    transaction: (work) =>
      store.transaction((tx) =>
        work({
          ...tx,
          put(table, key, value) {
            if (isForgotten(table)) note(table, key)
            tx.put(table, key, value)
          },
        }),
      ),
    async forget() {
      await store.transaction((tx) => {
        for (const table of ['challenges', 'issued', 'transactions'] as const) {
          for (const key of outdated(table)) {
            tx.remove(table, key)
            entered[table].delete(key)
          }
        }
      })
    },
  }
}
