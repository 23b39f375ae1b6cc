import type { LabTables } from './records.ts'

/** Reads and writes inside one transaction. */
export interface LabTransaction {
  get<T extends keyof LabTables>(table: T, key: string): LabTables[T] | undefined
  put<T extends keyof LabTables>(table: T, key: string, value: LabTables[T]): void
  /** Removing what is not there is not an error. */
  remove(table: keyof LabTables, key: string): void
}

/** Longer keys name no record: reading one finds nothing, and writing one is a bug. */
export const maxKeyCharacters = 500

/** What the lab remembers: named tables of records under string keys. */
export interface LabStore {
  /** The record as last committed. */
  get<T extends keyof LabTables>(table: T, key: string): LabTables[T] | undefined
  /** The committed records of a table, by key in code-point order. */
  list<T extends keyof LabTables>(table: T): Iterable<LabTables[T]>
  /**
   * Runs `work` alone: no other transaction runs meanwhile, and it sees its own writes.
   * All of its writes are committed and durable once this resolves; when `work` throws, none is, and this rejects with what it threw.
   * `work` is synchronous and must not call the store itself.
   */
  transaction<R>(work: (transaction: LabTransaction) => R): Promise<R>
  /** Closing twice is not an error. */
  close(): Promise<void>
}

/** A store that ends with the process. Records are kept as they were at `put`, whatever the caller does to them later. */
export function memoryLabStore(): LabStore {
  const tables = new Map<keyof LabTables, Map<string, unknown>>()
  return {
    get: (table, key) => copyOf(read(tables, table, key)),
    *list(table) {
      for (const key of [...(tables.get(table)?.keys() ?? [])].sort()) yield copyOf(read(tables, table, key)) as LabTables[typeof table]
    },
    transaction: async (work) => commit(tables, work),
    close: async () => {},
  }
}

/** Of a record: objects, arrays, octets and what cannot be changed. Several times as fast as `structuredClone`, which copies text too. */
function copyOf<T>(value: T): T
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (Array.isArray(value)) return value.map((element) => copyOf(element))
  // Spread first: a member named __proto__, which JSON may bring, is one of the copy's own by then, and no assignment changes the prototype.
  const copy: Record<string, unknown> = { ...value }
  for (const name of Object.keys(copy)) copy[name] = copyOf(copy[name])
  return copy
}

type Tables = Map<keyof LabTables, Map<string, unknown>>

function commit<R>(tables: Tables, work: (transaction: LabTransaction) => R): R {
  const written: Tables = new Map()
  const write = (table: keyof LabTables, key: string, value: unknown) => tableOf(written, table).set(key, copyOf(value))
  const result = work({
    get: (table, key) => copyOf(written.get(table)?.has(key) ? read(written, table, key) : read(tables, table, key)),
    put: write,
    remove: (table, key) => write(table, key, undefined),
  })
  for (const [table, records] of written) for (const [key, value] of records) apply(tableOf(tables, table), key, value)
  return result
}

function apply(table: Map<string, unknown>, key: string, value: unknown): void {
  if (value === undefined) table.delete(key)
  else table.set(key, value)
}

function read<T extends keyof LabTables>(tables: Tables, table: T, key: string): LabTables[T] | undefined {
  return key.length > maxKeyCharacters ? undefined : (tables.get(table)?.get(key) as LabTables[T] | undefined)
}

function tableOf(tables: Tables, table: keyof LabTables): Map<string, unknown> {
  const known = tables.get(table)
  if (known) return known
  const fresh = new Map<string, unknown>()
  tables.set(table, fresh)
  return fresh
}
