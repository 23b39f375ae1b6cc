import { randomUUID } from 'node:crypto'
import { link, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { AgentError } from '../errors.ts'
import { diskRefused } from './disk.ts'

export interface FileLock {
  /** Fails with `ERR_STATE_BUSY` once the lock is released. */
  assertHeld(): void
  /** Releasing twice is not an error. */
  release(): Promise<void>
}

/** Who holds a lock. `startedAt` is the process's start in the kernel's ticks, where /proc tells it: a pid is used again, the pair is not. */
const holderSchema = z.object({ pid: z.int().positive(), startedAt: z.string().optional(), nonce: z.uuid() })
type Holder = z.output<typeof holderSchema>

/**
 * Takes the lock file at `path`, or fails with `ERR_STATE_BUSY` and the pid of its holder. A holder that is gone is
 * replaced. A disk that refuses is `ERR_STATE_IO` too. A file there that is no lock is `ERR_STATE_INVALID` and left alone. Holds among processes that see each
 * other's pids: not between machines or containers that share a folder.
 */
export async function lockFile(path: string): Promise<FileLock> {
  const own: Holder = { pid: process.pid, ...(await startOf(process.pid)), nonce: randomUUID() }
  await acquire(path, own).catch((error) => diskRefused('locked', path, error))
  // It harms nobody: the next who takes the lock tries again.
  await removeLitter(path).catch(() => undefined)
  let held = true
  return {
    assertHeld() {
      if (!held) throw new AgentError('ERR_STATE_BUSY', `${path} was released`)
    },
    async release() {
      if (!held) return
      held = false
      const holder = await readHolder(path)
      if (holder?.nonce === own.nonce) await unlink(path)
    },
  }
}

async function acquire(path: string, own: Holder): Promise<void> {
  // Linked or renamed into place whole, so that no crash leaves a lock without its holder's name.
  const written = `${path}.${own.pid}.${own.nonce}.tmp`
  await writeSynced(written, JSON.stringify(own))
  try {
    await claim(path, written, own)
  } finally {
    await unlinkIfThere(written)
  }
}

async function claim(path: string, written: string, own: Holder): Promise<void> {
  while (!(await linked(written, path))) {
    const holder = await readHolder(path)
    if (holder === undefined) continue
    if (await isAlive(holder)) throw new AgentError('ERR_STATE_BUSY', `${path} is held by process ${holder.pid}`)
    if (await tookOver(path, written, own, holder)) return
  }
}

/** Only who holds the lock on a dead holder's lock may replace it, or two that saw it dead would both. */
async function tookOver(path: string, written: string, own: Holder, dead: Holder): Promise<boolean> {
  const takeover = `${path}.${dead.nonce}`
  await acquire(takeover, { ...own, nonce: randomUUID() })
  try {
    const holder = await readHolder(path)
    if (holder?.nonce !== dead.nonce) return false
    await rename(written, path)
    return true
  } finally {
    await unlink(takeover)
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await readFile(path, 'utf8').catch((error) => {
    if (!isErrno(error, 'ENOENT')) throw error
  })
  return text === undefined ? undefined : parseHolder(text, path)
}

function parseHolder(text: string, path: string): Holder {
  try {
    return holderSchema.parse(JSON.parse(text))
  } catch (error) {
    throw new AgentError('ERR_STATE_INVALID', `${path} is not a lock of an agent; it was left as it is`, { cause: error })
  }
}

async function isAlive({ pid, startedAt }: Pick<Holder, 'pid' | 'startedAt'>): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there and belongs to another user.
    if (!isErrno(error, 'EPERM')) return false
  }
  const now = await startOf(pid)
  return startedAt === undefined || now.startedAt === undefined || now.startedAt === startedAt
}

/** What processes left that were killed while they asked for the lock. One that lives may be asking. */
async function removeLitter(path: string): Promise<void> {
  const folder = dirname(path)
  for (const name of await readdir(folder)) {
    const pid = name.startsWith(`${basename(path)}.`) ? /\.(\d+)\.[0-9a-f-]{36}\.tmp$/.exec(name)?.[1] : undefined
    if (pid !== undefined && !(await isAlive({ pid: Number(pid) }))) await unlinkIfThere(join(folder, name))
  }
}

/** Field 22 of /proc/<pid>/stat (proc(5)); the name in field 2 may hold spaces and brackets. */
async function startOf(pid: number): Promise<{ startedAt?: string }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return startedAt ? { startedAt } : {}
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error) => {
    if (!isErrno(error, 'ENOENT')) throw error
  })
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
