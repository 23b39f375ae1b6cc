import type { Clock, Instant } from '@certfleet/agent-core'
import type { KeptDevice } from './keeping.ts'
import { hold } from './memory-hold.ts'
import {
  LeaseLost,
  type MergeLease,
  noSuchRun,
  type OwnOrders,
  type RunManifest,
  type RunStatus,
  type RunSubmission,
  recordsLost,
  type ShardChange,
  type ShardLease,
  type ShardQueue,
  type ShardRecord,
  type ShardState,
  type WorkerFacts,
} from './shard-queue.ts'
import { changed, type Waiters, when } from './waiters.ts'

export interface MemoryQueueOptions {
  readonly clock: Clock
  /** For how long a holder that is not heard of keeps what it holds. Default: for good. */
  readonly leaseMs?: number | undefined
}

export interface MemoryQueue extends ShardQueue {
  /** The same queue for holders of another clock: they are heard of by theirs. */
  connect(clock: Clock): ShardQueue
}

/** The queue of one process: it ends with it. What is saved is copied, as where a queue is elsewhere. */
export function memoryQueue({ clock, leaseMs = Number.POSITIVE_INFINITY }: MemoryQueueOptions): MemoryQueue {
  const queue: Queue = { clock, leaseMs, runs: new Map(), waiters: new Set() }
  return { ...connection(queue, clock), connect: (holder) => connection(queue, holder) }
}

interface Queue extends Required<Pick<MemoryQueueOptions, 'clock'>> {
  readonly leaseMs: number
  readonly runs: Map<string, Run>
  readonly waiters: Waiters
}

interface Run extends RunSubmission {
  isStopped: boolean
  startedAt: Instant | undefined
  readonly places: readonly Place[]
  readonly workers: Map<string, WorkerFacts>
  isMerging: boolean
}

/** Where a shard of a run stands. */
interface Place {
  state: ShardState
  epoch: number
  worker?: string
  hasBegun: boolean
  readonly records: ShardRecord[]
  readonly devices: Map<number, KeptDevice>
  /** Of its holder, if it has one. */
  stop?: AbortController
}

function connection(queue: Queue, holder: Clock): ShardQueue {
  const { runs } = queue
  const change = (id: string, what: (run: Run) => void) => {
    const run = runs.get(id)
    if (run) what(run)
    changed(queue.waiters)
  }
  return {
    async submit(run) {
      if (!runs.has(run.manifest.id)) runs.set(run.manifest.id, newRun(run))
      changed(queue.waiters)
    },
    take: (worker, signal, check) => when(queue.waiters, signal, () => takeNext(queue, holder, worker, check)),
    status: async (id) => statusOf(runs.get(id)),
    runs: async () => [...runs.keys()],
    records: async (id, after) =>
      structuredClone(runs.get(id)?.places.map(({ records }, shard) => recordsAfter(id, records, after[shard])) ?? []),
    takeMerge: (id, signal) => when(queue.waiters, signal, () => takeMerge(queue, holder, id)),
    stop: async (id) => change(id, stopRun),
    resume: async (id) => change(id, resumeRun),
    forget: async (id) => remove(queue, id),
    async close() {},
  }
}

const newRun = (run: RunSubmission): Run => ({
  ...run,
  isStopped: false,
  startedAt: undefined,
  places: run.shards.map(() => ({ state: 'waiting', epoch: 0, hasBegun: false, records: [], devices: new Map() })),
  workers: new Map(),
  isMerging: false,
})

function statusOf(run: Run | undefined): RunStatus | undefined {
  if (!run) return undefined
  const { manifest, isStopped, startedAt, places, workers } = run
  const shards = places.map(({ state, epoch, worker }) => ({ state, epoch, worker }))
  return { manifest, isStopped, startedAt, shards, workers: [...workers.values()] }
}

function recordsAfter(id: string, records: readonly ShardRecord[], count = 0): readonly ShardRecord[] {
  if (count > records.length) throw recordsLost(id)
  return records.slice(count)
}

function remove({ runs, waiters }: Queue, id: string): void {
  runs.delete(id)
  changed(waiters)
}

