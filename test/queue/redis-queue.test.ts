import { systemClock } from '@certfleet/agent-core/system'
import t, { type Test } from 'tap'
import { openRedisQueue, type RedisQueueSettings } from '#emulator/fleet/queue/redis/open-redis-queue.ts'
import { shardQueueContract } from './contract.ts'
import { noRedis, type RedisServer, redisServer } from './redis-server.ts'

const skip = noRedis()
const sealingKey = new Uint8Array(32).fill(7)

type Opening = Partial<RedisQueueSettings>

/** A connection to it, as a process has one, until the test ends. */
async function connected(t: Test, server: RedisServer, more: Opening = {}) {
  const settings = { url: server.url, sealingKey, allowPlain: false, clock: systemClock, leaseMs: 1000, onWarning: () => {} }
  const queue = await openRedisQueue({ ...settings, ...more })
  t.teardown(() => queue.close())
  return queue
}

t.test('a queue in Redis keeps what every queue promises', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  let db = 0
  await shardQueueContract(t, async (t) => {
    const url = `${server.url}/${db++ % 16}`
    await emptied(url)
    return { queue: await connected(t, server, { url }), second: await connected(t, server, { url }) }
  })
})

async function emptied(url: string): Promise<void> {
  const { Redis } = await import('ioredis')
  const client = new Redis(url)
  await client.flushdb()
  await client.quit()
}
