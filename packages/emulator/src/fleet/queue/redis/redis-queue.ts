import type { Clock } from '@certfleet/agent-core'
import type * as Bull from 'bullmq'
import type { RunManifest, ShardQueue } from '../shard-queue.ts'
import { bullJobs } from './jobs.ts'
import { type RunKeys, runKeys, runsKey } from './key-names.ts'
import type { RedisLink } from './link.ts'
import { takeMergeOf } from './merge.ts'
import { redisTime } from './redis-time.ts'
import { noSuchRun, redisRuns } from './runs.ts'
import { takeShard } from './take.ts'

export interface RedisQueueParts {
  readonly link: RedisLink
  readonly bull: typeof Bull
  readonly clock: Clock
  readonly leaseMs: number
  readonly sealingKey: Uint8Array
}

/** The queue over a connection that is good. */
export function redisQueue({ link, bull, clock, leaseMs, sealingKey }: RedisQueueParts): ShardQueue {
  const time = redisTime(link, clock)
  const runs = redisRuns({ link, time, sealingKey })
  const jobs = bullJobs(bull, link, leaseMs)
  const ports = { link, time, runs, jobs, clock, leaseMs }

  async function known(run: string): Promise<{ readonly keys: RunKeys; readonly manifest: RunManifest }> {
    const found = await runs.open(run)
    if (!found) throw noSuchRun(run)
    return found
  }

  return {
    async submit(run) {
      const { id, shards } = run.manifest
      if (!(await runs.register(run))) return
      await jobs.add(id, runKeys(id), shards)
      await runs.registered(id)
    },
    take: (worker, signal) => takeShard(worker, signal, ports),
    status: runs.status,
    runs: runs.all,
    records: runs.records,
    takeMerge: (run, signal) => takeMergeOf(run, signal, ports),
    async stop(run) {
      if ((await link.run('stop', [runKeys(run).run])) === 0) throw noSuchRun(run)
    },
    async resume(run) {
      const { keys, manifest } = await known(run)
      const parked = await link.run('resume', [keys.run], shardKeysOf(keys, manifest.shards))
      if (parked === -1) throw noSuchRun(run)
      await jobs.promote(keys, parked as readonly number[])
    },
    async forget(run) {
      const { keys, manifest } = await known(run)
      // Whoever has a shard of it loses it by that; its name goes last, so that one that broke off can be done again.
      const own = Array.from({ length: manifest.shards }, (_, n) => keys.shard(n)).flatMap(({ shard, records, devices }) => [
        shard,
        records,
        devices,
      ])
      await link.wait(link.client.del(...own, keys.orders, keys.workers))
      await jobs.remove(keys, manifest.shards)
      await link.wait(link.client.multi().del(keys.run).zrem(runsKey, run).exec())
    },
    async close() {
      await jobs.close()
      link.close()
    },
  }
}

const shardKeysOf = (keys: RunKeys, shards: number): readonly string[] => Array.from({ length: shards }, (_, n) => keys.shard(n).shard)
