import type { Clock, Instant, Transport } from '@certfleet/agent-core'
import { stopwatchMs } from '@certfleet/agent-core/system'
import { sinceStart } from '../../measure/meter.ts'
import { runShard, type ShardNews, type ShardPorts } from '../shard.ts'
import { type CarryEnding, carryEnding, leftToOthers } from './carry-ending.ts'
import { keptDevices } from './kept-devices.ts'
import { nextRecord } from './next-record.ts'
import type { ShardLease } from './shard-queue.ts'
import { isLoss, shardSaves } from './shard-saves.ts'
import { type TakenOver, takenOver } from './taken-over.ts'

export interface CarryOptions {
  readonly clock: Clock
  /** The name of the worker. */
  readonly worker: string
  /** Where the target is called in this process. Default: sockets. */
  readonly transport?: Transport | undefined
  /** Default: `runShard`. */
  readonly run?: typeof runShard
  /** The process is to end: devices come to their end as at a stop, those of a run with a stay stop where they stand, and others go on. */
  readonly signal: AbortSignal
  /** Between two records; ten times as long while no device begins, goes on or ends. Default 500. */
  readonly checkpointMs?: number
  /** How long devices under way may take to come to their end; then they are kept as they stand. Default 10,000. */
  readonly drainMs?: number
}

/** `lost`: another has it, or the queue is gone; nothing was saved from then on. */
export type CarryEnd = 'through' | 'parked' | 'released' | 'lost'

/**
 * Runs what is left of a shard under its lease, and records it: each device is told of once, with all that was measured of it, whoever began
 * with it. Before each PKIOperation the device is in the queue, so that whoever goes on repeats the same SCEP transaction.
 *
 * Rejects as `run` does, and for a bug, once the lease is released.
 */
export async function carryShard(lease: ShardLease, options: CarryOptions): Promise<CarryEnd> {
  const { clock, run = runShard, transport, signal, checkpointMs = 500, drainMs = 10_000 } = options
  const ending = carryEnding(lease, { clock, signal, drainMs })
  try {
    // What was due before depends on when the run began; where nobody had the shard before, nothing was.
    const startedAt = lease.epoch > 1 ? await lease.begin(ending.either) : undefined
    const taken = takenOver(lease, startedAt === undefined ? 0 : clock.now() - startedAt)
    const { recordEach, finish, ...ports } = carrying(lease, options, ending, taken, startedAt)
    void recordEach(checkpointMs)
    await run({ ...lease.orders, devices: taken.devices }, { clock, transport, leave: ending.leave, signal: ending.abort, ...ports })
    ending.end()
    return await finish()
  } catch (error) {
    if (isLoss(error) || (lease.lost.aborted && error === lease.lost.reason)) return 'lost'
    if (error === leftToOthers) return leaveUnbegun(lease, options.worker)
    await lease.release().catch(() => undefined)
    throw error
  } finally {
    ending.end()
  }
}

/** Where all devices are at rest, one record for so many: a run may stay for days, and whoever takes a shard over reads all of its records. */
const restEach = 10

type Carrying = Pick<ShardPorts, 'begin' | 'tell' | 'keeping'> & {
  /** Until the carrying ends. */
  recordEach(ms: number): Promise<void>
  finish(): Promise<CarryEnd>
}

function carrying(
  lease: ShardLease,
  { clock, worker }: CarryOptions,
  ending: CarryEnding,
  taken: TakenOver,
  begunAt: Instant | undefined,
): Carrying {
  const { epoch } = lease
  let sinceStartMs = () => 0
  const left = new Set(taken.devices.map(({ index }) => index))
  const next = nextRecord()
  const saves = shardSaves({ lease, worker, next, underWay: () => devices.underWay(), onFailure: ending.abortNow })
  const devices = keptDevices({
    ...{ before: lease.devices, taken, next, fence: saves.fence },
    sinceStartMs: () => sinceStartMs(),
    stay: lease.orders.stay !== undefined,
  })
  async function record(): Promise<void> {
    await saves.record()
    const failure = saves.failure()
    if (failure) throw failure.error
  }
  return {
    keeping: devices,
    async begin() {
      const startedAt = begunAt ?? (await lease.begin(ending.either))
      sinceStartMs = sinceStart(startedAt, clock, stopwatchMs)
      const { isTakeover, delayed, closed } = taken
      const devicesDelayed = isTakeover ? delayed.size : 0
      next.add({ kind: 'taken', atMs: Math.max(0, clock.now() - startedAt), worker, epoch, isTakeover, devicesDelayed })
      if (closed) next.add({ kind: 'measured', measurements: closed })
      await record()
      return startedAt
    },
    tell(news: ShardNews) {
      next.add(news)
      if (news.kind !== 'devices') return
      for (const { index } of news.devices) {
        devices.ended(index)
        left.delete(index)
      }
    },
    async recordEach(ms) {
      let underWay = '{}'
      for (let unrecorded = 1; ; unrecorded++) {
        await clock.sleep(ms, ending.over).catch(() => undefined)
        if (ending.over.aborted) return
        const underWayNow = JSON.stringify(devices.underWay())
        const isNews = next.hasNews() || underWayNow !== underWay
        if (!isNews && !(next.hasMeasured() && unrecorded >= restEach)) continue
        underWay = underWayNow
        unrecorded = 0
        await saves.record()
      }
    },
    async finish() {
      const isThrough = left.size === 0 || !ending.either.aborted
      if (!isThrough) next.add({ kind: 'parked', atMs: Math.max(0, Math.round(sinceStartMs())) })
      devices.keepAll()
      await record()
      if (isThrough) return lease.complete().then(() => 'through')
      return leave(lease)
    },
  }
}

/** Before any device began. */
async function leaveUnbegun(lease: ShardLease, worker: string): Promise<CarryEnd> {
  const { epoch, records } = lease
  try {
    // Where a holder was lost before, whoever comes next takes over from that one.
    if (epoch === 1 && records.length === 0)
      await lease.save({ record: { worker, epoch, news: [{ kind: 'parked', atMs: 0 }], underWay: {} } })
    return await leave(lease)
  } catch (error) {
    if (lease.lost.aborted || isLoss(error)) return 'lost'
    throw error
  }
}

async function leave(lease: ShardLease): Promise<CarryEnd> {
  if (!lease.stop.aborted) return lease.release().then(() => 'released')
  await lease.park()
  return 'parked'
}
