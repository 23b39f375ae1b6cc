import { once } from 'node:events'
import type { Clock } from '@certfleet/agent-core'
import { systemClock } from '@certfleet/agent-core/system'
import t from 'tap'
import type { ShardLease, ShardQueue } from '#emulator/fleet/queue/shard-queue.ts'
import { connected, leaseMs, lossyWay, withClient } from './redis-runs.ts'
import { noRedis, type RedisServer, redisServer } from './redis-server.ts'
import { keptDevice, recordOf, runOf, worker } from './runs.ts'

const skip = noRedis()
const never = new AbortController().signal
const taken = (queue: ShardQueue, name = 'a'): Promise<ShardLease> => queue.take(worker(name), never)
const lost = { name: 'LeaseLost' }
const gone = { name: 'AgentError', code: 'ERR_NETWORK' }

/** A clock that can stand still for its process. */
function freezingClock() {
  let thawed: Promise<void> | undefined
  let thaw = () => {}
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      await systemClock.sleep(ms, signal)
      await thawed
    },
  }
  const freeze = () => {
    thawed = new Promise((resolve) => {
      thaw = resolve
    })
  }
  return { clock, freeze, thaw: () => thaw() }
}

t.test('a holder that freezes loses its shard, and is refused when it thaws', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const { clock, freeze, thaw } = freezingClock()
  const [frozen, other] = [await connected(t, server, { clock }), await connected(t, server)]
  await other.submit(runOf('r'))
  const old = await taken(frozen, 'a')
  await old.save({ record: recordOf(1), devices: new Map([[1, keptDevice(1)]]) })
  freeze()
  const next = await taken(other, 'b')
  t.match(
    { shard: next.shard, epoch: next.epoch, records: next.records, devices: [...next.devices.keys()] },
    { shard: 0, epoch: 2, records: [recordOf(1)], devices: [1] },
  )
  t.notOk(old.lost.aborted, 'it does not know yet')
  await t.rejects(old.save({ record: recordOf(2), devices: new Map([[1, undefined]]) }), lost, 'refused before it heard of it')
  t.match(old.lost.reason, lost)
  thaw()
  for (const ending of ['complete', 'park', 'release'] as const) await t.rejects(old[ending](), lost, ending)
  await next.save({ record: recordOf(3, 2) })
  await next.complete()
  t.same(await other.records('r', [0]), [[recordOf(1), recordOf(3, 2)]])
  t.match(await other.status('r'), { shards: [{ state: 'through', epoch: 2, worker: 'b' }] })
  await (await other.takeMerge('r', never)).complete()
})

t.test('a holder that freezes and thaws hears that its shard is lost', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const { clock, freeze, thaw } = freezingClock()
  const [frozen, other] = [await connected(t, server, { clock }), await connected(t, server)]
  await other.submit(runOf('r'))
  const old = await taken(frozen, 'a')
  freeze()
  await taken(other, 'b')
  thaw()
  if (!old.lost.aborted) await once(old.lost, 'abort')
  t.match(old.lost.reason, lost)
})

t.test('a holder that is heard of keeps its shard beyond its lease, and one to which nobody came has it again', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const { clock, freeze, thaw } = freezingClock()
  const queue = await connected(t, server, { clock })
  await queue.submit(runOf('r'))
  const lease = await taken(queue)
  await systemClock.sleep(2.5 * leaseMs)
  t.match(await queue.status('r'), { shards: [{ state: 'active', epoch: 1 }] })
  freeze()
  await withClient(server, (client) => client.del('certfleet:queue:shards:r-0:lock'))
  t.match(await queue.status('r'), { shards: [{ state: 'waiting', epoch: 1 }] }, 'it was not heard of')
  thaw()
  await until(async () => (await queue.status('r'))?.shards[0]?.state === 'active')
  await lease.save({ record: recordOf(1) })
  await lease.complete()
  await (await queue.takeMerge('r', never)).complete()
})

t.test('a shard outlasts any number of crashes', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const first = await connected(t, server)
  await first.submit(runOf('r'))
  for (let crash = 1; crash <= 4; crash++) {
    const queue = await connected(t, server)
    const lease = await taken(queue, `worker ${crash}`)
    t.equal(lease.epoch, crash)
    t.equal(lease.records.length, crash - 1)
    await lease.save({ record: recordOf(crash, crash) })
    await queue.close()
    await t.rejects(lease.save({ record: recordOf(9) }), gone)
  }
  const last = await taken(first)
  t.equal(last.epoch, 5)
  await last.complete()
  await (await first.takeMerge('r', never)).complete()
})

