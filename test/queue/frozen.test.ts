import t from 'tap'
import { alone, isWhole, queueFleet, scenario, signalAll } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

const skip = noRedis()

t.test('a worker that froze for longer than its lease is refused, and goes on with other shards', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, scenario)])
  const { run, submitted, through, results } = fleet.submit(scenario, '--shard-devices', '16')
  await submitted()
  const frozen = fleet.worker()
  await through(3)
  signalAll(frozen, 'SIGSTOP')
  const other = fleet.worker()
  await run.seen(/taken over/)
  signalAll(frozen, 'SIGCONT')
  const merged = await results()
  isWhole(t, merged, expected, fleet)
  t.match(merged.queue, { shards: 4, attempts: 5, takeovers: [{ shard: 0 }] }, `${frozen.stderr()}\n${other.stderr()}`)
  const [taker] = merged.queue.takeovers
  const thawed = merged.queue.workers.find(({ name }) => name !== taker?.worker)
  t.ok(thawed && thawed.shards > 1, JSON.stringify(merged.queue.workers))
  t.match(frozen.stderr(), /lost|another/)
})
