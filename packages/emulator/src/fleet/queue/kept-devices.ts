import { meterInto } from '../../measure/meter.ts'
import type { Meter, Step } from '../../measure/types.ts'
import { withCarried } from './carried-steps.ts'
import { type HeldMeter, heldMeter } from './held-meter.ts'
import type { DeviceKeeper, KeptDevice, ShardKeeping } from './keeping.ts'
import type { NextRecord } from './next-record.ts'
import type { ShardRecord, StepCounts } from './shard-queue.ts'
import type { TakenOver } from './taken-over.ts'

interface KeptDevicesOptions {
  readonly before: ReadonlyMap<number, KeptDevice>
  readonly taken: Pick<TakenOver, 'made' | 'delayed'>
  readonly next: NextRecord
  readonly sinceStartMs: () => number
  /** Devices stay once they are through with their first pass. */
  readonly stay: boolean
  fence(index: number, kept: KeptDevice): Promise<void>
}

/** The devices of a shard that this process is at. */
export interface KeptDevices extends ShardKeeping {
  /** It has ended: what it measured goes into the next record, and nothing of it is kept. */
  ended(index: number): void
  /** Keeps all others as they stand, with the next record. */
  keepAll(): void
  underWay(): ShardRecord['underWay']
}

interface Kept extends DeviceKeeper {
  readonly meter: HeldMeter
  isThrough: boolean
}

export function keptDevices(options: KeptDevicesOptions): KeptDevices {
  const { taken, next, fence, sinceStartMs } = options
  const record = meterInto(next.sums, sinceStartMs)
  const keepers = new Map<number, Kept>()
  /** Of those that were under way and have not begun again. */
  const waiting = new Map<number, StepCounts>(taken.made)
  function keeperOf(index: number): Kept {
    const known = keepers.get(index)
    if (known) return known
    const made = keeper(index, { ...options, record }, (kept) => fence(index, kept))
    keepers.set(index, made)
    waiting.delete(index)
    return made
  }
  return {
    keeperOf,
    ended(index) {
      keepers.get(index)?.meter.release(next.sums())
      keepers.delete(index)
      next.keep(index, undefined)
    },
    keepAll() {
      for (const [index, kept] of keepers) if (kept.records.size > 0) next.keep(index, snapshotOf(kept))
    },
    underWay() {
      const begun = [...keepers].flatMap(([index, { meter, isThrough }]) => (isThrough ? [] : [[index, meter.made()] as const]))
      return Object.fromEntries([...waiting, ...begun])
    },
  }
}

function keeper(index: number, options: KeptDevicesOptions & { readonly record: Meter }, fence: (kept: KeptDevice) => Promise<void>): Kept {
  const { before: all, taken, next, record, sinceStartMs, stay } = options
  const before = all.get(index)
  const meter = heldMeter({
    sinceStartMs,
    record,
    before,
    madeBefore: taken.made.get(index) ?? {},
    onRepeated: (step: Step) => next.repeated(step),
    onThrough() {
      if (!stay) return
      meter.release(next.sums())
      kept.isThrough = true
      next.keep(index, snapshotOf(kept))
    },
  })
  const kept: Kept = {
    records: new Map(before?.records),
    meter,
    isDelayed: taken.delayed.has(index),
    isThrough: before?.isThrough ?? false,
    fence: () => fence(snapshotOf(kept)),
    settled: (isPassOver) => meter.settled(isPassOver),
  }
  return kept
}

/** As it stands: it goes on to change. */
function snapshotOf({ records, meter, isDelayed, isThrough }: Kept): KeptDevice {
  return { records: withCarried(records, { made: meter.made(), isDelayed }), measured: meter.held(), isThrough }
}
