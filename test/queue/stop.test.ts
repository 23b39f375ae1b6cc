import t from 'tap'
import { alone, isWhole, queueFleet, repeatedSteps, scenario, signalAll } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

const skip = noRedis()

t.test('a run that is stopped goes on with other processes, and nothing is done again', { skip }, async (t) => {
  const [fleet, expected] = await Promise.all([queueFleet(t), alone(t, scenario)])
  // One for each worker: neither is through with it by the time a command has started that stops it.
  const { run, submitted, through } = fleet.submit(scenario.replace('300ms', '500ms'), '--shard-devices', '32')
  const id = await submitted()
  const workers = [fleet.worker(), fleet.worker()]
  await through(5)
  t.match(await fleet.stop(id).ended, { exitCode: 0 })
  const first = await run.ended
  t.equal(first.exitCode, 130, run.stderr())
  for (const worker of workers) signalAll(worker, 'SIGTERM')
  for (const worker of workers) t.match(await worker.ended, { exitCode: 0 }, worker.stderr())
  const begun = fleet.lab.issued().size
  t.ok(begun >= 5 && begun < expected.outcomes.installed, `${begun} certificates until then`)

  const resumed = fleet.resume(id)
  fleet.worker()
  fleet.worker()
  const merged = await resumed.results()
  isWhole(t, merged, expected, fleet)
  t.match(merged.queue, { id, shards: 2, takeovers: [], devicesDelayed: 0 })
  t.ok(merged.queue.resumes > 0, 'shards were parked')
  t.equal(repeatedSteps(merged), 0, 'nothing was done again')
})
