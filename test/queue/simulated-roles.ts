import { AgentError } from '@certfleet/agent-core'
import { carryShard } from '#emulator/fleet/queue/carry.ts'
import { LeaseLost, type MergeLease, type RunSubmission, type ShardQueue, type ShardRecord } from '#emulator/fleet/queue/shard-queue.ts'
import type { Chance } from '#emulator/simulate/chance.ts'
import type { FakeClock } from '../fakes/clock.ts'
import { worker } from './runs.ts'
import type { ModelFleet } from './simulated-fleet.ts'
import { type SimulatedProcess, simulatedProcess } from './simulated-process.ts'
import type { SimulatedQueue } from './simulated-queue.ts'

export interface SimulatedWorld {
  readonly clock: FakeClock
  readonly chance: Chance
  readonly isTroubled: boolean
  readonly run: RunSubmission
  readonly fleet: ModelFleet
  readonly queue: SimulatedQueue
  /** What each that added the run up had before it. */
  readonly merged: (readonly (readonly ShardRecord[])[])[]
  readonly wrong: string[]
  isOver: boolean
  happened(name: string): void
}

/** Where one worker process after the other runs. */
export interface Seat {
  readonly name: string
  process?: SimulatedProcess
  /** Tells the process to end. */
  leave?: () => void
}

export async function occupy(seat: Seat, world: SimulatedWorld): Promise<void> {
  const { clock, chance } = world
  for (let life = 0; !world.isOver; life++) {
    const process = simulatedProcess(`${seat.name}.${life}`, clock)
    const left = new AbortController()
    Object.assign(seat, { process, leave: () => left.abort(new Error('the worker is to end')) })
    await Promise.race([work(process, world, left.signal), deathOf(process)])
    await clock.sleep(chance.between(50, 3000))
  }
}

async function work(process: SimulatedProcess, { queue, fleet }: SimulatedWorld, leave: AbortSignal): Promise<void> {
  const { name, clock } = process
  const connection = queue.connect(process)
  try {
    while (!leave.aborted) {
      const lease = await connection.take(worker(name), leave)
      await carryShard(lease, { run: fleet.runIn(process), clock, worker: name, signal: leave })
    }
  } catch (error) {
    if (error !== leave.reason) throw error
  }
}

const deathOf = ({ died }: SimulatedProcess): Promise<void> =>
  new Promise((resolve) => {
    died.addEventListener('abort', () => resolve(), { once: true })
  })

/** Submits the run, as often as it takes. */
export async function submit({ clock, run, queue }: SimulatedWorld): Promise<void> {
  const process = simulatedProcess('submitter', clock)
  const connection = queue.connect(process)
  await patiently(process, () => connection.submit(run))
}

/** Follows the run that was submitted, and adds it up if nobody else does. */
export async function followAndMerge(name: string, world: SimulatedWorld): Promise<void> {
  const { clock, chance, isTroubled, run, queue, merged, wrong, happened } = world
  const { id } = run.manifest
  const process = simulatedProcess(name, clock)
  const connection = queue.connect(process)
  const following = follow(connection, process, world)
  const lease = await mergeOf(connection, id)
  if (lease === undefined) return
  if (isTroubled && chance.happens(300)) {
    happened('merger killed')
    process.kill()
    return followAndMerge(name, world)
  }
  const records = await patiently(process, () => connection.records(id, []))
  const followed = await following
  try {
    await patiently(process, () => lease.complete())
  } catch (error) {
    if (error instanceof LeaseLost) return followAndMerge(name, world)
    throw error
  }
  merged.push(records)
  if (JSON.stringify(followed) !== JSON.stringify(records)) wrong.push('what was followed is not what was recorded')
}

/** Undefined: another has added it up. */
async function mergeOf(queue: ShardQueue, run: string): Promise<MergeLease | undefined> {
  try {
    return await queue.takeMerge(run, new AbortController().signal)
  } catch (error) {
    if (error instanceof AgentError && error.code === 'ERR_STATE_INVALID') return undefined
    throw error
  }
}

/** Reads record after record, until all shards are through. */
async function follow(connection: ShardQueue, process: SimulatedProcess, { run, chance }: SimulatedWorld) {
  const { id } = run.manifest
  const seen: ShardRecord[][] = run.shards.map(() => [])
  for (;;) {
    await process.clock.sleep(chance.between(300, 3000))
    const status = await patiently(process, () => connection.status(id))
    const after = seen.map((records) => records.length)
    const more = await patiently(process, () => connection.records(id, after))
    for (const [shard, records] of more.entries()) seen[shard]?.push(...records)
    if (status === undefined || status.shards.every(({ state }) => state === 'through')) return seen
  }
}

/** Stops the run, and resumes it once it stands, or sooner: half of the time for new processes. */
export async function stopAndResume(seats: readonly Seat[], { clock, chance, run, queue, happened }: SimulatedWorld): Promise<void> {
  const { id } = run.manifest
  const process = simulatedProcess('operator', clock)
  const connection = queue.connect(process)
  await clock.sleep(chance.between(100, 8000))
  happened('stopped')
  await patiently(process, () => connection.stop(id))
  const isSooner = chance.happens(200)
  const isActive = async () => (await patiently(process, () => connection.status(id)))?.shards.some(({ state }) => state === 'active')
  while (!isSooner && (await isActive())) await clock.sleep(500)
  if (!isSooner && chance.happens(500)) for (const { process } of seats) process?.kill()
  await clock.sleep(chance.between(0, isSooner ? 1000 : 20_000))
  await patiently(process, () => connection.resume(id))
}

/** A queue that is gone for longer than is waited for is asked again. */
async function patiently<T>({ clock }: SimulatedProcess, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      await clock.sleep(1000)
    }
  }
}
