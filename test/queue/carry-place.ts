import { type Clock, systemClock } from '@certfleet/agent-core'
import type { KeptDevice } from '#emulator/fleet/queue/keeping.ts'
import { LeaseLost, type RunManifest, type ShardLease, type ShardRecord } from '#emulator/fleet/queue/shard-queue.ts'
import type { ShardOrders } from '#emulator/fleet/shard.ts'

/** A shard where it is kept, and what its holders may come to. */
export interface Place {
  readonly records: ShardRecord[]
  readonly devices: Map<number, KeptDevice>
  ended: string
  lend(): TestLease
}

export interface TestLease extends ShardLease {
  /** Its holder loses it at once. */
  lose(): void
  stopRun(): void
}

const manifest = { id: 'run-1' } as RunManifest

/** A run that began at `startedAt`, by default with its first holder. */
export function place(orders: ShardOrders, clock: Clock = systemClock): Place {
  let epoch = 0
  let startedAt: number | undefined
  const kept: Place = { records: [], devices: new Map(), ended: '', lend }
  function lend(): TestLease {
    const own = ++epoch
    const [lost, stop] = [new AbortController(), new AbortController()]
    const assertHeld = () => {
      if (own !== epoch || lost.signal.aborted) throw new LeaseLost()
    }
    const end = async (how: string) => {
      assertHeld()
      kept.ended = how
    }
    return {
      // As of another process: nothing is shared.
      ...structuredClone({ manifest, shard: 0, orders, epoch: own, records: kept.records, devices: kept.devices }),
      lost: lost.signal,
      stop: stop.signal,
      async begin(signal) {
        signal.throwIfAborted()
        startedAt ??= clock.now()
        return startedAt
      },
      async save(change) {
        await new Promise(setImmediate)
        assertHeld()
        const { record, devices = new Map() } = structuredClone(change)
        if (record) kept.records.push(JSON.parse(JSON.stringify(record)))
        for (const [index, device] of devices) {
          if (device) kept.devices.set(index, device)
          else kept.devices.delete(index)
        }
      },
      complete: () => end('complete'),
      park: () => end('park'),
      release: () => end('release'),
      lose: () => lost.abort(new LeaseLost()),
      stopRun: () => stop.abort(new Error('stop')),
    }
  }
  return kept
}
