import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { systemClock } from '@certfleet/agent-core'
import { deviceSpecOf } from '#emulator/fleet/device-spec.ts'
import type { FleetDevice } from '#emulator/fleet/run.ts'
import { runShard, type ShardNews, type ShardOrders } from '#emulator/fleet/shard.ts'
import { generateTenant } from '#emulator/tenant/index.ts'
import { root } from '../tooling/root.ts'
import { countsOf, type LabAddress } from './idle-fleet.ts'

export interface ClientWish {
  readonly devices: number
  readonly lab: LabAddress
}

/** KiB a device above the empty fleet. */
export type IdleFigures = Readonly<Record<'rss' | 'heapUsed' | 'heapTotal' | 'external' | 'arrayBuffers', number>>

/** A worker of a fleet, as `idle.ts` measures it: asked once what for, tells its figures, and ends with the channel. Needs --expose-gc. */
process.once('message', (wish: ClientWish) => void measure(wish))
process.once('disconnect', () => process.exit())

// As a worker of a fleet is started.
setFlagsFromString('--compact-on-every-full-gc')

const warmUp = 64
/** Longer than connections of the pool are kept, and until V8 has seen that nothing happens, which makes it give back what it keeps ready. */
const settleMs = 20_000
/** Memory is measured, not speed: a machine with other work may be slow. */
const timeoutMs = 120_000

async function measure({ devices, lab }: ClientWish): Promise<void> {
  const specs = [...generateTenant({ counts: countsOf(warmUp + devices), domain: 'contoso.example' }).devices.values()].map(deviceSpecOf)
  const all = specs.map((spec, index): FleetDevice => ({ spec, index }))
  const keys = { mode: 'primes', folder: join(root, '.build/bench-keys'), devices: all.length, keysPerDevice: 1 } as const
  await stay({ ...ordersFor(lab, keys), devices: all.slice(0, warmUp) }, settled)
  const empty = await settled()
  const full = await stay({ ...ordersFor(lab, keys), devices: all.slice(warmUp) }, settled)
  const perDevice = (name: keyof IdleFigures) => (full[name] - empty[name]) / 1024 / devices
  const figures: IdleFigures = {
    rss: perDevice('rss'),
    heapUsed: perDevice('heapUsed'),
    heapTotal: perDevice('heapTotal'),
    external: perDevice('external'),
    arrayBuffers: perDevice('arrayBuffers'),
  }
  process.send?.(figures)
}

function ordersFor({ policyUrl, registrationToken, trustAnchor }: LabAddress, keys: ShardOrders['keys']): Omit<ShardOrders, 'devices'> {
  const dayMs = 86_400_000
  return {
    name: 'worker 1',
    seed: 'idle',
    concurrency: 32,
    stay: { durationMs: dayMs, checkInMs: dayMs, thinkMs: 0 },
    target: { kind: 'policy', policyUrl, registrationToken, ...(trustAnchor !== undefined && { trustAnchors: [trustAnchor] }) },
    timeoutMs,
    keys,
    legacyDes: false,
    legacySha1: false,
    hasSpans: false,
  }
}

/** Runs the devices until all are through with their first pass and connected, then for as long as `work` takes. */
async function stay<T>(orders: ShardOrders, work: () => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const { tell, idle } = idleOnce(orders.devices.length)
  const ended = runShard(orders, { clock: systemClock, tell, begin: async () => systemClock.now(), signal: stop.signal })
  await Promise.race([idle, ended])
  const result = await work()
  stop.abort(new Error('measured'))
  await ended
  return result
}

function idleOnce(devices: number): { tell: (news: ShardNews) => void; idle: Promise<void> } {
  const counts = { completed: 0, connected: 0 }
  let resolve = () => {}
  const idle = new Promise<void>((settle) => {
    resolve = settle
  })
  return {
    idle,
    tell(news) {
      if (news.kind !== 'measured') return
      for (const { completed, connected } of news.measurements.bins) {
        counts.completed += completed
        counts.connected += connected
      }
      if (counts.completed === devices && counts.connected === devices) resolve()
    },
  }
}

async function settled(): Promise<NodeJS.MemoryUsage> {
  globalThis.gc?.()
  await systemClock.sleep(settleMs)
  globalThis.gc?.()
  // V8 gives pages back on threads of its own: read at once, an empty fleet looked larger than a full one.
  await systemClock.sleep(settleMs)
  return process.memoryUsage()
}
