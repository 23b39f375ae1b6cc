import { connect, createServer, type Socket } from 'node:net'
import { systemClock } from '@certfleet/agent-core/system'
import type { Redis } from 'ioredis'
import type { Test } from 'tap'
import { openRedisQueue, type RedisQueueSettings } from '#emulator/fleet/queue/redis/open-redis-queue.ts'
import type { ShardQueue } from '#emulator/fleet/queue/shard-queue.ts'
import type { RedisServer } from './redis-server.ts'

export const sealingKey = new Uint8Array(32).fill(7)
export const leaseMs = 1000

/** A connection to it, as a process has one, until the test ends. */
export async function connected(t: Test, { url }: Pick<RedisServer, 'url'>, more: Partial<RedisQueueSettings> = {}): Promise<ShardQueue> {
  const settings = { url, sealingKey, allowPlain: false, clock: systemClock, leaseMs, onWarning: () => {} }
  const queue = await openRedisQueue({ ...settings, ...more })
  t.teardown(() => queue.close())
  return queue
}

/** A look at it from aside. */
export async function withClient<T>({ url }: Pick<RedisServer, 'url'>, use: (client: Redis) => Promise<T>): Promise<T> {
  const { Redis } = await import('ioredis')
  const client = new Redis(url)
  try {
    return await use(client)
  } finally {
    client.disconnect()
  }
}

/** What answers on loopback whatever it is asked, until the test ends. */
export async function answering(t: Test, answer: (asked: string, socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => answer(data.toString('latin1'), socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `redis://127.0.0.1:${(server.address() as { port: number }).port}`
}

export interface LossyWay {
  readonly url: string
  /** The connection breaks once Redis has answered what holds that next, before the answer comes back. */
  loseAnswerTo(text: string): void
  readonly lost: number
}

/** A way to a Redis that loses answers. */
export async function lossyWay(t: Test, { port, password }: RedisServer): Promise<LossyWay> {
  let losing: string | undefined
  const way = {
    url: '',
    lost: 0,
    loseAnswerTo(text: string) {
      losing = text
    },
  }
  const upstreams = new Map<Socket, Socket>()
  const url = await answering(t, (asked, socket) => {
    const upstream = upstreams.get(socket) ?? connect(port, '127.0.0.1')
    if (!upstreams.has(socket)) {
      upstreams.set(socket, upstream)
      upstream.on('error', () => {})
      upstream.on('data', (data) => socket.destroyed || socket.write(data))
      socket.on('close', () => upstream.destroy())
    }
    if (losing !== undefined && asked.includes(losing)) {
      losing = undefined
      way.lost++
      upstream.removeAllListeners('data')
      upstream.once('data', () => socket.destroy())
    }
    upstream.write(Buffer.from(asked, 'latin1'))
  })
  return Object.assign(way, { url: url.replace('//', `//:${password}@`) })
}
