import { AgentError, type Clock, type Instant, type Transport } from '@certfleet/agent-core'
import type { CrashResult } from '../report/schema.ts'
import { type FleetProcess, startProcess } from './child.ts'
import type { ProcessNews } from './messages.ts'
import type { FleetDevice } from './run.ts'
import { runShard, type ShardNews, type ShardOrders } from './shard.ts'

export interface Coordination {
  /** What each process is to do. */
  readonly shards: readonly ShardOrders[]
  /** False: one shard, in this process. */
  readonly inProcesses: boolean
  /** Only in this process: where the target is called in it. */
  readonly transport?: Transport | undefined
  readonly clock: Clock
  /** Ends the run early, with what was done until then. */
  readonly signal: AbortSignal
  /** Everything is at hand: the moment from which the run counts. Called once. */
  onReady(): Instant
  onNews(news: ShardNews, shard: string): void
  onCrash(crash: CrashResult): void
}

export interface Coordinated {
  /** Given up, because their process crashed again and again. */
  readonly lost: readonly FleetDevice[]
  /** Begun anew, because their process crashed. */
  readonly begunAgain: readonly FleetDevice[]
}

/** A process that crashes at once would be started again for ever. */
const maxCrashesOfShard = 3

/**
 * Runs the shards beside each other until each is through. A process that crashes is told of, and its devices that were not through are
 * begun anew in another. Rejects for a bug, and with the `AgentError` of a shard that could not begin; then no process is left running.
 */
export async function coordinate(options: Coordination): Promise<Coordinated> {
  const { shards, clock, transport, signal, onNews, onReady } = options
  if (options.inProcesses) return inProcesses(options)
  const begin = async () => onReady()
  for (const shard of shards) await runShard(shard, { clock, transport, signal, begin, tell: (news) => onNews(news, shard.name) })
  return { lost: [], begunAgain: [] }
}

interface Processes extends Coordination {
  readonly running: Set<FleetProcess>
  readonly start: Start
}

async function inProcesses(options: Coordination): Promise<Coordinated> {
  const running = new Set<FleetProcess>()
  // Without it a process that is killed below would be taken for one that crashed, and another started.
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  const processes = { ...options, signal, running, start: commonStart(options) }
  try {
    const ended = await Promise.all(options.shards.map((shard) => shardInProcess(shard, processes)))
    return { lost: ended.flatMap(({ lost }) => lost), begunAgain: ended.flatMap(({ begunAgain }) => begunAgain) }
  } finally {
    over.abort(runOver)
    for (const process of running) process.kill()
    await Promise.all([...running].map(({ ended }) => ended))
  }
}

const runOver = 'the run is over'

/** Processes take half a second to load: those that are ready wait for the others. */
interface Start {
  /** Resolves once every shard has been ready. */
  whenAllReady(shard: string): Promise<Instant>
  elapsedMs(): number
}

function commonStart({ shards, clock, onReady }: Coordination): Start {
  const ready = new Set<string>()
  let begin: (startedAt: Instant) => void = () => {}
  let startedAt: Instant | undefined
  const begun = new Promise<Instant>((resolve) => {
    begin = resolve
  })
  return {
    whenAllReady(shard) {
      ready.add(shard)
      if (startedAt === undefined && ready.size === shards.length) {
        startedAt = onReady()
        begin(startedAt)
      }
      return begun
    },
    elapsedMs: () => (startedAt === undefined ? 0 : clock.now() - startedAt),
  }
}

async function shardInProcess(shard: ShardOrders, processes: Processes): Promise<Coordinated> {
  const { start, signal, onCrash } = processes
  const begunAgain = new Map<number, FleetDevice>()
  let left = new Map(shard.devices.map((device) => [device.index, device]))
  for (let crashes = 1; !signal.aborted; crashes++) {
    const why = await lifeOfProcess({ ...shard, devices: [...left.values()] }, processes, (index) => left.delete(index))
    if (why === undefined || signal.aborted) break
    const isLast = crashes === maxCrashesOfShard
    onCrash({ worker: shard.name, atMs: start.elapsedMs(), why, devicesRestarted: isLast ? 0 : left.size })
    if (isLast) return { lost: [...left.values()], begunAgain: [...begunAgain.values()] }
    // Those that were due are late by the crash, and not by the generator.
    left = new Map([...left].map(([index, device]) => [index, withoutPast(device, start.elapsedMs())]))
    for (const [index, device] of left) begunAgain.set(index, device)
  }
  return { lost: [], begunAgain: [...begunAgain.values()] }
}

function withoutPast({ spec, index, dueMs }: FleetDevice, elapsedMs: number): FleetDevice {
  return { spec, index, ...(dueMs !== undefined && dueMs > elapsedMs && { dueMs }) }
}

/** Resolves with why it ended, where that was before its time. */
async function lifeOfProcess(
  orders: ShardOrders,
  { running, start, onNews, signal }: Processes,
  onThrough: (index: number) => void,
): Promise<string | undefined> {
  let refused: AgentError | undefined
  const process = startProcess({ kind: 'shard', orders }, (news: ProcessNews) => {
    if (news.kind === 'refused') refused = new AgentError(news.code, news.message)
    if (news.kind === 'ready') void start.whenAllReady(orders.name).then((startedAt) => process.send({ kind: 'begin', startedAt }))
    if (news.kind === 'devices') for (const { index } of news.devices) onThrough(index)
    if (isOfShard(news)) onNews(news, orders.name)
  })
  running.add(process)
  const stop = () => process.send({ kind: 'stop' })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const why = await process.ended
  signal.removeEventListener('abort', stop)
  running.delete(process)
  if (refused) throw refused
  return why
}

const isOfShard = (news: ProcessNews): news is ShardNews => news.kind === 'devices' || news.kind === 'measured' || news.kind === 'faults'
