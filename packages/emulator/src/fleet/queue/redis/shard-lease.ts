import type { Clock } from '@certfleet/agent-core'
import type { Job } from 'bullmq'
import type { KeptDevice } from '../keeping.ts'
import { LeaseLost, type OwnOrders, type RunManifest, type ShardLease, type ShardRecord, type SharedOrders } from '../shard-queue.ts'
import { moved, parkJob } from './jobs.ts'
import { activeKey, type RunKeys, stalledKey, waitKey } from './key-names.ts'
import type { RedisLink } from './link.ts'
import type { RedisTime } from './redis-time.ts'
import { orderedSaves } from './saves.ts'
import type { RunSeal } from './seal.ts'

/** The longest until a holder hears that the run is to stop. */
const maxHoldEveryMs = 1000
const beginPollMs = 100
const moveTries = 3

/** A shard that was taken: its job is locked with the token, and its epoch is ours. */
export interface TakenShard {
  readonly manifest: RunManifest
  readonly shared: SharedOrders
  readonly own: OwnOrders
  readonly shard: number
  readonly epoch: number
  readonly records: readonly ShardRecord[]
  readonly devices: ReadonlyMap<number, KeptDevice>
  readonly job: Job
  readonly token: string
  readonly keys: RunKeys
  readonly seal: RunSeal
}

export interface LeasePorts {
  readonly link: RedisLink
  readonly time: RedisTime
  readonly clock: Clock
  readonly leaseMs: number
}

/** The lease of it, which is renewed from now on until it is over. */
export function shardLease(taken: TakenShard, { link, time, clock, leaseMs }: LeasePorts): ShardLease {
  const { manifest, shared, own, shard, epoch, job, token, seal } = taken
  const keys = taken.keys.shard(shard)
  const saves = orderedSaves({ link, seal, keys, shard, epoch })
  const lost = new AbortController()
  const stop = new AbortController()
  const over = new AbortController()
  let isGivenBack = false
  const held = [taken.keys.run, keys.shard, waitKey, activeKey, stalledKey, keys.lock]
  const ours = [epoch, keys.job, token, leaseMs]

  function lose(why: unknown): unknown {
    over.abort()
    if (!isGivenBack) lost.abort(why)
    return why
  }

  async function hold(): Promise<void> {
    const end = AbortSignal.any([over.signal, link.gone])
    for (;;) {
      await clock.sleep(Math.min(maxHoldEveryMs, leaseMs / 3), end)
      const answer = await link.run('hold', held, ours, over.signal)
      if (answer === 0) throw new LeaseLost()
      if (answer === 2) stop.abort(stopped)
    }
  }

  /** Says in one step what becomes of the shard, then has its job follow. Once. */
  async function settle(state: 'through' | 'parked' | 'waiting'): Promise<void> {
    if (over.signal.aborted) throw lost.signal.aborted ? lost.signal.reason : new LeaseLost()
    over.abort()
    await saves.idle()
    const isForStop = state === 'parked' && stop.signal.aborted
    for (let tries = 1; tries <= moveTries; tries++) {
      const [now, isOurs, resumes] = (await link.run('settle', held, [...ours, state, Number(isForStop)])) as Settled
      if (now === undefined || resumes === undefined) throw lose(new LeaseLost())
      isGivenBack = true
      // Where its job is not ours any more, whoever takes it reads what we said.
      if (isOurs === 0 || (await follow(now.toString(), resumes))) return
    }
  }

  function follow(state: string, resumes: Buffer): Promise<boolean> {
    if (state === 'parked') return parkJob(taken, resumes, link, taken.keys)
    return moved(link, () => (state === 'through' ? job.moveToCompleted(null, token, false) : job.moveToWait(token)))
  }

  async function begin(signal: AbortSignal): Promise<number> {
    for (;;) {
      const answer = await link.run('begin', [taken.keys.run, keys.shard], [epoch, manifest.beginsTogether ? manifest.shards : 0], signal)
      if (answer === 0) throw lose(new LeaseLost())
      if (answer instanceof Uint8Array) return time.local(answer.toString())
      await clock.sleep(beginPollMs, signal)
    }
  }

  hold().catch((error: unknown) => {
    if (!over.signal.aborted) lose(error)
  })
  return {
    manifest,
    shard,
    orders: { ...shared, ...own },
    epoch,
    records: taken.records,
    devices: taken.devices,
    lost: lost.signal,
    stop: stop.signal,
    begin,
    save: (change) =>
      saves.save(change).catch((error: unknown) => {
        throw lose(error)
      }),
    complete: () => settle('through'),
    park: () => settle('parked'),
    release: () => settle('waiting'),
  }
}

type Settled = readonly [] | readonly [state: Buffer, isOurs: number, resumes: Buffer]

const stopped = 'the run is to stop'
