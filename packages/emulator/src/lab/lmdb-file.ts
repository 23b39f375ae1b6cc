import { type FileHandle, open } from 'node:fs/promises'
import { AgentError } from '@certfleet/agent-core'

/** LMDB's file begins with two meta pages; the one with the later transaction holds (mdb.c, MDB_meta, behind a page header of 24 octets). */
const metaOffset = 24
const metaBytes = 160
const magic = 0xbeefc0de
const pageSizes = { least: 512, most: 65_536 }

interface Meta {
  readonly pageBytes: number
  readonly lastPage: bigint
  readonly transactionId: bigint
}

/**
 * Refuses a database file that is torn, with `ERR_STATE_INVALID`: the engine maps it into memory and would end the process on it.
 * A file that is not there or empty is a new database.
 */
export async function assertWholeDatabase(path: string): Promise<void> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return
  try {
    const { size } = await file.stat()
    if (size > 0 && !(await isWhole(file, size))) {
      throw new AgentError(
        'ERR_STATE_INVALID',
        `"${path}" is torn or no database of certfleet: restore the state folder, or begin with an empty one`,
      )
    }
  } finally {
    await file.close()
  }
}

async function isWhole(file: FileHandle, size: number): Promise<boolean> {
  const first = await readMeta(file, 0)
  const second = first && (await readMeta(file, first.pageBytes))
  if (!first || !second) return false
  const { lastPage, pageBytes } = first.transactionId > second.transactionId ? first : second
  return BigInt(size) >= (lastPage + 1n) * BigInt(pageBytes)
}

async function readMeta(file: FileHandle, page: number): Promise<Meta | undefined> {
  const { buffer: bytes, bytesRead } = await file.read(Buffer.alloc(metaBytes), 0, metaBytes, page)
  if (bytesRead < metaBytes || bytes.readUInt32LE(metaOffset) !== magic) return undefined
  const pageBytes = bytes.readUInt32LE(48)
  if (pageBytes < pageSizes.least || pageBytes > pageSizes.most) return undefined
  return { pageBytes, lastPage: bytes.readBigUInt64LE(144), transactionId: bytes.readBigUInt64LE(152) }
}
