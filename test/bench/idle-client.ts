import { systemClock } from '@certfleet/agent-core'
import pLimit from 'p-limit'
import { type IdleDevice, type IdleFleet, idleFleet, type LabAddress } from './idle-fleet.ts'

export interface ClientWish {
  readonly devices: number
  readonly lab: LabAddress
}

/** KiB a device above the empty fleet. */
export type IdleFigures = Readonly<Record<'rss' | 'heapUsed' | 'heapTotal' | 'external' | 'arrayBuffers', number>>

/** The client of `idle.ts`: asked once what for, tells its figures, and ends with the channel. Needs --expose-gc. */
process.once('message', (wish: ClientWish) => void measure(wish))
process.once('disconnect', () => process.exit())

const warmUp = 64
const atOnce = 32
/** Longer than connections of the pool are kept. */
const settleMs = 8_000

async function measure({ devices, lab }: ClientWish): Promise<void> {
  const fleet = await idleFleet(warmUp + devices, lab)
  const first = await bringUp(fleet, 0, warmUp)
  await Promise.all(first.map((device) => device.stop()))
  first.length = 0
  const empty = await settled()
  const up = await bringUp(fleet, warmUp, devices)
  const full = await settled()
  const perDevice = (name: keyof IdleFigures) => (full[name] - empty[name]) / 1024 / up.length
  const figures: IdleFigures = {
    rss: perDevice('rss'),
    heapUsed: perDevice('heapUsed'),
    heapTotal: perDevice('heapTotal'),
    external: perDevice('external'),
    arrayBuffers: perDevice('arrayBuffers'),
  }
  process.send?.(figures)
}

function bringUp(fleet: IdleFleet, from: number, count: number): Promise<IdleDevice[]> {
  const limit = pLimit(atOnce)
  return Promise.all(Array.from({ length: count }, (_, i) => limit(() => fleet.bringUp(from + i))))
}

async function settled(): Promise<NodeJS.MemoryUsage> {
  await systemClock.sleep(settleMs)
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage()
}
