import type { Arrival } from '../scenario/load-schema.ts'
import { plannedArrivals } from './arrival.ts'
import type { DeviceSpec } from './device.ts'
import type { FleetDevice } from './run.ts'
import type { ShardOrders } from './shard.ts'
import { type Load, sourceAddressOf } from './sizing.ts'

export interface Sharding extends Omit<ShardOrders, 'name' | 'devices' | 'localAddress'> {
  readonly devices: readonly DeviceSpec[]
  readonly arrival?: Arrival | undefined
  /** Processes that carry devices; at least 1. */
  readonly shards: number
  readonly load: Load
  /** Of the service. */
  readonly url: string
}

/**
 * The devices of a run, dealt out in turn, so that every shard has its part of every platform and of every moment of the plan; with the
 * concurrency dealt out likewise.
 */
export function shardsOf({ devices, arrival, shards, load, url, concurrency, ...shared }: Sharding): readonly ShardOrders[] {
  const placed = placedDevices(devices, arrival)
  return Array.from({ length: shards }, (_, shard) => ({
    ...shared,
    name: `worker ${shard + 1}`,
    devices: placed.filter(({ index }) => index % shards === shard),
    concurrency: Math.max(1, Math.floor(concurrency / shards) + (shard < concurrency % shards ? 1 : 0)),
    localAddress: sourceAddressOf(shard, load, url),
  }))
}

/** A tenant has its devices by platform; those of one moment are to be of all platforms. */
function placedDevices(devices: readonly DeviceSpec[], arrival: Arrival | undefined): readonly FleetDevice[] {
  const dueMs = arrival && plannedArrivals(arrival, devices.length)
  const order = arrival ? mixed(devices) : devices.map((_, index) => index)
  return order.map((index, position) => ({ spec: devices[index] as DeviceSpec, index, ...(dueMs && { dueMs: dueMs(position) }) }))
}

/** Indexes such that each platform is spread evenly over the whole. */
function mixed(devices: readonly DeviceSpec[]): readonly number[] {
  const counts = new Map<string, number>()
  for (const { platform } of devices) counts.set(platform, (counts.get(platform) ?? 0) + 1)
  const seen = new Map<string, number>()
  const places = devices.map(({ platform }, index) => {
    const nth = seen.get(platform) ?? 0
    seen.set(platform, nth + 1)
    return { index, place: (nth + 0.5) / (counts.get(platform) as number) }
  })
  return places.sort((a, b) => a.place - b.place || a.index - b.index).map(({ index }) => index)
}
