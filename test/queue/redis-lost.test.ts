import { systemClock } from '@certfleet/agent-core'
import t from 'tap'
import { alone, isWhole, type QueueLab, queueFleet, scenario, signalAll } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

const skip = noRedis()

t.test('Redis is killed, and comes back', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, scenario)])
  const { submitted, through, results } = fleet.submit(scenario, '--shard-devices', '16')
  await submitted()
  fleet.worker()
  fleet.worker()
  await through(5)
  await fleet.redis.kill()
  await quiet(fleet.lab)
  await fleet.redis.start()
  const merged = await results()
  isWhole(t, merged, expected, fleet)
  t.equal(merged.queue.attempts, 4 + merged.queue.takeovers.length)
})

t.test('Redis is gone for longer than it is waited for, and so is who showed the run: it is resumed', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, scenario)])
  const { run, submitted, through } = fleet.submit(scenario, '--shard-devices', '16')
  const id = await submitted()
  const worker = fleet.worker('--patience', '1s')
  await through(5)
  await fleet.redis.kill()
  t.match(await worker.ended, { exitCode: 1 })
  t.match(worker.stderr(), /^certfleet: the Redis at redis:.* is gone for 1 s; start it, and then the workers/m)
  signalAll(run, 'SIGKILL')
  await run.ended
  await fleet.redis.start()
  const { results } = fleet.resume(id)
  fleet.worker()
  fleet.worker()
  const merged = await results()
  isWhole(t, merged, expected, fleet)
  t.match(merged.queue, { id, shards: 4, takeovers: [{ worker: String }] })
})

/** No device goes on without Redis: from then on all of them wait for it. */
async function quiet(lab: QueueLab): Promise<void> {
  for (let last = lab.seen(), at = systemClock.now(); systemClock.now() - at < quietMs; await systemClock.sleep(50)) {
    if (lab.seen() === last) continue
    last = lab.seen()
    at = systemClock.now()
  }
}

/** Longer than any request is held up. */
const quietMs = 1_000
