import t from 'tap'
import { alone, isWhole, queueFleet, repeatedSteps, scenario, signalAll } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

const skip = noRedis()

t.test('two workers: one dies in the middle of a shard', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, scenario)])
  const { run, submitted, through, results } = fleet.submit(scenario, '--shard-devices', '16')
  await submitted()
  const doomed = fleet.worker()
  // It alone has begun: what is through is of its shard.
  await through(3)
  const other = fleet.worker()
  await other.seen(/shard/)
  await fleet.isAtDevice(doomed)
  signalAll(doomed, 'SIGKILL')
  const merged = await results()
  isWhole(t, merged, expected, fleet)
  t.match(merged.queue, { shards: 4, attempts: 5, takeovers: [{ devicesDelayed: Number }], resumes: 0 }, run.stderr())
  t.ok(merged.queue.devicesDelayed > 0 && merged.queue.devicesDelayed <= 13, `${merged.queue.devicesDelayed} delayed`)
  t.ok(repeatedSteps(merged) > 0, 'those that were under way made a step again')
  t.equal(merged.queue.workers.length, 2)
})
