import { binAt, emptySums, encodeSums } from '../../measure/sums.ts'
import type { Measurements, ProcessCost, Step } from '../../measure/types.ts'
import type { FleetDevice } from '../run.ts'
import { carriedIn } from './carried-steps.ts'
import type { ShardLease, ShardRecord, StepCounts } from './shard-queue.ts'

/** A shard as its holder goes on with it. */
export interface TakenOver {
  /** Those that have not ended. One that was under way, or due while nobody had it, is due at once. */
  readonly devices: readonly FleetDevice[]
  /** The one before lost it, and left no record that it went. */
  readonly isTakeover: boolean
  /** Under way, or due before, as a shard was taken over: this one now, or for the first also at another time. */
  readonly delayed: ReadonlySet<number>
  /** By index, the steps that those that are under way made for others. */
  readonly made: ReadonlyMap<number, StepCounts>
  /** Takes back what is in the records of connections and requests that were open and are not any more; undefined where none were. */
  readonly closed: Measurements | undefined
}

/** Works out from what others recorded where the shard stands, so long after the run began. */
export function takenOver(lease: ShardLease, elapsedMs: number): TakenOver {
  const { records, orders, epoch } = lease
  const ended = new Set(records.flatMap(devicesOf).map(({ index }) => index))
  const made = madeBefore(lease)
  const isTakeover = epoch > 1 && records.at(-1)?.news.at(-1)?.kind !== 'parked'
  const isPast = ({ index, dueMs }: FleetDevice) => made.has(index) || (dueMs !== undefined && dueMs <= elapsedMs)
  const wasDelayed = (index: number) => carriedIn(lease.devices.get(index)?.records).isDelayed
  const left = orders.devices.filter(({ index }) => !ended.has(index))
  const delayed = left.filter((device) => (isTakeover && isPast(device)) || wasDelayed(device.index))
  return {
    devices: epoch > 1 ? left.map((device) => (isPast(device) ? withoutPast(device, made) : device)) : left,
    isTakeover,
    delayed: new Set(delayed.map(({ index }) => index)),
    made,
    closed: closedBetween(records, elapsedMs),
  }
}

const withoutPast = ({ spec, index }: FleetDevice, made: TakenOver['made']): FleetDevice => ({
  spec,
  index,
  ...(made.has(index) && { isUnderWay: true }),
})

const devicesOf = ({ news }: ShardRecord) => news.flatMap((one) => (one.kind === 'devices' ? one.devices : []))

/** A record may be older than what was kept of a device since, and tells of those of which nothing was kept yet. */
function madeBefore({ records, devices }: ShardLease): TakenOver['made'] {
  const recorded = Object.entries(records.at(-1)?.underWay ?? {}).map(([index, counts]) => [Number(index), counts] as const)
  const made = new Map<number, StepCounts>(recorded)
  for (const [index, kept] of devices) made.set(index, most(made.get(index), carriedIn(kept.records).made))
  return made
}

function most(a: StepCounts = {}, b: StepCounts): StepCounts {
  const all = new Set([...Object.keys(a), ...Object.keys(b)]) as ReadonlySet<Step>
  return Object.fromEntries([...all].map((step) => [step, Math.max(a[step] ?? 0, b[step] ?? 0)]))
}

/** Devices that ended have closed their connections, and the requests that they left undecided stay so. */
function closedBetween(records: readonly ShardRecord[], elapsedMs: number): Measurements | undefined {
  let pending = 0
  let connected = 0
  for (const news of records.flatMap((record) => record.news)) {
    if (news.kind === 'devices') for (const { outcome } of news.devices) pending -= outcome.pending
    if (news.kind !== 'measured') continue
    pending += news.measurements.pending
    for (const bin of news.measurements.bins) connected += bin.connected
  }
  if (pending === 0 && connected === 0) return undefined
  const sums = emptySums()
  sums.pending = -pending
  binAt(sums, elapsedMs).connected -= connected
  return { ...encodeSums(sums), cost: noCost }
}

export const noCost: ProcessCost = { cpuMs: 0, busyMs: 0, wallMs: 0, rssBytes: 0, loopLag: [] }
