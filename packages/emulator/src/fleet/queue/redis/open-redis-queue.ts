import type { Clock } from '@certfleet/agent-core'
import type { ShardQueue } from '../shard-queue.ts'
import { redisAddress, refusePublic } from './address.ts'
import { askServer, loadModules, redisOptions } from './connect.ts'
import { maxRetryDelayMs, openLink } from './link.ts'
import { checkServer } from './preflight.ts'
import { redisQueue } from './redis-queue.ts'

export interface RedisQueueSettings {
  /** `redis:` or `rediss:`; may hold user, password, and the number of the database. */
  readonly url: string
  /** Wins over the URL's. */
  readonly password?: string | undefined
  /** PEM: what a `rediss:` server's certificate is to chain to. Default: what the system trusts. */
  readonly ca?: string | undefined
  /** 32 octets: every process that is to join a run has the same, and Redis never. */
  readonly sealingKey: Uint8Array
  /** A Redis without TLS on a public address will do. */
  readonly allowPlain: boolean
  readonly clock: Clock
  /** How long a Redis that is gone is waited for. Default 60 s. */
  readonly patienceMs?: number | undefined
  /** A holder that is not heard of for so long may lose its shard. At least 1 s; default 30 s. */
  readonly leaseMs?: number | undefined
  /** What the server lacks, and when it goes and is back; for people, a line. */
  readonly onWarning: (message: string) => void
}

export const defaultPatienceMs = 60_000
const defaultLeaseMs = 30_000
const leastLeaseMs = 1000
/** A server that is silent for as long is as good as gone; without patience, too, it has a moment to answer. */
const silenceMs = { least: 1000, most: 10_000 }

/**
 * Shards in a Redis 6.2 or later, by BullMQ. Whatever cannot be used is told in one line before anything is put there: `InputError` for an
 * address, a password, packages that are not installed; `ERR_NETWORK` where there is no Redis, or its TLS fails; `ERR_UNSUPPORTED` where it
 * is too old, a node of a cluster, a replica, or would evict keys. Passwords are in no message.
 */
export async function openRedisQueue(settings: RedisQueueSettings): Promise<ShardQueue> {
  const { clock, allowPlain, onWarning, patienceMs = defaultPatienceMs, leaseMs = defaultLeaseMs } = settings
  if (leaseMs < leastLeaseMs) throw new RangeError(`leaseMs is ${leaseMs}, below ${leastLeaseMs}`)
  const address = redisAddress(settings.url, settings.password)
  if (!allowPlain) await refusePublic(address)
  const { bull, Redis } = await loadModules()
  const clientOf = (waiting: Parameters<typeof redisOptions>[2]) => new Redis(redisOptions(address, settings.ca, waiting))
  const info = await askServer(clientOf({ retryStrategy: () => null }), address, clock)
  checkServer(info, address.shown, onWarning)
  const client = clientOf({
    retryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 10), maxRetryDelayMs),
    socketTimeout: Math.max(silenceMs.least, Math.min(silenceMs.most, patienceMs)),
  })
  const link = await openLink(client, { shown: address.shown, clock, patienceMs, onWarning })
  return redisQueue({ link, bull, clock, leaseMs, sealingKey: settings.sealingKey })
}
