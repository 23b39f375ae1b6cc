import { AgentError, type Clock, type Instant, type Transport } from '@certfleet/agent-core'
import type { CrashResult } from '../report/schema.ts'
import { type FleetProcess, startProcess } from './child.ts'
import type { ProcessNews } from './messages.ts'
import { memoryQueue } from './queue/memory-queue.ts'
import type { RunSubmission, ShardLease, ShardQueue } from './queue/shard-queue.ts'
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
  readonly queue: ShardQueue
  readonly running: Set<FleetProcess>
  /** Since the run began; 0 before. */
  elapsedMs(): number
}

async function inProcesses(options: Coordination): Promise<Coordinated> {
  const { shards, clock } = options
  const running = new Set<FleetProcess>()
  // Without it a process that is killed below would be taken for one that crashed, and another started.
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  let startedAt: Instant | undefined
  const onReady = () => (startedAt ??= options.onReady())
  const elapsedMs = () => (startedAt === undefined ? 0 : clock.now() - startedAt)
  const queue = memoryQueue({ clock })
  await queue.submit(submissionOf(shards, clock.now()))
  try {
    const ended = await Promise.all(shards.map(() => shardInProcess({ ...options, queue, running, signal, onReady, elapsedMs })))
    return { lost: ended.flatMap(({ lost }) => lost), begunAgain: ended.flatMap(({ begunAgain }) => begunAgain) }
  } finally {
    over.abort(runOver)
    for (const process of running) process.kill()
    await Promise.all([...running].map(({ ended }) => ended))
  }
}

const runOver = 'the run is over'

/** Processes take half a second to load: those that are ready wait for the others. Nobody checks what else is said of the run. */
function submissionOf(shards: readonly ShardOrders[], submittedAt: Instant): RunSubmission {
  const shared = shards[0] as ShardOrders
  const devices = shards.reduce((sum, shard) => sum + shard.devices.length, 0)
  const manifest = {
    id: 'here',
    version: '',
    seed: shared.seed,
    devices,
    platforms: {},
    shards: shards.length,
    histogram: '',
    scenario: '',
  }
  return { manifest: { ...manifest, beginsTogether: true, submittedAt }, shared, shards }
}

const thisProcess = { name: 'here', host: '', cores: 0, node: '' }

/** Takes a shard, and again whenever its process has crashed, until it is through. All others have one meanwhile, or are through with theirs. */
async function shardInProcess(processes: Processes): Promise<Coordinated> {
  const { queue, signal, elapsedMs, onCrash } = processes
  const begunAgain = new Map<number, FleetDevice>()
  let left: Map<number, FleetDevice> | undefined
  while (!signal.aborted) {
    const lease = await queue.take(thisProcess, signal)
    left ??= new Map(lease.orders.devices.map((device) => [device.index, device]))
    const why = await lifeOfProcess(lease, left, processes)
    if (why === undefined || signal.aborted) break
    const isLast = lease.epoch === maxCrashesOfShard
    onCrash({ worker: lease.orders.name, atMs: elapsedMs(), why, devicesRestarted: isLast ? 0 : left.size })
    if (isLast) return { lost: [...left.values()], begunAgain: [...begunAgain.values()] }
    // Those that were due are late by the crash, and not by the generator.
    left = new Map([...left].map(([index, device]) => [index, withoutPast(device, elapsedMs())]))
    for (const [index, device] of left) begunAgain.set(index, device)
    await lease.release()
  }
  return { lost: [], begunAgain: [...begunAgain.values()] }
}

function withoutPast({ spec, index, dueMs }: FleetDevice, elapsedMs: number): FleetDevice {
  return { spec, index, ...(dueMs !== undefined && dueMs > elapsedMs && { dueMs }) }
}

/** Resolves with why it ended, where that was before its time. Takes from `left` what is through. */
async function lifeOfProcess(
  { orders, begin }: ShardLease,
  left: Map<number, FleetDevice>,
  { running, onReady, onNews, signal }: Processes,
): Promise<string | undefined> {
  let refused: AgentError | undefined
  // Who is stopped before is told so in another way.
  const beginAll = () =>
    void begin(signal).then(
      () => process.send({ kind: 'begin', startedAt: onReady() }),
      () => {},
    )
  const process = startProcess({ kind: 'shard', orders: { ...orders, devices: [...left.values()] } }, (news: ProcessNews) => {
    if (news.kind === 'refused') refused = new AgentError(news.code, news.message)
    if (news.kind === 'ready') beginAll()
    if (news.kind === 'devices') for (const { index } of news.devices) left.delete(index)
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
