import { randomBytes } from 'node:crypto'
import { availableParallelism, hostname } from 'node:os'
import { AgentError, type Clock } from '@certfleet/agent-core'
import { carryShard } from './carry.ts'
import { keyFolders } from './key-files.ts'
import { assertJoinable } from './manifest.ts'
import type { ShardLease, ShardQueue, WorkerFacts } from './shard-queue.ts'

export interface Working {
  readonly queue: ShardQueue
  readonly worker: WorkerFacts
  readonly clock: Clock
  /** Brings the shard that it has to a checkpoint, and ends. */
  readonly signal: AbortSignal
  /** Ends once nothing was to be taken for that long. Default: waits for ever. */
  readonly untilIdleMs?: number | undefined
  /** For people, a line. */
  say(line: string): void
}

export type WorkEnd =
  | { readonly kind: 'stopped' | 'idle' }
  /** It may not work on a run that it was given. */
  | { readonly kind: 'unfit'; readonly message: string }

/**
 * Takes one shard after the other. A run of another version is left to others, and ends it. A queue that is gone for longer than is waited for
 * rejects with its `ERR_NETWORK`.
 */
export async function workOff(working: Working): Promise<WorkEnd> {
  const { clock, worker, signal, say } = working
  const keys = keyFolders()
  try {
    for (;;) {
      const lease = await nextShard(working)
      if ('kind' in lease) return lease
      const which = `shard ${lease.shard} of run ${lease.manifest.id}`
      say(`${worker.name} took ${which}${lease.epoch > 1 ? ` (attempt ${lease.epoch})` : ''}`)
      const placed = await keys.place(lease).catch(async (error: unknown) => {
        // As `carryShard` does where it cannot begin: else it would be held for as long as the queue is open.
        await lease.release().catch(ignore)
        throw error
      })
      say(`${worker.name} ${ends[await carryShard(placed, { clock, worker: worker.name, signal })]} ${which}`)
    }
  } finally {
    await keys.close()
  }
}

const ends = { through: 'is through with', parked: 'parked', released: 'released', lost: 'lost' } as const

const idle = 'nothing is to be taken'
const unfitCodes: ReadonlySet<string> = new Set(['ERR_UNSUPPORTED', 'ERR_STATE_INVALID'])

async function nextShard({ queue, worker, clock, signal, untilIdleMs }: Working): Promise<ShardLease | WorkEnd> {
  const over = new AbortController()
  const until = AbortSignal.any([signal, over.signal])
  const timer = untilIdleMs === undefined ? undefined : clock.sleep(untilIdleMs, until).then(() => over.abort(idle), ignore)
  try {
    return await queue.take(worker, until, assertJoinable)
  } catch (error) {
    if (until.aborted && error === until.reason) return { kind: signal.aborted ? 'stopped' : 'idle' }
    // Of another version, or sealed with another key.
    if (error instanceof AgentError && unfitCodes.has(error.code)) return { kind: 'unfit', message: error.message }
    throw error
  } finally {
    over.abort(idle)
    await timer
  }
}

const ignore = (): void => {}

/** Of this process. */
export function workerFacts(): WorkerFacts {
  const host = hostname()
  return { name: `${host}/${process.pid}-${randomBytes(2).toString('hex')}`, host, cores: availableParallelism(), node: process.version }
}
