import t from 'tap'
import { shardQueueContract } from './contract.ts'
import { connected, withClient } from './redis-runs.ts'
import { noRedis, redisServer } from './redis-server.ts'

const skip = noRedis()

t.test('a queue in Redis keeps what every queue promises', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  let db = 0
  await shardQueueContract(t, async (t) => {
    const at = { url: `${server.url}/${db++ % 16}` }
    await withClient(at, (client) => client.flushdb())
    return { queue: await connected(t, at), second: await connected(t, at) }
  })
})