t.test('a Redis that crashes and comes back within the patience is waited for, and nothing is lost or twice', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const told: string[] = []
  const queue = await connected(t, server, { leaseMs: 30_000, onWarning: (message) => void told.push(message) })
  await queue.submit(runOf('r', 2))
  const lease = await taken(queue)
  await lease.save({ record: recordOf(0) })
  await server.kill()
  const saves = [1, 2, 3].map((index) => lease.save({ record: recordOf(index), devices: new Map([[index, keptDevice(index)]]) }))
  const waiting = taken(queue, 'b')
  await systemClock.sleep(300)
  await server.start()
  await Promise.all(saves)
  const shown = `the Redis at redis://127.0.0.1:${server.port} is`
  t.same(told, [`${shown} gone; it is waited for, 60 s at most`, `${shown} back`])
  await lease.save({ record: recordOf(4), devices: new Map([[2, undefined]]) })
  t.same(await queue.records('r', [0, 0]), [[0, 1, 2, 3, 4].map((index) => recordOf(index)), []])
  t.equal((await waiting).shard, 1)
  t.notOk(lease.lost.aborted)
  await lease.release()
  t.same([...(await taken(queue)).devices.keys()].sort(), [1, 3])
})

t.test('a Redis that is gone for longer is given up', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server, { patienceMs: 400 })
  await queue.submit(runOf('r', 1))
  const lease = await taken(queue)
  const message =
    /^the Redis at redis:\/\/127\.0\.0\.1:\d+ is gone for 0\.4 s; start it, and then the workers: the run goes on from where it stood$/
  await server.kill()
  const all = [lease.save({ record: recordOf(1) }), lease.begin(never), queue.status('r'), taken(queue, 'b'), queue.takeMerge('r', never)]
  for (const work of await Promise.allSettled(all)) t.match(work, { reason: { ...gone, message } })
  t.match(lease.lost.reason, { ...gone, message })
  await t.rejects(lease.complete(), { ...gone, message })
  await t.rejects(queue.runs(), { ...gone, message })
  await queue.close()
  await server.start()
  const next = await connected(t, server)
  t.equal((await taken(next)).epoch, 2, 'the run goes on')
})

t.test('a Redis that does not answer is given up, too', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server, { patienceMs: 400 })
  await queue.submit(runOf('r', 1))
  const lease = await taken(queue)
  process.kill(server.pid(), 'SIGSTOP')
  await t.rejects(lease.save({ record: recordOf(1) }), gone)
  process.kill(server.pid(), 'SIGCONT')
})

t.test('without any patience a Redis that is there is used, and one that is gone is given up', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server, { patienceMs: 0 })
  await queue.submit(runOf('r', 1))
  t.match(await queue.status('r'), { shards: [{ state: 'waiting' }] })
  await server.kill()
  await t.rejects(queue.status('r'), gone)
})

t.test('a save whose answer is lost is recorded once', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const way = await lossyWay(t, server)
  const [queue, other] = [await connected(t, way), await connected(t, server)]
  await queue.submit(runOf('r'))
  const lease = await taken(queue)
  for (let index = 0; index < 3; index++) {
    way.loseAnswerTo('certfleet:run:r:records')
    await Promise.all([lease.save({ record: recordOf(index) }), lease.save({ record: recordOf(10 + index) })])
  }
  t.equal(way.lost, 3)
  t.same(await other.records('r', [0]), [[0, 10, 1, 11, 2, 12].map((index) => recordOf(index))])
  t.notOk(lease.lost.aborted)
})

const steps: readonly [name: string, text: string, step: (lease: ShardLease) => Promise<unknown>, state: string][] = [
  ['completed', 'through', (lease) => lease.complete(), 'through'],
  ['completed, in BullMQ', 'certfleet:queue:shards:completed', (lease) => lease.complete(), 'through'],
  ['parked, in BullMQ', 'certfleet:queue:shards:delayed', (lease) => lease.park(), 'parked'],
  ['parked', 'parked', (lease) => lease.park(), 'parked'],
  ['released', 'waiting', (lease) => lease.release(), 'waiting'],
]
for (const [name, text, step, state] of steps) {
  t.test(`what is said twice as its answer was lost is the same as once: ${name}`, { skip }, async (t) => {
    const server = await redisServer(t, t.testdir())
    const way = await lossyWay(t, server)
    const [queue, other] = [await connected(t, way), await connected(t, server)]
    await queue.submit(runOf('r'))
    const lease = await taken(queue)
    way.loseAnswerTo(text)
    await step(lease)
    t.equal(way.lost, 1)
    t.match(await other.status('r'), { shards: [{ state, epoch: 1 }] })
    if (state === 'parked') await other.resume('r')
    if (state !== 'through') await (await taken(other)).complete()
    await (await other.takeMerge('r', never)).complete()
  })
}

t.test('what is parked for a stop that is over waits at once, though the answer is lost', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const way = await lossyWay(t, server)
  const [queue, other] = [await connected(t, way, { leaseMs: 60_000 }), await connected(t, server)]
  await queue.submit(runOf('r'))
  const lease = await taken(queue)
  await other.stop('r')
  if (!lease.stop.aborted) await once(lease.stop, 'abort')
  await other.resume('r')
  way.loseAnswerTo('parked')
  await lease.park()
  t.equal(way.lost, 1)
  t.equal((await taken(other)).epoch, 2)
})

