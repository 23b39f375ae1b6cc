import {
  type OwnOrders,
  type RunManifest,
  type RunStatus,
  type RunSubmission,
  recordsLost,
  type ShardRecord,
  type ShardState,
  type ShardStatus,
  type SharedOrders,
} from '../shard-queue.ts'
import { type RunKeys, runKeys, runsKey } from './key-names.ts'
import type { RedisLink } from './link.ts'
import type { RedisTime } from './redis-time.ts'
import { type RunSeal, runSeal } from './seal.ts'
import { workerFactsIn } from './worker-facts.ts'

/** A run whose manifest is the one that was sealed. */
export interface OpenRun {
  readonly keys: RunKeys
  readonly manifest: RunManifest
  readonly seal: RunSeal
  readonly text: Buffer
}

export interface RunsPorts {
  readonly link: RedisLink
  readonly time: RedisTime
  readonly sealingKey: Uint8Array
}

/** What there is of runs, apart from who takes their shards. */
export interface Runs {
  /** False: it is there already. */
  register(run: RunSubmission): Promise<boolean>
  registered(run: string): Promise<void>
  /** Undefined: no such run, or it is forgotten. `ERR_STATE_INVALID` where it was sealed with another key. */
  open(run: string, isForgetting?: boolean): Promise<OpenRun | undefined>
  shared(run: OpenRun): Promise<SharedOrders>
  status(run: string): Promise<RunStatus | undefined>
  all(): Promise<readonly string[]>
  records(run: string, after: readonly number[]): Promise<readonly (readonly ShardRecord[])[]>
}

export function redisRuns({ link, time, sealingKey }: RunsPorts): Runs {
  const opened = new Map<string, OpenRun>()
  /** By key: a Redis that lost its last second may have others in their place by the time it is asked again. */
  const lastRead = new Map<string, { readonly count: number; readonly sealed: Buffer | undefined }>()
  let lastShared: { readonly of: OpenRun; readonly orders: SharedOrders } | undefined

  async function open(run: string, isForgetting = false): Promise<OpenRun | undefined> {
    const keys = runKeys(run)
    const [text, proof, forgotten] = await link.wait(link.client.hmgetBuffer(keys.run, 'manifest', 'proof', 'forgotten'))
    const known = opened.get(run)
    if (!text || !proof || (forgotten && !isForgetting)) return undefined
    if (known?.text.equals(text)) return known
    const seal = runSeal(sealingKey, run, text)
    seal.open({ kind: 'run' }, proof)
    const fresh: OpenRun = { keys, manifest: JSON.parse(text.toString()), seal, text }
    opened.set(run, fresh)
    return fresh
  }

  async function register({ manifest, shared, shards }: RunSubmission): Promise<boolean> {
    const keys = runKeys(manifest.id)
    const text = Buffer.from(JSON.stringify(manifest))
    const seal = runSeal(sealingKey, manifest.id, text)
    const sealed = [seal.seal({ kind: 'shared' }, shared), seal.seal({ kind: 'run' }, null)]
    if ((await link.run('register', [keys.run, runsKey], [manifest.id, text, ...sealed])) === 0) return false
    for (const [shard, own] of shards.entries()) {
      await link.wait(link.client.hset(keys.orders, String(shard), seal.seal({ kind: 'orders', shard }, own satisfies OwnOrders)))
    }
    return true
  }

  async function shared(run: OpenRun): Promise<SharedOrders> {
    if (lastShared?.of === run) return lastShared.orders
    const sealed = await link.wait(link.client.hgetBuffer(run.keys.run, 'shared'))
    const orders = run.seal.open({ kind: 'shared' }, sealed ?? undefined) as SharedOrders
    lastShared = { of: run, orders }
    return orders
  }

  async function status(run: string): Promise<RunStatus | undefined> {
    const found = await open(run)
    if (!found) return undefined
    const { manifest, keys } = found
    const shardKeys = Array.from({ length: manifest.shards }, (_, shard) => keys.shard(shard))
    const answer = await link.run(
      'status',
      [keys.run, keys.workers],
      shardKeys.flatMap(({ shard, lock }) => [shard, lock]),
    )
    const [[stopped, startedAt], workers, shards] = answer as StatusAnswer
    return {
      manifest,
      isStopped: stopped !== null,
      startedAt: startedAt === null ? undefined : await time.local(startedAt.toString()),
      shards: shards.map(shardStatus),
      workers: workers.map(workerFactsIn).filter((facts) => facts !== undefined),
    }
  }

  async function records(run: string, after: readonly number[]): Promise<readonly (readonly ShardRecord[])[]> {
    const found = await open(run)
    if (!found) return []
    const { keys, seal, manifest } = found
    const of = async (shard: number, count: number) => {
      const sealed = await recordsAfter(keys.shard(shard).records, count)
      return sealed?.map((record) => seal.open({ kind: 'record', shard }, record) as ShardRecord)
    }
    const all = await Promise.all(Array.from({ length: manifest.shards }, (_, shard) => of(shard, after[shard] ?? 0)))
    const there = all.filter((news) => news !== undefined)
    if (there.length === all.length) return there
    // One that is removed in this moment has none, either.
    if (await open(run)) throw recordsLost(run)
    return []
  }

  /** Undefined: the last of those before is not the one that was read. */
  async function recordsAfter(key: string, count: number): Promise<readonly Buffer[] | undefined> {
    const last = lastRead.get(key)
    const sealed = await link.wait(link.client.lrangeBuffer(key, Math.max(count - 1, 0), -1))
    if (count > 0 && (!sealed[0] || (last?.count === count && !last.sealed?.equals(sealed[0])))) return undefined
    lastRead.set(key, { count: Math.max(count - 1, 0) + sealed.length, sealed: sealed.at(-1) })
    return count > 0 ? sealed.slice(1) : sealed
  }

  return {
    register,
    registered: async (run) => void (await link.wait(link.client.hset(runKeys(run).run, 'submitted', '1'))),
    open,
    shared,
    status,
    all: () => link.wait(link.client.zrange(runsKey, '0', '-1')),
    records,
  }
}

type StatusAnswer = readonly [
  readonly [Buffer | null, Buffer | null],
  readonly Buffer[],
  readonly (readonly [state: Buffer | null, epoch: Buffer | null, worker: Buffer | null, isLocked: number])[],
]

function shardStatus([said, epoch, worker, isLocked]: StatusAnswer[2][number]): ShardStatus {
  const state = (said?.toString() ?? 'waiting') as ShardState
  return {
    // Not heard of for longer than its lease: it waits for BullMQ to see it.
    state: state === 'active' && isLocked === 0 ? 'waiting' : state,
    epoch: Number(epoch?.toString() ?? 0),
    worker: worker?.toString(),
  }
}
