import { AgentError, type Clock } from '@certfleet/agent-core'
import type * as Bull from 'bullmq'
import type { Redis, RedisOptions } from 'ioredis'
import { InputError } from '../../../scenario/input-error.ts'
import type { RedisAddress } from './address.ts'

export interface RedisModules {
  readonly bull: typeof Bull
  readonly Redis: typeof Redis
}

const connectTimeoutMs = 10_000

/** They are optional peers: whoever asks for a queue has them. */
export async function loadModules(): Promise<RedisModules> {
  try {
    const [bull, { Redis }] = await Promise.all([import('bullmq'), import('ioredis')])
    return { bull, Redis }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new InputError('a queue needs two packages that are not installed: npm install bullmq ioredis')
  }
}

export function redisOptions(
  { host, port, db, username, password, isTls }: RedisAddress,
  ca: string | undefined,
  waiting: Pick<RedisOptions, 'retryStrategy' | 'socketTimeout'>,
): Omit<RedisOptions, 'replyMapping'> {
  return {
    host,
    port,
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(isTls && { tls: { minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) } }),
    protocol: 2,
    connectTimeout: connectTimeoutMs,
    // What is under way when a connection breaks is sent again, however often: how long is waited is told by the link.
    maxRetriesPerRequest: null,
    lazyConnect: true,
    disableClientInfo: true,
    ...waiting,
  }
}

/**
 * What the server says of itself, of a connection that ends with it. One line where there is none that can be used: `ERR_NETWORK`, or
 * `InputError` where it wants another password.
 */
export async function askServer(client: Redis, { shown, password }: RedisAddress, clock: Clock): Promise<ReadonlyMap<string, string>> {
  let last: unknown
  const fail = (error: unknown) => {
    // What comes after it gave up is its own doing.
    if (!tooLong.signal.aborted) last = error
  }
  client.on('error', fail)
  const tooLong = new AbortController()
  const giveUp = () => {
    fail(new Error(`no answer within ${connectTimeoutMs / 1000} s`))
    tooLong.abort()
    client.disconnect()
  }
  const late = clock.sleep(connectTimeoutMs, tooLong.signal).then(giveUp, () => {})
  try {
    await client.connect()
    return new Map((await client.info()).split('\r\n').map((line) => line.split(/:(.*)/s, 2) as [string, string]))
  } catch (error) {
    throw unusable(last ?? error, shown, password !== undefined)
  } finally {
    tooLong.abort()
    await late
    client.disconnect()
  }
}

// The cause stays away: it holds what was sent, the password too.
function unusable(error: unknown, shown: string, hasPassword: boolean): Error {
  const { message, code } = error as NodeJS.ErrnoException
  if (/^(WRONGPASS|NOAUTH|ERR invalid password|ERR AUTH)/.test(message)) {
    return hasPassword
      ? new InputError(`the Redis at ${shown} refuses the password`)
      : new InputError(`the Redis at ${shown} wants a password; name the file that holds it by --queue-password-file`)
  }
  if (isOfTls(code, message)) {
    return new AgentError('ERR_NETWORK', `TLS with the Redis at ${shown} fails (${code}); name its CA by --queue-ca`)
  }
  return new AgentError('ERR_NETWORK', `no Redis at ${shown} (${code ?? printable(message)})`)
}

const isOfTls = (code: string | undefined, message: string): boolean =>
  code !== undefined && (/CERT|TLS|SSL|ISSUER|SIGNATURE|EPROTO/.test(code) || /certificate/i.test(message))

/** Of a foreign server. */
const printable = (message: string): string => message.replace(/[^\x20-\x7e]/g, '?').slice(0, 80)
