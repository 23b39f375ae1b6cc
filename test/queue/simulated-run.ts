import type { RunSubmission } from '#emulator/fleet/queue/shard-queue.ts'
import { type Chance, chanceOf } from '#emulator/simulate/chance.ts'
import { FakeClock } from '../fakes/clock.ts'
import { runOf } from './runs.ts'
import { modelFleet } from './simulated-fleet.ts'
import { judge } from './simulated-judge.ts'
import { type Sabotage, simulatedQueue } from './simulated-queue.ts'
import { followAndMerge, occupy, type Seat, type SimulatedWorld, stopAndResume, submit } from './simulated-roles.ts'

export interface SimulatedRun {
  /** In words, what is not as it should be; empty where nothing is. */
  readonly wrong: readonly string[]
  /** How often what happened, by name. */
  readonly troubles: ReadonlyMap<string, number>
  readonly devices: number
  readonly certificates: number
  /** Steps that were told as made again. */
  readonly repeated: number
}

const leaseMs = 2000
const patienceMs = 5000
const startAt = 1_800_000_000_000
/** Long after every trouble is over. */
const longestMs = 3_600_000

/**
 * One run, in virtual time, with everything that can happen to it by chance: its workers are killed, frozen and told to end, the queue is
 * gone, requests and answers are late or lost, holders are not heard of, so that two have a shard. Of eight runs one is spared all that: it
 * is stopped and resumed, and its workers end as they should.
 */
export async function simulateRun(seed: string, sabotage?: Sabotage): Promise<SimulatedRun> {
  const { world, seats, troubles } = worldOf(seed, sabotage)
  const { clock, chance, isTroubled, run, fleet, queue, merged, wrong } = world
  const orTell = (work: Promise<void>) =>
    void work.catch((error: unknown) => void wrong.push(error instanceof Error ? `${error.stack}` : `${error}`))
  for (const seat of seats) orTell(occupy(seat, world))
  orTell(submit(world).then(() => Promise.all([followAndMerge('first', world), followAndMerge('second', world)]).then(() => undefined)))
  orTell(disturb(seats, world))
  if (!isTroubled || chance.happens(300)) orTell(stopAndResume(seats, world))
  while (merged.length === 0 && wrong.length === 0 && clock.now() < startAt + longestMs) await clock.advance(1000)
  // A second merge would come now.
  await clock.advance(10 * leaseMs)
  world.isOver = true
  for (const { process } of seats) process?.kill()
  if (merged.length !== 1) wrong.push(`merged ${merged.length} times`)
  const judged = merged[0] && (await judge({ run, records: merged[0], fleet, isTroubled }))
  return {
    wrong: [...wrong, ...(judged?.wrong ?? [])],
    troubles: new Map([...troubles, ...queue.troubles]),
    devices: run.manifest.devices,
    certificates: [...fleet.issued.values()].flat().length,
    repeated: judged?.repeated ?? 0,
  }
}

function worldOf(seed: string, sabotage: Sabotage | undefined) {
  const chance = chanceOf(seed, 'run')
  const clock = new FakeClock(startAt)
  const isTroubled = !chance.happens(125)
  const { run, workers } = runFor(seed, chance)
  const troubles = new Map<string, number>()
  const world: SimulatedWorld = {
    ...{ clock, chance, isTroubled, run },
    fleet: modelFleet({ world: clock, chance: chanceOf(seed, 'fleet'), hasFence: sabotage !== 'no fence' }),
    queue: simulatedQueue({ clock, chance: chanceOf(seed, 'queue'), isTroubled, leaseMs, patienceMs, sabotage }),
    merged: [],
    wrong: [],
    isOver: false,
    happened: (name) => void troubles.set(name, (troubles.get(name) ?? 0) + 1),
  }
  const seats = Array.from({ length: workers }, (_, seat): Seat => ({ name: `worker ${seat}` }))
  return { world, seats, troubles }
}

const disturbances = ['left', 'killed', 'frozen', 'queue gone'] as const

async function disturb(seats: readonly Seat[], { clock, chance, isTroubled, queue, happened }: SimulatedWorld): Promise<void> {
  for (let left = chance.between(0, 6); left > 0; left--) {
    await clock.sleep(chance.between(100, 6000))
    const kind = isTroubled ? chance.pick(disturbances) : 'left'
    const { process, leave } = chance.pick(seats)
    happened(kind)
    if (kind === 'left') leave?.()
    if (kind === 'killed') process?.kill()
    if (kind === 'queue gone') queue.goDown(chance.between(100, 3 * patienceMs))
    if (kind !== 'frozen') continue
    process?.freeze()
    void clock.sleep(chance.between(leaseMs / 2, 4 * leaseMs)).then(() => process?.thaw())
  }
}

/** Shards of one to five devices, and as many workers as have to be there. */
function runFor(seed: string, chance: Chance): { readonly run: RunSubmission; readonly workers: number } {
  const beginsTogether = chance.happens(300)
  const count = chance.between(1, 3)
  const { manifest, shared, shards } = runOf('run', count, { beginsTogether, seed })
  let devices = 0
  const dealt = shards.map((shard) => ({
    ...shard,
    concurrency: chance.between(1, 3),
    devices: Array.from({ length: chance.between(1, 5) }, () => ({
      spec: { id: `device ${devices}`, platform: 'ios' as const, osVersion: '18.4' },
      index: devices++,
      ...(beginsTogether && { dueMs: chance.between(0, 5000) }),
    })),
  }))
  const run = { manifest: { ...manifest, devices }, shared: { ...shared, seed }, shards: dealt }
  return { run, workers: beginsTogether ? count : chance.between(1, 3) }
}
