import t from 'tap'
import { alone, isWhole, queueFleet, scenario, signalAll } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

const skip = noRedis()

t.test('a shard whose worker dies twice goes on a third time', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, scenario)])
  const { run, submitted, through, results } = fleet.submit(scenario, '--shard-devices', '64')
  await submitted()
  for (const devices of [5, 25]) {
    const doomed = fleet.worker()
    await through(devices)
    signalAll(doomed, 'SIGKILL')
  }
  fleet.worker()
  const merged = await results()
  isWhole(t, merged, expected, fleet)
  t.match(merged.queue, { shards: 1, attempts: 3, takeovers: [{ shard: 0 }, { shard: 0 }] }, run.stderr())
  t.equal(merged.queue.workers.length, 3)
})
