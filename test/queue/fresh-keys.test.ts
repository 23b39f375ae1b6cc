import t from 'tap'
import { until } from '../fakes/fleet-processes.ts'
import { alone, freshScenario, isWhole, queueFleet, repeatedSteps, signalAll } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

const skip = noRedis()

t.test('who was issued a certificate when the worker died goes on with its key, and gets no second one', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, freshScenario)])
  const { run, submitted, results } = fleet.submit(freshScenario, '--shard-devices', '8')
  await submitted()
  const doomed = fleet.worker()
  // Its device has yet to report: it is under way.
  await until('a certificate', () => fleet.lab.issued().size > 0, doomed.stderr)
  signalAll(doomed, 'SIGKILL')
  fleet.worker()
  const merged = await results()
  isWhole(t, merged, expected, fleet)
  t.match(merged.queue, { shards: 1, attempts: 2, takeovers: [{ shard: 0 }] }, run.stderr())
  t.ok(repeatedSteps(merged) > 0)
})
