import { AgentError, type Clock } from '@certfleet/agent-core'
import type * as Bull from 'bullmq'
import type { RunManifest, ShardQueue } from '../shard-queue.ts'
import { bullJobs } from './jobs.ts'
import { type RunKeys, runKeys, runsKey } from './key-names.ts'
import type { RedisLink } from './link.ts'
import { takeMergeOf } from './merge.ts'
import { redisTime } from './redis-time.ts'
import { redisRuns } from './runs.ts'
import { takeShard } from './take.ts'

export interface RedisQueueParts {
  readonly link: RedisLink
  readonly bull: typeof Bull
  readonly clock: Clock
  readonly leaseMs: number
  readonly sealingKey: Uint8Array
}

const maxTries = 3
const anyRun = () => {}

/** The queue over a connection that is good. */
export function redisQueue({ link, bull, clock, leaseMs, sealingKey }: RedisQueueParts): ShardQueue {
  const time = redisTime(link, clock)
  const runs = redisRuns({ link, time, sealingKey })
  const jobs = bullJobs(bull, link, leaseMs)
  const ports = { link, time, runs, jobs, clock, leaseMs }

  /** What goes as a whole is not sent again by itself when its connection breaks. */
  async function again(work: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await work()
      } catch (error) {
        if (link.gone.aborted || tries === maxTries || !(error instanceof AgentError) || error.code !== 'ERR_NETWORK') throw error
      }
    }
  }

  async function forget(run: string): Promise<void> {
    const found = await runs.open(run, true)
    if (!found) return
    const { keys, manifest } = found
    const own = shardsOf(keys, manifest).flatMap(({ shard, records, devices }) => [shard, records, devices])
    // Whoever has a shard of it loses it by that. The run itself goes last, so that it can be done again where it breaks off.
    await link.wait(link.client.hset(keys.run, 'forgotten', '1'))
    await link.wait(link.client.del(...own, keys.orders, keys.workers))
    await jobs.remove(keys, manifest.shards)
    await link.wait(link.client.zrem(runsKey, run))
    await link.wait(link.client.del(keys.run))
  }

  return {
    async submit(run) {
      const { id, shards } = run.manifest
      if (!(await runs.register(run))) return
      await again(() => jobs.add(id, runKeys(id), shards))
      await runs.registered(id)
    },
    take: (worker, signal, check = anyRun) => takeShard({ worker, signal, check }, ports),
    status: runs.status,
    runs: runs.all,
    records: runs.records,
    takeMerge: (run, signal) => takeMergeOf(run, signal, { ...ports, forget }),
    async stop(run) {
      const found = await runs.open(run)
      if (found) await link.run('stop', [found.keys.run])
    },
    async resume(run) {
      const found = await runs.open(run)
      if (!found) return
      const { keys, manifest } = found
      const waiting = await link.run(
        'resume',
        [keys.run],
        shardsOf(keys, manifest).map(({ shard }) => shard),
      )
      await jobs.promote(keys, waiting as readonly number[])
    },
    forget,
    async close() {
      await jobs.close()
      link.close()
    },
  }
}

const shardsOf = (keys: RunKeys, { shards }: RunManifest) => Array.from({ length: shards }, (_, shard) => keys.shard(shard))
