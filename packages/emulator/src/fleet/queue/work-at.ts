import { AgentError, type Clock } from '@certfleet/agent-core'
import { InputError } from '../../scenario/input-error.ts'
import type { WorkerOrders } from '../messages.ts'
import { defaultPatienceMs, openRedisQueue, type RedisQueueSettings } from './redis/open-redis-queue.ts'
import type { ShardQueue } from './shard-queue.ts'
import { type WorkEnd, workerFacts, workOff } from './work.ts'

export interface WorkPorts {
  readonly clock: Clock
  /** Brings the shard at work to a checkpoint, and ends. */
  readonly signal: AbortSignal
  /** For people, a line. */
  say(line: string): void
}

/**
 * One worker at a Redis, from its connection to its end. A Redis that is gone for longer than its patience rejects with `ERR_NETWORK`, also
 * where none is there at first: whoever starts a worker anew while Redis is away has it wait as the others do.
 */
export async function workAt({ queue: settings, untilIdleMs }: WorkerOrders, { clock, signal, say }: WorkPorts): Promise<WorkEnd> {
  const worker = workerFacts()
  try {
    const queue = await openInTime({ ...settings, clock, onWarning: (message) => say(`warning: ${message}`) }, signal)
    if (queue === undefined) return { kind: 'stopped' }
    try {
      say(`${worker.name} joined, and waits for shards`)
      return await workOff({ queue, worker, clock, signal, untilIdleMs, say })
    } finally {
      await queue.close()
    }
  } catch (error) {
    // What the first process was let in by may have changed since.
    if (error instanceof InputError) return { kind: 'unfit', message: error.message }
    throw error
  }
}

const retryDelayMs = 1_000

/** Undefined: the signal came first. */
async function openInTime(settings: RedisQueueSettings, signal: AbortSignal): Promise<ShardQueue | undefined> {
  const { clock, patienceMs = defaultPatienceMs } = settings
  const until = clock.now() + patienceMs
  while (!signal.aborted) {
    try {
      return await openRedisQueue(settings)
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'ERR_NETWORK' || clock.now() + retryDelayMs > until) throw error
      await clock.sleep(retryDelayMs, signal).catch(() => {})
    }
  }
  return undefined
}
