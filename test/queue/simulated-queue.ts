import { AgentError, type Clock } from '@certfleet/agent-core'
import { memoryQueue } from '#emulator/fleet/queue/memory-queue.ts'
import type { MergeLease, ShardLease, ShardQueue } from '#emulator/fleet/queue/shard-queue.ts'
import type { Chance } from '#emulator/simulate/chance.ts'
import { queueGone, type SimulatedNetwork, simulatedNetwork } from './simulated-network.ts'
import type { SimulatedProcess } from './simulated-process.ts'

/** What is left out, to show that it would be seen. */
export type Sabotage = 'no fence' | 'no epoch' | 'saved again' | 'merged by several'

export interface SimulatedQueueOptions {
  readonly clock: Clock
  readonly chance: Chance
  /** False: nothing is lost, late or doubled. */
  readonly isTroubled: boolean
  readonly leaseMs: number
  /** How long a queue that is gone is waited for. */
  readonly patienceMs: number
  readonly sabotage?: Sabotage | undefined
}

/** A queue on another machine, behind a bad network: requests and answers are late, answers are lost, holders are not heard of. */
export interface SimulatedQueue {
  connect(process: SimulatedProcess): ShardQueue
  /** Nobody reaches it for so long. What it has, it keeps. */
  goDown(ms: number): void
  /** What happened, by name. */
  readonly troubles: ReadonlyMap<string, number>
}

interface Server extends SimulatedQueueOptions {
  readonly memory: ReturnType<typeof memoryQueue>
  readonly network: SimulatedNetwork
  /** What was done, by what it was asked as: what is asked again is not done again. */
  readonly done: Map<object, Promise<void>>
  /** Of those who have taken a shard: it is given up. */
  readonly givingUp: Set<AbortController>
  /** By shard, who took it last. */
  readonly last: Map<number, ShardLease>
}

export function simulatedQueue(options: SimulatedQueueOptions): SimulatedQueue {
  const { clock, leaseMs, patienceMs } = options
  const network = simulatedNetwork({ ...options, lateMs: leaseMs })
  const memory = memoryQueue({ clock, leaseMs })
  const server: Server = { ...options, memory, network, done: new Map(), givingUp: new Set(), last: new Map() }
  return {
    troubles: network.troubles,
    connect: (process) => connection(process, server),
    goDown(ms) {
      network.goDown(ms)
      if (ms <= patienceMs) return
      const impatient = [...server.givingUp]
      void clock.sleep(patienceMs).then(() => {
        for (const giveUp of impatient) giveUp.abort(queueGone())
      })
    },
  }
}

function connection(process: SimulatedProcess, server: Server): ShardQueue {
  const { memory, network, sabotage } = server
  const ask = <T>(what: () => Promise<T>) => process.reached(network.exchange(what))
  const over = (signal: AbortSignal) => AbortSignal.any([signal, process.died])
  return {
    submit: (run) => ask(() => memory.submit(run)),
    async take(worker, signal) {
      const [lease, deafen] = await takeHeard(process, server, (heard) => heard.take(worker, over(signal)))
      return leased(process, server, lease, deafen)
    },
    status: (run) => ask(() => memory.status(run)),
    runs: () => ask(() => memory.runs()),
    records: (run, after) => ask(() => memory.records(run, after)),
    async takeMerge(run, signal) {
      const take = sabotage === 'merged by several' ? mergeAnyhow : (heard: ShardQueue) => heard.takeMerge(run, over(signal))
      const [merge] = await takeHeard(process, server, (heard) => take(heard, run, server.clock))
      return { complete: () => ask(once(server, () => merge.complete())) }
    },
    stop: (run) => ask(() => memory.stop(run)),
    resume: (run) => ask(() => memory.resume(run)),
    forget: (run) => ask(() => memory.forget(run)),
    async close() {},
  }
}

function once({ done, sabotage }: Server, what: () => Promise<void>): () => Promise<void> {
  const name = {}
  return () => {
    const doing = (sabotage !== 'saved again' && done.get(name)) || what()
    done.set(name, doing)
    return doing
  }
}

/** Takes what may be waited for; whoever does not hear that it was given it holds it no longer than a lease. */
async function takeHeard<T>(
  process: SimulatedProcess,
  server: Server,
  take: (heard: ShardQueue) => Promise<T>,
): Promise<readonly [given: T, deafen: () => void]> {
  const { memory, network } = server
  const taking = async () => {
    for (;;) {
      const heard = hearing(process, server)
      await network.onTheWay()
      const given = await take(memory.connect(heard.clock))
      await network.whenUp()
      if (!network.trouble('taking not heard', 60)) return network.onTheWay().then(() => [given, heard.end] as const)
      heard.end()
    }
  }
  return process.reached(taking())
}

/** The clock by which a holder is heard of: it stands still for one that is not. */
function hearing(process: SimulatedProcess, { clock, network }: Server): { readonly clock: Clock; end(): void } {
  let isHeard = true
  const sleep = async (ms: number, signal?: AbortSignal) => {
    await process.reached(clock.sleep(ms, signal))
    await network.whenUp()
    if (!isHeard) await clock.sleep(Number.MAX_SAFE_INTEGER, signal)
  }
  const end = () => {
    isHeard = false
  }
  return { clock: { now: () => clock.now(), sleep }, end }
}

function leased(process: SimulatedProcess, server: Server, lease: ShardLease, deafen: () => void): ShardLease {
  const { clock, chance, isTroubled, leaseMs, network, givingUp, last, sabotage } = server
  last.set(lease.shard, lease)
  if (network.trouble('deaf', 200)) void clock.sleep(chance.between(0, leaseMs)).then(deafen)
  const giveUp = new AbortController()
  givingUp.add(giveUp)
  // Whoever has given up is not heard of any more: otherwise nobody else would get the shard.
  giveUp.signal.addEventListener('abort', deafen)
  let before: Promise<unknown> = Promise.resolve()
  /** One after the other, as on one connection, and each once. */
  const inTurn = (what: (held: ShardLease) => Promise<void>): Promise<void> => {
    const asking = once(server, () => what((sabotage === 'no epoch' && last.get(lease.shard)) || lease))
    const answer = before.then(() => network.exchange(asking))
    before = answer.catch((error: unknown) => {
      if (error instanceof AgentError) giveUp.abort(error)
      else network.happened('refused')
    })
    return process.reached(answer)
  }
  const within = (leases: number) => () => (isTroubled ? chance.between(0, leases * leaseMs) : 0)
  return {
    ...lease,
    lost: process.heard(AbortSignal.any([lease.lost, giveUp.signal]), within(4)),
    stop: process.heard(lease.stop, within(1)),
    begin: (signal) => process.reached(network.exchange(() => lease.begin(signal))),
    save: (change) => inTurn((held) => held.save(change)),
    complete: () => inTurn((held) => held.complete()),
    park: () => inTurn((held) => held.park()),
    release: () => inTurn((held) => held.release()),
  }
}

async function mergeAnyhow(queue: ShardQueue, run: string, clock: Clock): Promise<MergeLease> {
  while (!(await queue.status(run))?.shards.every(({ state }) => state === 'through')) await clock.sleep(100)
  return { complete: async () => {} }
}
