import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { ShardKeys } from '../shard.ts'
import type { ShardLease, SharedOrders } from './shard-queue.ts'

/** What a pool consists of; what else lies in its folder stays there. */
const poolFile = /^(primes|keys)-\d+\.json$/

/** The files of a pool of keys, as other machines are to have them; undefined where keys are fresh. */
export async function keyFilesOf(keys: ShardKeys): Promise<SharedOrders['keyFiles']> {
  if (keys.mode === 'fresh') return undefined
  const names = (await readdir(keys.folder)).filter((name) => poolFile.test(name))
  return new Map(await Promise.all(names.map(async (name) => [name, new Uint8Array(await readFile(join(keys.folder, name)))] as const)))
}

/** Folders with the pools of the runs that this process works on. */
export interface KeyFolders {
  /** The lease, with orders that name a folder of this machine, mode 700. */
  place(lease: ShardLease): Promise<ShardLease>
  /** Removes them. */
  close(): Promise<void>
}

export function keyFolders(): KeyFolders {
  /** By run; of the last alone, which is mostly that of the next shard too. */
  let last: { readonly run: string; readonly folder: string } | undefined
  async function close(): Promise<void> {
    if (last) await rm(last.folder, { recursive: true, force: true })
    last = undefined
  }
  return {
    async place(lease) {
      const { manifest, orders } = lease
      const { keys, keyFiles } = orders
      if (keys.mode === 'fresh' || keyFiles === undefined) return lease
      if (last?.run !== manifest.id) {
        await close()
        last = { run: manifest.id, folder: await folderWith(keyFiles) }
      }
      return { ...lease, orders: { ...orders, keys: { ...keys, folder: last.folder } } }
    },
    close,
  }
}

/** The names come out of the queue, sealed by whoever submitted the run: none leads out of the folder. */
async function folderWith(files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'certfleet-keys-'))
  try {
    for (const [name, bytes] of files) await writeFile(join(folder, basename(name)), bytes, { mode: 0o600 })
    return folder
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}
