import { AgentError } from '@certfleet/agent-core'

/** Everything of certfleet in a Redis begins with it. */
const prefix = 'certfleet'

/** BullMQ's. */
export const bullPrefix = `${prefix}:queue`
export const shardQueueName = 'shards'
/** A sorted set: every run that is known, by when it was submitted. */
export const runsKey = `${prefix}:runs`

/** What is kept of a run, each under a name of its own. */
export interface RunKeys {
  /** A hash: manifest, sealed orders, and how far it is. */
  readonly run: string
  /** A hash: sealed orders by number of the shard. */
  readonly orders: string
  /** A hash: facts by name. */
  readonly workers: string
  readonly mergeQueue: string
  readonly mergeJob: string
  shard(shard: number): ShardKeys
}

export interface ShardKeys {
  /** A hash: epoch, state, worker. */
  readonly shard: string
  /** A list. */
  readonly records: string
  /** A hash: sealed devices by index. */
  readonly devices: string
  /** BullMQ's: of the shard's job. */
  readonly job: string
  readonly lock: string
}

export const isRunName = (run: string): boolean => /^[\w.-]{1,100}$/.test(run)

/** `ERR_STATE_INVALID` for a name that would be taken for another's. */
export function runKeys(run: string): RunKeys {
  if (!isRunName(run)) throw new AgentError('ERR_STATE_INVALID', 'the name of a run is 1 to 100 letters, digits and ".-_"')
  const base = `${prefix}:run:${run}`
  return {
    run: base,
    orders: `${base}:orders`,
    workers: `${base}:workers`,
    mergeQueue: `merge-${run}`,
    mergeJob: `${run}-merge`,
    shard: (shard) => ({
      shard: `${base}:shard:${shard}`,
      records: `${base}:records:${shard}`,
      devices: `${base}:devices:${shard}`,
      job: `${run}-${shard}`,
      lock: `${bullPrefix}:${shardQueueName}:${run}-${shard}:lock`,
    }),
  }
}

const bullKey = (name: string) => `${bullPrefix}:${shardQueueName}:${name}`
/** BullMQ's of the shards' jobs: those that wait, those that somebody has, and those of them who are not heard of. */
export const waitKey = bullKey('wait')
export const activeKey = bullKey('active')
export const stalledKey = bullKey('stalled')
