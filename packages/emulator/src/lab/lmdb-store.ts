import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { assertWholeDatabase } from './lmdb-file.ts'
import { breakSeal, seal } from './lmdb-seal.ts'
import type { LabTables } from './records.ts'
import { type LabStore, maxKeyCharacters } from './store.ts'

/** What sorts behind every key. */
const lastKey = '\u{10ffff}'

/** A store in `folder`, which it makes if need be and closes to everybody else (mode 700): private keys lie in it. A torn file: `ERR_STATE_INVALID`. */
export async function lmdbLabStore(folder: string): Promise<LabStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
  const path = join(folder, 'lab.mdb')
  await assertWholeDatabase(path)
  await breakSeal(path)
  // Without overlapping sync a transaction has reached the disk when it ends.
  const database: RootDatabase = open({ path, noSubdir: true, overlappingSync: false })
  // lmdb throws on a key that is too long for it, and keys may come from outside.
  const get = <T extends keyof LabTables>(table: T, key: string) =>
    key.length > maxKeyCharacters ? undefined : (database.get([table, key]) as LabTables[T] | undefined)
  let closed = false
  return {
    get,
    *list(table) {
      for (const { value } of database.getRange({ start: [table], end: [table, lastKey] })) yield value as LabTables[typeof table]
    },
    // Synchronous: the asynchronous form does not call back where the worker threads cannot reach the main one.
    transaction: async (work) =>
      database.transactionSync(() =>
        work({
          get,
          put: (table, key, value) => void database.putSync([table, key], value),
          remove: (table, key) => void database.removeSync([table, key]),
        }),
      ),
    async close() {
      if (closed) return
      closed = true
      await database.close()
      await seal(path)
    },
  }
}
