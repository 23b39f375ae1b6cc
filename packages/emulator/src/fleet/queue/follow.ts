import { AgentError, type Clock } from '@certfleet/agent-core'
import type { LoadSource, SourceEnd, SourcePorts } from '../load-run.ts'
import { type QueueTally, queueTally } from './queue-tally.ts'
import type { MergeLease, RunManifest, RunStatus, ShardQueue, ShardRecord } from './shard-queue.ts'

export interface Following {
  readonly queue: ShardQueue
  readonly manifest: RunManifest
  /** Of this machine, where it serves the lab of the run. Default 0: what the workers' machines have counts alone. */
  readonly ownMachine?: { readonly host: string; readonly cores: number } | undefined
}

/** A run over a queue, as the one has it that shows it and adds it up. */
export interface Follower extends LoadSource {
  /** Once it has been followed to its end: the right to add it up. Undefined where that is not its end: see `why`. */
  merge(): MergeLease | undefined
  /** Why it ended before its time. */
  why(): FollowEnd | undefined
}

export type FollowEnd =
  | { readonly kind: 'stopped' }
  /** With what the queue said last. */
  | { readonly kind: 'lost'; readonly message: string }
  /** Somebody removed it. */
  | { readonly kind: 'forgotten' }

const pollEveryMs = 500
/** Workers bring a shard to a checkpoint in seconds; one that was lost keeps its shard until its lease ends. */
const maxStopMs = 120_000

/**
 * Follows a run: whatever its workers record is told as if it had been done here, from the first record on, so that it does not matter when
 * one begins to follow. Ends once every shard is through and this process alone may add it up. A run that is stopped, by whomever, ends once
 * nobody has a shard of it; the signal stops it. A queue that is gone for longer than it is waited for ends the following, not the run.
 */
export function followRun(following: Following): Follower {
  const { queue, manifest } = following
  const state: State = {
    ...following,
    tally: queueTally(manifest),
    read: Array.from({ length: manifest.shards }, () => 0),
    status: undefined,
    idleReadings: 0,
    merge: undefined,
    why: undefined,
  }
  return {
    async follow(ports) {
      const over = new AbortController()
      const merge = watchMerge(state, over.signal)
      try {
        await untilEnd(queue, state, ports)
      } catch (error) {
        if (!(error instanceof AgentError)) throw error
        state.why = { kind: 'lost', message: error.message }
      } finally {
        over.abort(followed)
        await merge
      }
      return endOf(state)
    },
    remarks: () => remarksOf(state),
    merge: () => (state.why === undefined ? state.merge : undefined),
    why: () => state.why,
  }
}

interface State extends Following {
  readonly tally: QueueTally
  /** By shard, how many of its records were read. */
  readonly read: number[]
  /** As of the last reading. */
  status: RunStatus | undefined
  /** For how many readings shards have waited and nobody had any. */
  idleReadings: number
  merge: MergeLease | undefined
  why: FollowEnd | undefined
  failure?: unknown
}

const followed = 'the run is no longer followed'

async function watchMerge(state: State, signal: AbortSignal): Promise<void> {
  try {
    state.merge = await state.queue.takeMerge(state.manifest.id, signal)
  } catch (error) {
    if (!signal.aborted) state.failure = error
  }
}

async function untilEnd(queue: ShardQueue, state: State, ports: SourcePorts): Promise<void> {
  const { clock, signal } = ports
  let stopUntil: number | undefined
  for (;;) {
    // What was recorded before it was taken is read after.
    const isMerging = state.merge !== undefined
    await readOnce(state, ports)
    if (isMerging || state.why !== undefined) return
    // Of a run that was removed both questions fail, in whichever order; only the reading says why.
    if (state.failure !== undefined) throw state.failure
    if (signal.aborted && stopUntil === undefined) {
      stopUntil = clock.now() + maxStopMs
      await queue.stop(state.manifest.id)
    }
    if (stopUntil !== undefined && clock.now() >= stopUntil) state.why = { kind: 'stopped' }
    else await pause(clock, stopUntil === undefined ? signal : undefined)
  }
}

async function pause(clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  await clock.sleep(pollEveryMs, signal).catch((error: unknown) => {
    if (!signal?.aborted) throw error
  })
}

/** First where the run stands, and then its records: none is missed of a shard that nobody has any more. */
async function readOnce(state: State, { onNews, onBegun, onWarning }: SourcePorts): Promise<void> {
  const { queue, manifest, tally, read } = state
  const status = await queue.status(manifest.id)
  if (status === undefined) {
    state.why = { kind: 'forgotten' }
    return
  }
  if (state.status?.startedAt === undefined && status.startedAt !== undefined) onBegun(status.startedAt)
  state.status = status
  state.idleReadings = isIdle(status) ? state.idleReadings + 1 : 0
  const records = await queue.records(manifest.id, read)
  records.forEach((news, shard) => {
    read[shard] = (read[shard] ?? 0) + news.length
    for (const record of news) onRecord(shard, record)
  })
  // Whoever takes the last shard through while the run is stopped leaves nothing to go on with.
  const isOver = status.shards.every((shard) => shard.state === 'through')
  if (status.isStopped && !isOver && !status.shards.some((shard) => shard.state === 'active')) state.why = { kind: 'stopped' }

  function onRecord(shard: number, record: ShardRecord): void {
    for (const message of tally.add(shard, record)) onWarning(message)
    for (const one of record.news) onNews(one, record.worker)
  }
}

const isIdle = ({ shards }: RunStatus): boolean =>
  shards.some(({ state }) => state === 'waiting') && !shards.some(({ state }) => state === 'active')

/** From one shard to the next a worker needs less. */
const maxIdleReadings = 4

function remarksOf({ status, idleReadings }: State): readonly string[] {
  if (status?.isStopped) return ['the run is stopped: its workers bring their shards to a checkpoint']
  if (status && status.workers.length === 0) return ['no worker yet: start "certfleet worker" on each machine']
  if (idleReadings > maxIdleReadings) return ['no worker any more: shards wait; start "certfleet worker" on each machine']
  if (status && status.startedAt === undefined) {
    const waiting = status.shards.filter(({ state }) => state === 'waiting').length
    return [`${waiting} of ${status.shards.length} shards wait for a worker, and the run begins once each has one`]
  }
  return []
}

function endOf({ tally, status, why, ownMachine }: State): SourceEnd {
  const hosts = new Map(status?.workers.map(({ host, cores }) => [host, cores]))
  if (ownMachine) hosts.set(ownMachine.host, ownMachine.cores)
  return {
    lost: [],
    begunAgain: [],
    queue: tally.result(status ?? { shards: [], workers: [] }),
    interrupted: why !== undefined,
    cores: [...hosts.values()].reduce((sum, cores) => sum + cores, 0) || (ownMachine?.cores ?? 1),
    pausedMs: tally.pausedMs(),
  }
}
