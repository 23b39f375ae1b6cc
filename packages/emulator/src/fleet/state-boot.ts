import { open, readFile, stat } from 'node:fs/promises'
import { AgentError } from '@certfleet/agent-core'
import { sealOf } from '../lab/lmdb-seal.ts'

/**
 * Refuses the database at `path` with `ERR_STATE_INVALID` where it was in use when the machine went down: what was not flushed then is gone
 * in part, and the engine ends the process on that. Then notes in `file` by which boot it is used from now on.
 * A system that does not tell its boots apart is believed.
 */
export async function assertSameBoot(file: string, path: string): Promise<void> {
  const boot = await unlessMissing(readFile('/proc/sys/kernel/random/boot_id', 'latin1'))
  const wasInUse = (await unlessMissing(stat(path))) !== undefined && (await unlessMissing(stat(sealOf(path)))) === undefined
  const before = wasInUse ? await unlessMissing(readFile(file, 'latin1')) : undefined
  if (boot !== undefined && before !== undefined && before !== boot) {
    throw new AgentError(
      'ERR_STATE_INVALID',
      `"${path}" was in use when the machine went down, and cannot be trusted: begin with another folder`,
    )
  }
  if (boot !== undefined && before !== boot) await writeFlushed(file, boot)
}

/** Flushes what any process has written to the file. One that was removed meanwhile needs none. */
export async function flush(path: string): Promise<void> {
  const file = await unlessMissing(open(path, 'r+'))
  if (file === undefined) return
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeFlushed(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  return promise.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
