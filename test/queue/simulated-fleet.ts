import { setMaxListeners } from 'node:events'
import type { Clock } from '@certfleet/agent-core'
import pLimit from 'p-limit'
import type { DeviceKeeper } from '#emulator/fleet/queue/keeping.ts'
import type { FleetDevice } from '#emulator/fleet/run.ts'
import type { DeviceNews, ShardOrders, ShardPorts } from '#emulator/fleet/shard.ts'
import type { Step } from '#emulator/measure/types.ts'
import type { Chance } from '#emulator/simulate/chance.ts'
import { noCost, nothingMeasured } from '../fakes/measured.ts'
import { modelAuthority } from './simulated-authority.ts'
import { liveThrough } from './simulated-device.ts'
import type { SimulatedProcess } from './simulated-process.ts'

/** What stands in for real enrolments: what a device does is a function of seed and index, when it does it is chance. */
export interface ModelFleet {
  /** `runShard` in that process, with models of devices. */
  runIn(process: SimulatedProcess): (orders: ShardOrders, ports: ShardPorts) => Promise<void>
  /** By device: the serial numbers of what the CA has issued to it. */
  readonly issued: ReadonlyMap<number, readonly number[]>
  /** How often a step came to its end, in whatever process. */
  readonly made: ReadonlyMap<Step, number>
}

export interface ModelFleetOptions {
  readonly world: Clock
  readonly chance: Chance
  /** Default true. */
  readonly hasFence?: boolean | undefined
}

export function modelFleet({ world, chance, hasFence = true }: ModelFleetOptions): ModelFleet {
  const ca = modelAuthority(world, chance)
  const made = new Map<Step, number>()
  const count = (step: Step) => void made.set(step, (made.get(step) ?? 0) + 1)
  return {
    issued: ca.issued,
    made,
    runIn: (process) => async (orders, ports) => {
      const { keeping, clock, leave, signal } = ports
      const startedAt = await ports.begin()
      const beginning = leave ? AbortSignal.any([signal, leave]) : signal
      setMaxListeners(0, signal, beginning)
      const limit = pLimit(orders.concurrency)
      const telling = tellEach(ports)
      const shared = { seed: orders.seed, process, clock, signal, beginning, ca, chance, startedAt, hasFence, count }
      const live = async (device: FleetDevice) => {
        await clock.sleep(Math.max(0, startedAt + (device.dueMs ?? 0) - clock.now()), beginning)
        await limit(async () => {
          beginning.throwIfAborted()
          const keeper = keeping?.keeperOf(device.index) as DeviceKeeper
          const outcome = await liveThrough(device, { ...shared, keeper })
          telling.ended({ index: device.index, outcome, ...(keeper.isDelayed && { isDelayed: true }) })
        })
      }
      const unlessLeft = (error: unknown) => {
        if (!beginning.aborted) throw error
      }
      await Promise.all(orders.devices.map((device) => live(device).catch(unlessLeft))).finally(telling.end)
    },
  }
}

const tellEveryMs = 250

/** Tells of devices as `runShard` does: some at a time. */
function tellEach({ clock, tell }: ShardPorts) {
  const ended: DeviceNews[] = []
  const over = new AbortController()
  const tellAll = () => {
    if (ended.length > 0) tell({ kind: 'devices', devices: ended.splice(0) })
    tell({ kind: 'measured', measurements: { ...nothingMeasured, cost: noCost } })
  }
  const telling = (async () => {
    for (;;) {
      await clock.sleep(tellEveryMs, over.signal)
      tellAll()
    }
  })().catch(() => undefined)
  return {
    ended: (news: DeviceNews) => void ended.push(news),
    async end() {
      over.abort()
      await telling
      tellAll()
    },
  }
}
