import { randomUUID } from 'node:crypto'
import type * as Bull from 'bullmq'
import type { Job, Worker } from 'bullmq'
import { bullPrefix, type RunKeys, shardQueueName } from './key-names.ts'
import type { RedisLink } from './link.ts'

/** What a job of a shard says; its orders are elsewhere. */
export interface ShardJob {
  readonly run: string
  readonly shard: number
}

export interface TakenJob<T = unknown> {
  readonly job: Job<T>
  readonly token: string
}

/** From where jobs are taken by hand. */
export interface Counter<T> {
  /** Undefined: none waits. */
  next(signal: AbortSignal): Promise<TakenJob<T> | undefined>
  close(): Promise<void>
}

/** BullMQ's part: which shard is next, who has it and who was not heard of, and that a merge comes after its shards. */
export interface Jobs {
  /** A merge that waits for so many shards; where they are there, nothing changes. */
  add(run: string, keys: RunKeys, shards: number): Promise<void>
  /** One for all runs. */
  shards(): Counter<ShardJob>
  merges(keys: RunKeys): Counter<unknown>
  promote(keys: RunKeys, shards: readonly number[]): Promise<void>
  /** Whoever has one has it no more. */
  remove(keys: RunKeys, shards: number): Promise<void>
  close(): Promise<void>
}

export function bullJobs(bull: typeof Bull, link: RedisLink, leaseMs: number): Jobs {
  const base = { connection: link.client, prefix: bullPrefix }
  const opened = new Set<{ close(): Promise<void> }>()
  let common: Counter<ShardJob> | undefined
  const queueOf = (name: string) => known(new bull.Queue(name, { ...base, skipMetasUpdate: true }))
  const flow = once(() => known(new bull.FlowProducer(base)))
  const shardQueue = once(() => queueOf(shardQueueName))

  // What breaks a connection shows where its commands are awaited.
  function known<T extends { on(event: 'error', listener: () => void): unknown; close(): Promise<void> }>(part: T): T {
    part.on('error', () => {})
    opened.add(part)
    return part
  }

  function counterOf<T>(name: string): Counter<T> {
    const options = {
      ...base,
      autorun: false,
      lockDuration: leaseMs,
      stalledInterval: leaseMs / 2,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    }
    const worker = known(new bull.Worker<T>(name, undefined, options))
    const counter: Counter<T> = {
      next: (signal) => nextOf(worker, link, signal),
      async close() {
        opened.delete(counter)
        await worker.close(true)
      },
    }
    opened.delete(worker)
    opened.add(counter)
    void worker.startStalledCheckTimer()
    return counter
  }

  return {
    async add(run, keys, shards) {
      const children = Array.from({ length: shards }, (_, shard) => ({
        name: 'shard',
        queueName: shardQueueName,
        data: { run, shard } satisfies ShardJob,
        opts: { jobId: keys.shard(shard).job },
      }))
      await link.wait(flow().add({ name: 'merge', queueName: keys.mergeQueue, data: { run }, opts: { jobId: keys.mergeJob }, children }))
    },
    shards() {
      common ??= counterOf<ShardJob>(shardQueueName)
      return common
    },
    merges: (keys) => counterOf(keys.mergeQueue),
    async promote(keys, shards) {
      for (const shard of shards) {
        const job = await link.wait(shardQueue().getJob(keys.shard(shard).job))
        // One that waits already stays where it is; one that is not parked yet finds out itself.
        if (job) await moved(link, () => job.promote())
      }
    },
    async remove(keys, shards) {
      for (let shard = 0; shard < shards; shard++) {
        const { job, lock } = keys.shard(shard)
        await link.wait(link.client.del(lock))
        await link.wait(shardQueue().remove(job))
      }
      const queue = queueOf(keys.mergeQueue)
      await link.wait(queue.obliterate({ force: true }))
      opened.delete(queue)
      await queue.close()
    },
    async close() {
      await Promise.all([...opened].map((part) => part.close()))
    },
  }
}

async function nextOf<T>(worker: Worker<T>, link: RedisLink, signal: AbortSignal): Promise<TakenJob<T> | undefined> {
  const token = randomUUID()
  const fetching = worker.getNextJob(token, { block: false })
  try {
    const job = await link.wait(fetching, signal)
    return job && { job, token }
  } catch (error) {
    // It may come yet: the next is to have it.
    void fetching.then((job) => job?.moveToWait(token)).catch(() => {})
    throw error
  }
}

/** Until somebody promotes it: the last moment that BullMQ can say, 2039. */
const parkedUntil = 2 ** 41 - 1

/** `resumes`: how often its run had been resumed when it was said that it is parked. False as `moved`. */
export async function parkJob({ job, token }: TakenJob, resumes: Buffer, link: RedisLink, run: RunKeys): Promise<boolean> {
  if (!(await moved(link, () => job.moveToDelayed(parkedUntil, token)))) return false
  const now = await link.wait(link.client.hget(run.run, 'resumes'))
  // Who resumed it in between found nothing to promote.
  if (now !== resumes.toString()) await moved(link, () => job.promote())
  return true
}

/** False where BullMQ has it that the job is another's, or elsewhere. */
export async function moved(link: RedisLink, move: () => Promise<unknown>): Promise<boolean> {
  try {
    await link.wait(move())
    return true
  } catch (error) {
    if (typeof (error as { code?: unknown }).code !== 'number') throw error
    return false
  }
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}