t.test('a resume whose answer is lost, or that broke off, leaves no shard behind', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const way = await lossyWay(t, server)
  const queue = await connected(t, way)
  await queue.submit(runOf('r'))
  await queue.resume('r')
  await (await taken(queue)).park()
  way.loseAnswerTo('certfleet:run:r:shard:0')
  await queue.resume('r')
  t.equal(way.lost, 1)
  const lease = await taken(queue)
  t.equal(lease.epoch, 2)
  await lease.park()
  // As of a process that was killed before it had told BullMQ.
  await withClient(server, (client) => client.hset('certfleet:run:r:shard:0', 'state', 'waiting'))
  await queue.resume('r')
  t.equal((await taken(queue)).epoch, 3)
})

t.test('what Redis lost is not counted by who had it', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server)
  await queue.submit(runOf('r'))
  const lease = await taken(queue)
  for (const index of [1, 2]) await lease.save({ record: recordOf(index) })
  const [early, late, fresh] = [await connected(t, server), await connected(t, server), await connected(t, server)]
  for (const follower of [early, late]) t.same(await follower.records('r', [0]), [[recordOf(1), recordOf(2)]])
  // As after a power cut between two syncs of its file.
  await withClient(server, (client) =>
    client.multi().hset('certfleet:run:r:shard:0', 'saved', '1').rpop('certfleet:run:r:records:0').exec(),
  )
  await t.rejects(lease.save({ record: recordOf(3) }), lost)
  t.match(lease.lost.reason, lost)
  const next = await taken(queue)
  t.same(next.records, [recordOf(1)])
  const isLost = { code: 'ERR_STATE_INVALID', message: /^the queue has lost some of what it had recorded/ }
  await t.rejects(early.records('r', [2]), isLost)
  await next.save({ record: recordOf(4) })
  await t.rejects(late.records('r', [2]), isLost, 'there are as many again, and others')
  t.same(await fresh.records('r', [0]), [[recordOf(1), recordOf(4)]])
})

t.test('a shard whose taking is said twice is taken once', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const way = await lossyWay(t, server)
  const queue = await connected(t, way)
  await queue.submit(runOf('r'))
  way.loseAnswerTo('certfleet:run:r:workers')
  t.equal((await taken(queue)).epoch, 1)
  t.equal(way.lost, 1)
})

t.test('a submission whose answer is lost is submitted once', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const way = await lossyWay(t, server)
  const queue = await connected(t, way)
  const texts = { r: 'certfleet:run:r:orders', s: 'certfleet:queue:merge-s', t: 'submitted' }
  for (const [run, text] of Object.entries(texts)) {
    way.loseAnswerTo(text)
    await queue.submit(runOf(run, 2))
  }
  t.equal(way.lost, 3)
  const leases = await Promise.all([0, 1, 2, 3, 4, 5].map(() => taken(queue)))
  t.same(leases.map(({ manifest, shard, epoch }) => [manifest.id, shard, epoch].join()).sort(), [
    'r,0,1',
    'r,1,1',
    's,0,1',
    's,1,1',
    't,0,1',
    't,1,1',
  ])
  for (const lease of leases) await lease.complete()
  for (const run of Object.keys(texts)) await (await queue.takeMerge(run, never)).complete()
})

t.test('a submission that broke off is made whole by the next', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server)
  await queue.submit(runOf('r', 2))
  await (await taken(queue)).complete()
  await withClient(server, (client) => client.hdel('certfleet:run:r', 'submitted'))
  await queue.submit(runOf('r', 2))
  t.match(await queue.status('r'), { shards: [{ state: 'through' }, { state: 'waiting' }] })
  await (await taken(queue)).complete()
  await (await queue.takeMerge('r', never)).complete()
})

t.test('a run that is forgotten leaves nothing', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server)
  await queue.submit(runOf('r', 3))
  const [first, second] = [await taken(queue), await taken(queue)]
  await first.save({ record: recordOf(1), devices: new Map([[0, keptDevice(1)]]) })
  await first.complete()
  await second.park()
  await queue.forget('r')
  t.same(await keysOfRuns(server), [])
  await queue.submit(runOf('s'))
  const third = await taken(queue)
  await third.save({ record: recordOf(1) })
  await third.complete()
  await (await queue.takeMerge('s', never)).complete()
  t.same(await keysOfRuns(server), [], 'nor one that is added up')
})

async function keysOfRuns(server: RedisServer): Promise<readonly string[]> {
  const keys = await withClient(server, (client) => client.keys('*'))
  return keys.filter((key) => !/^certfleet:queue:shards:(events|meta|id|stalled-check|marker)$/.test(key))
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await systemClock.sleep(20)
}
