import type { Clock } from '@certfleet/agent-core'
import { InputError } from '../../scenario/input-error.ts'
import type { WorkerOrders } from '../messages.ts'
import { openRedisQueue } from './redis/open-redis-queue.ts'
import { type WorkEnd, workerFacts, workOff } from './work.ts'

export interface WorkPorts {
  readonly clock: Clock
  /** Brings the shard at work to a checkpoint, and ends. */
  readonly signal: AbortSignal
  /** For people, a line. */
  say(line: string): void
}

/** One worker at a Redis, from its connection to its end. A Redis that is not there, or gone for too long, rejects with `ERR_NETWORK`. */
export async function workAt({ queue: settings, untilIdleMs }: WorkerOrders, { clock, signal, say }: WorkPorts): Promise<WorkEnd> {
  const worker = workerFacts()
  try {
    const queue = await openRedisQueue({ ...settings, clock, onWarning: (message) => say(`warning: ${message}`) })
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
