import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import t from 'tap'
import { memoryQueue } from '#emulator/fleet/queue/memory-queue.ts'
import { workOff } from '#emulator/fleet/queue/work.ts'
import { histogramShape } from '#emulator/measure/histogram.ts'
import { packageVersion } from '#emulator/package-version.ts'
import { exampleProfiles } from '../commands/example.ts'
import { FakeClock } from '../fakes/clock.ts'
import { endsAs, run } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'
import { shardQueueContract } from './contract.ts'
import { recordOf, runOf, worker } from './runs.ts'

const { signal: never } = new AbortController()
const leaseMs = 30_000

t.test('a queue in memory keeps what every queue promises', (t) =>
  shardQueueContract(t, async () => {
    const clock = new FakeClock(1_800_000_000_000)
    const queue = memoryQueue({ clock, leaseMs })
    return { queue, second: queue.connect(clock) }
  }),
)

/** A holder, and what its process makes of the time; that of the queue goes on. */
async function held() {
  const clock = new FakeClock()
  const holder = new FakeClock()
  const queue = memoryQueue({ clock, leaseMs })
  await queue.submit(runOf('r'))
  const lease = await queue.connect(holder).take(worker('a'), never)
  const pass = async (ms: number) => {
    await holder.advance(ms)
    await clock.advance(ms)
  }
  return { queue, clock, holder, lease, pass }
}

t.test('a holder that is heard of keeps its shard', async (t) => {
  const { queue, lease, pass } = await held()
  for (let tenths = 0; tenths < 50; tenths++) await pass(leaseMs / 10)
  t.match(await queue.status('r'), { shards: [{ state: 'active', epoch: 1 }] })
  t.notOk(lease.lost.aborted)
  await lease.complete()
})

t.test('a holder that is not heard of loses its shard to who waits, and finds itself fenced', async (t) => {
  const { queue, clock, lease, holder } = await held()
  const waiting = queue.take(worker('b'), never)
  await clock.advance(leaseMs - 1)
  t.notOk(lease.lost.aborted)
  await clock.advance(1)
  t.equal((await waiting).epoch, 2)
  t.match(lease.lost.reason, { name: 'LeaseLost' })
  await holder.advance(leaseMs)
  await t.rejects(lease.save({ record: recordOf(1) }), { name: 'LeaseLost' })
  t.match(await queue.status('r'), { shards: [{ state: 'active', epoch: 2, worker: 'b' }] })
})

t.test('nobody is waited for who gave a shard back', async (t) => {
  for (const ending of ['complete', 'park', 'release'] as const) {
    const { queue, lease, clock, holder } = await held()
    await lease[ending]()
    t.equal(clock.sleeping + holder.sleeping, 0, ending)
    await clock.advance(2 * leaseMs)
    t.match(await queue.status('r'), { shards: [{ epoch: 1 }] })
    t.notOk(lease.lost.aborted)
  }
})

t.test('who adds up and is not heard of leaves it to the next', async (t) => {
  const { queue, clock, holder, lease } = await held()
  await lease.complete()
  const late = await queue.connect(holder).takeMerge('r', never)
  const waiting = queue.takeMerge('r', never)
  await clock.advance(leaseMs)
  await t.rejects(late.complete(), { name: 'LeaseLost' })
  await (await waiting).complete()
})

t.test('by default nobody is waited for: what is held is held for good', async (t) => {
  const clock = new FakeClock()
  const queue = memoryQueue({ clock })
  await queue.submit(runOf('r'))
  await queue.take(worker('a'), never)
  t.equal(clock.sleeping, 0)
})

t.test('a worker that cannot place the keys of a run gives its shard back', async (t) => {
  const queue = memoryQueue({ clock: systemClock })
  const { shared, ...rest } = runOf('r', 1, { version: packageVersion(), histogram: histogramShape })
  // No file can have that name.
  await queue.submit({ ...rest, shared: { ...shared, keyFiles: new Map([['.', Uint8Array.of(1)]]) } })
  const working = { queue, worker: worker('a'), clock: systemClock, signal: new AbortController().signal, say: () => {} }
  await t.rejects(workOff(working), { code: 'EISDIR' })
  t.match(await queue.status('r'), { shards: [{ state: 'waiting' }] })
})

t.test('the example of a queue of your own', async (t) => {
  const ended = await run(process.execPath, [join(root, '.build/examples/own-queue.js'), exampleProfiles])
  endsAs(t, ended, { exitCode: 0, output: /took shard 1 of run r-/ })
  for (const device of ['ios-000001', 'ios-000002', 'android-000001', 'android-000002'])
    t.match(ended.output, `${device} has installed 1\n`)
  const page = readFileSync(join(root, 'docs/many-machines.md'), 'utf8')
  t.ok(page.includes(`\`\`\`ts\n${readFileSync(join(root, 'examples/own-queue.ts'), 'utf8')}\`\`\``), 'is the one on the page')
})