function stopRun(run: Run): void {
  run.isStopped = true
  for (const { stop } of run.places) stop?.abort(new Error('the run is to stop'))
}

function resumeRun(run: Run): void {
  run.isStopped = false
  for (const place of run.places) if (place.state === 'parked') place.state = 'waiting'
}

function takeNext(queue: Queue, holder: Clock, worker: WorkerFacts, check?: (manifest: RunManifest) => void): ShardLease | undefined {
  for (const run of queue.runs.values()) {
    const shard = run.isStopped ? -1 : run.places.findIndex(({ state }) => state === 'waiting')
    if (shard < 0) continue
    check?.(run.manifest)
    return lend(queue, holder, run, shard, worker)
  }
  return undefined
}

function lend(queue: Queue, holder: Clock, run: Run, shard: number, worker: WorkerFacts): ShardLease {
  const place = run.places[shard] as Place
  const lost = new AbortController()
  const stop = new AbortController()
  Object.assign(place, { state: 'active', epoch: place.epoch + 1, worker: worker.name, stop })
  run.workers.set(worker.name, worker)
  const endHold = hold(queue, holder, () => {
    lost.abort(new LeaseLost())
    place.state = 'waiting'
    changed(queue.waiters)
  })
  const { manifest, shared, shards } = run
  const { epoch, records, devices } = place
  return {
    manifest,
    shard,
    orders: { ...shared, ...(shards[shard] as OwnOrders) },
    epoch,
    records: [...records],
    devices: new Map(devices),
    lost: lost.signal,
    stop: stop.signal,
    ...changesOf(queue, run, place, endHold),
  }
}

/** What the holder of a place can do, while it is that. */
function changesOf(queue: Queue, run: Run, place: Place, endHold: () => void): Omit<ShardLease, keyof Lent> {
  const { epoch, stop } = place
  const assertHeld = () => {
    const isHeld = place.epoch === epoch && place.state === 'active' && queue.runs.get(run.manifest.id) === run
    if (!isHeld) throw new LeaseLost()
  }
  const leave = (state: ShardState) => {
    assertHeld()
    endHold()
    place.state = state
    changed(queue.waiters)
  }
  return {
    begin(signal) {
      place.hasBegun = true
      changed(queue.waiters)
      return when(queue.waiters, signal, () => begunAt(run, queue.clock))
    },
    async save(change) {
      assertHeld()
      write(place, structuredClone(change))
      changed(queue.waiters)
    },
    complete: async () => leave('through'),
    // Where the run goes on again by then, nobody would resume it later.
    park: async () => leave(stop?.signal.aborted && !run.isStopped ? 'waiting' : 'parked'),
    release: async () => leave('waiting'),
  }
}

type Lent = Pick<ShardLease, 'manifest' | 'orders' | 'shard' | 'epoch' | 'records' | 'devices' | 'lost' | 'stop'>

function begunAt(run: Run, clock: Clock): Instant | undefined {
  if (!run.manifest.beginsTogether || run.places.every(({ hasBegun }) => hasBegun)) run.startedAt ??= clock.now()
  return run.startedAt
}

function write({ records, devices }: Place, change: ShardChange): void {
  if (change.record) records.push(change.record)
  for (const [index, device] of change.devices ?? []) {
    if (device) devices.set(index, device)
    else devices.delete(index)
  }
}

function takeMerge(queue: Queue, holder: Clock, id: string): MergeLease | undefined {
  const run = queue.runs.get(id)
  if (!run) throw noSuchRun(id)
  if (run.isMerging || run.places.some(({ state }) => state !== 'through')) return undefined
  run.isMerging = true
  let [isLost, isDone] = [false, false]
  const endHold = hold(queue, holder, () => {
    isLost = true
    run.isMerging = false
    changed(queue.waiters)
  })
  return {
    async complete() {
      if (isDone) return
      if (isLost || queue.runs.get(id) !== run) throw new LeaseLost()
      isDone = true
      endHold()
      remove(queue, id)
    },
  }
}
