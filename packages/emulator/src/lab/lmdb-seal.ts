import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AgentError } from '@certfleet/agent-core'

/** Where the digest of the database at `path` is, if it was closed. */
export const sealOf = (path: string): string => `${path}.seal`

/** Puts the digest of a database that was just closed beside it: the engine checks nothing that it maps, and ends the process on a wrong page. */
export async function seal(path: string): Promise<void> {
  // A folder that was removed meanwhile needs none.
  await write(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}

async function write(path: string): Promise<void> {
  const digest = await digestOf(path)
  const fresh = `${sealOf(path)}.tmp`
  const file = await open(fresh, 'w', 0o600)
  try {
    await file.writeFile(digest)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, sealOf(path))
}

/**
 * Refuses a database that is not as it was closed, with `ERR_STATE_INVALID`, and takes the seal off before anything is written.
 * One without a seal was not closed (its process was killed), and is taken as its header says.
 */
export async function breakSeal(path: string): Promise<void> {
  const expected = await readFile(sealOf(path), 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (expected === undefined) return
  if ((await digestOf(path)) !== expected) {
    throw new AgentError('ERR_STATE_INVALID', `"${path}" is not as it was closed: restore the state folder, or begin with an empty one`)
  }
  await rm(sealOf(path))
  await syncFolder(dirname(path))
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

/** Else a cut of the power could bring the seal back beside a database that has changed. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
