import type { AgentErrorCode, Instant } from '@certfleet/agent-core'
import type { ProcessCost } from '../measure/types.ts'
import type { Import } from '../tenant/index.ts'
import type { EmbeddedLab, IssuedByLab, LabOrders } from './embedded-lab.ts'
import type { RedisQueueSettings } from './queue/redis/open-redis-queue.ts'
import type { WorkEnd } from './queue/work.ts'
import type { ShardNews, ShardOrders } from './shard.ts'

/** The first message to a process of the fleet: what it is to be. */
export type ProcessOrders =
  | { readonly kind: 'shard'; readonly orders: ShardOrders }
  | { readonly kind: 'lab'; readonly orders: LabOrders }
  | { readonly kind: 'worker'; readonly orders: WorkerOrders }

/** What a process needs to take shards from a queue: plain data, with secrets in it. */
export interface WorkerOrders {
  readonly queue: Omit<RedisQueueSettings, 'clock' | 'onWarning'>
  readonly untilIdleMs?: number | undefined
}

/** What a process is asked later. `stop`: end as an interruption does, and tell what was done. */
export type ProcessRequest =
  /** To a shard that is ready. */
  | { readonly kind: 'begin'; readonly startedAt: Instant }
  | { readonly kind: 'stop' }
  | { readonly kind: 'deliver'; readonly imported: Import }
  | { readonly kind: 'issued' }
  | { readonly kind: 'cost' }
  | { readonly kind: 'close' }

export type LabReach = Omit<EmbeddedLab, 'transport' | 'deliver' | 'issued' | 'cost' | 'close'>

/** What a process tells. */
export type ProcessNews =
  | ShardNews
  /** A shard has everything at hand. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'through' }
  | { readonly kind: 'lab'; readonly reach: LabReach }
  /** Of a worker, for people. */
  | { readonly kind: 'said'; readonly line: string }
  | { readonly kind: 'worked'; readonly end: WorkEnd }
  | { readonly kind: 'delivered' }
  | { readonly kind: 'issued'; readonly issued: readonly IssuedByLab[] }
  | { readonly kind: 'cost'; readonly cost: ProcessCost }
  /** It could not begin, and why: an `AgentError`'s code and message. */
  | { readonly kind: 'refused'; readonly code: AgentErrorCode; readonly message: string }
