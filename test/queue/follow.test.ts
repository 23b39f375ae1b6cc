import { AgentError } from '@certfleet/agent-core'
import t from 'tap'
import { endRun } from '#emulator/commands/run-follow.ts'
import type { SourcePorts } from '#emulator/fleet/load-run.ts'
import type { DeviceOutcome } from '#emulator/fleet/outcome.ts'
import { followRun } from '#emulator/fleet/queue/follow.ts'
import { memoryQueue } from '#emulator/fleet/queue/memory-queue.ts'
import { LeaseLost, type ShardLease, type ShardQueue, type ShardRecord, type WorkerFacts } from '#emulator/fleet/queue/shard-queue.ts'
import type { ShardNews } from '#emulator/fleet/shard.ts'
import { FakeClock } from '../fakes/clock.ts'
import { runOf, worker } from './runs.ts'

const never = new AbortController().signal

const taken = (by: string, atMs: number, isTakeover = false, devicesDelayed = 0): ShardNews => ({
  kind: 'taken',
  atMs,
  worker: by,
  epoch: 1,
  isTakeover,
  devicesDelayed,
})

const device = (index: number, isDelayed = false): ShardNews => ({
  kind: 'devices',
  devices: [{ index, outcome: { deviceId: `d${index}` } as DeviceOutcome, ...(isDelayed && { isDelayed }) }],
})

const record = (by: string, epoch: number, ...news: ShardNews[]): { record: ShardRecord } => ({
  record: { worker: by, epoch, news, underWay: {} },
})

/** A run of two shards, and what following it told. */
async function followed(signal = never, around: (queue: ShardQueue) => ShardQueue = (queue) => queue) {
  const clock = new FakeClock(1_000_000)
  const queue = memoryQueue({ clock })
  const run = runOf('r-aaaaaaaaaa', 2)
  await queue.submit(run)
  const told: [string, string][] = []
  const warnings: string[] = []
  const begun: number[] = []
  const ports: SourcePorts = {
    clock,
    signal,
    onNews: (news, by) => void told.push([news.kind, by]),
    onBegun: (at) => void begun.push(at),
    onWarning: (message) => void warnings.push(message),
  }
  const follower = followRun({ queue: around(queue), manifest: run.manifest, ownMachine: { host: 'lab', cores: 3 } })
  let isOver = false
  const end = follower.follow(ports).finally(() => {
    isOver = true
  })
  end.catch(() => {})
  const advance = async () => {
    for (let i = 0; i < 400 && !isOver; i++) await clock.advance(500)
    return end
  }
  return { clock, queue, id: run.manifest.id, follower, told, warnings, begun, advance, end }
}

async function take(queue: ShardQueue, by: string, facts: Partial<WorkerFacts> = {}): Promise<ShardLease> {
  const lease = await queue.take({ ...worker(by), ...facts }, never)
  await lease.begin(never)
  return lease
}

t.test('everything that workers record is told once, and the run ends with the right to add it up', async (t) => {
  const { clock, queue, id, follower, told, warnings, begun, advance } = await followed()
  await clock.advance(500)
  t.strictSame(follower.remarks(), ['no worker yet: start "certfleet worker" on each machine'])
  const a = await take(queue, 'a')
  const b = await take(queue, 'b', { host: 'there', cores: 8 })
  await a.save(record('a', 1, taken('a', 0), device(0)))
  await clock.advance(1_000)
  t.strictSame(follower.remarks(), [])
  await a.save(record('a', 1, device(1, true), { kind: 'repeated', steps: { register: 2 } }))
  await b.save(record('b', 1, taken('b', 0), device(2), device(3), { kind: 'repeated', steps: { register: 1, policy: 1 } }))
  await a.complete()
  await b.complete()
  const { queue: result, ...end } = await advance()
  t.strictSame(begun, [1_000_500])
  t.strictSame(
    told.filter(([kind]) => kind === 'devices'),
    [
      ['devices', 'a'],
      ['devices', 'a'],
      ['devices', 'b'],
      ['devices', 'b'],
    ],
  )
  t.strictSame(result, {
    id,
    shards: 2,
    attempts: 2,
    takeovers: [],
    resumes: 0,
    devicesDelayed: 1,
    repeated: { register: 3, policy: 1 },
    workers: [
      { name: 'a', host: 'here', node: 'v20.19.0', shards: 1 },
      { name: 'b', host: 'there', node: 'v20.19.0', shards: 1 },
    ],
  })
  t.match(end, { interrupted: false, cores: 2 + 8 + 3, pausedMs: 0, lost: [], begunAgain: [] })
  t.ok(follower.merge())
  t.strictSame([warnings, follower.why()], [[], undefined])
})

t.test('shards that nobody has are told of, and not that one comes between two others', async (t) => {
  const { clock, queue, follower, advance } = await followed()
  const a = await take(queue, 'a')
  await clock.advance(1_000)
  t.strictSame(follower.remarks(), [])
  await a.release()
  await clock.advance(2_000)
  t.strictSame(follower.remarks(), [])
  await clock.advance(1_000)
  t.strictSame(follower.remarks(), ['no worker any more: shards wait; start "certfleet worker" on each machine'])
  for (const by of ['b', 'c']) await (await take(queue, by)).complete()
  t.match(await advance(), { interrupted: false })
})

t.test('a takeover is told with who had the shard, and a resume is none', async (t) => {
  const { queue, warnings, advance } = await followed()
  const a = await take(queue, 'a')
  await a.save(record('a', 1, taken('a', 0)))
  await a.release()
  const b = await take(queue, 'b')
  await b.save(record('b', 2, taken('b', 2_000, true, 12)))
  await queue.stop('r-aaaaaaaaaa')
  await b.save(record('b', 2, { kind: 'parked', atMs: 3_000 }))
  await b.park()
  await queue.resume('r-aaaaaaaaaa')
  const c = await take(queue, 'c')
  await c.save(record('c', 3, taken('c', 60_000)))
  await c.complete()
  const d = await take(queue, 'd')
  await d.save(record('d', 1, taken('d', 60_500)))
  await d.complete()
  const { queue: result, pausedMs } = await advance()
  t.strictSame(warnings, ['shard 0 of worker a was taken over by b; 12 devices delayed'])
  t.match(result, { attempts: 4, resumes: 1, takeovers: [{ shard: 0, atMs: 2_000, worker: 'b', devicesDelayed: 12 }] })
  t.equal(pausedMs, 57_000)
})

t.test('the signal stops the run, which ends once nobody has a shard', async (t) => {
  const interrupt = new AbortController()
  const { clock, queue, id, follower, told, advance } = await followed(interrupt.signal)
  const a = await take(queue, 'a')
  await clock.advance(500)
  interrupt.abort(new Error('interrupted'))
  await clock.advance(1_000)
  t.ok(a.stop.aborted)
  t.strictSame(follower.remarks(), ['the run is stopped: its workers bring their shards to a checkpoint'])
  await a.save(record('a', 1, taken('a', 0), { kind: 'parked', atMs: 900 }))
  await a.park()
  t.match(await advance(), { interrupted: true })
  t.strictSame([follower.why(), follower.merge()], [{ kind: 'stopped' }, undefined])
  t.strictSame(told, [
    ['taken', 'a'],
    ['parked', 'a'],
  ])
  t.match(await queue.status(id), { isStopped: true })
})

t.test('what is recorded while records are read is read too', async (t) => {
  let last: (() => Promise<void>) | undefined
  const { clock, queue, told, advance } = await followed(never, (queue) => ({
    ...queue,
    async records(id, after) {
      const found = await queue.records(id, after)
      await last?.()
      last = undefined
      return found
    },
  }))
  const [a, b] = [await take(queue, 'a'), await take(queue, 'b')]
  await clock.advance(500)
  await a.complete()
  last = async () => {
    await b.save(record('b', 1, device(3)))
    await b.complete()
  }
  t.match(await advance(), { interrupted: false })
  t.strictSame(told, [['devices', 'b']])
})

t.test('a run whose last shards come through while it is stopped is at its end', async (t) => {
  const { queue, id, follower, advance } = await followed()
  const [a, b] = [await take(queue, 'a'), await take(queue, 'b')]
  await queue.stop(id)
  await a.complete()
  await b.complete()
  t.match(await advance(), { interrupted: false })
  t.strictSame([follower.why(), follower.merge() === undefined], [undefined, false])
})

t.test('a shard whose worker is gone for good does not hold up a stop for ever', async (t) => {
  const interrupt = new AbortController()
  const { clock, queue, follower, advance } = await followed(interrupt.signal)
  await take(queue, 'a')
  interrupt.abort(new Error('interrupted'))
  t.match(await advance(), { interrupted: true })
  t.strictSame(follower.why(), { kind: 'stopped' })
  t.equal(clock.now(), 1_000_000 + 120_000)
})

t.test('a queue that is gone ends the following with what was read', async (t) => {
  let isGone = false
  const around = (queue: ShardQueue): ShardQueue => ({
    ...queue,
    status: async (id) => {
      if (isGone) throw new AgentError('ERR_NETWORK', 'the Redis is gone')
      return queue.status(id)
    },
  })
  const { clock, queue, follower, told, advance } = await followed(never, around)
  const a = await take(queue, 'a')
  await a.save(record('a', 1, device(0)))
  await clock.advance(1_000)
  isGone = true
  t.match(await advance(), { interrupted: true, queue: { workers: [{ name: 'a' }] } })
  t.strictSame(follower.why(), { kind: 'lost', message: 'the Redis is gone' })
  t.strictSame(told, [['devices', 'a']])
})

t.test('a run that somebody removes is over', async (t) => {
  const { clock, queue, id, follower, advance } = await followed()
  await clock.advance(500)
  await queue.forget(id)
  t.match(await advance(), { interrupted: true })
  t.strictSame(follower.why(), { kind: 'forgotten' })
})

t.test('a run that somebody removes is told so by whichever question comes first', async (t) => {
  const around = (queue: ShardQueue): ShardQueue => ({
    ...queue,
    async takeMerge(id, signal) {
      if (await queue.status(id)) await gone
      if (signal.aborted) throw signal.reason
      throw new AgentError('ERR_STATE_INVALID', `the queue has no run "${id}"`)
    },
  })
  let remove = () => {}
  const gone = new Promise<void>((resolve) => {
    remove = resolve
  })
  const { clock, queue, id, follower, advance } = await followed(never, around)
  await clock.advance(750)
  await queue.forget(id)
  remove()
  t.match(await advance(), { interrupted: true })
  t.strictSame(follower.why(), { kind: 'forgotten' })
})

t.test("a run that was not read to its end is nobody's to add up, though every shard is through", async (t) => {
  let isTornApart = false
  const around = (queue: ShardQueue): ShardQueue => ({
    ...queue,
    async records(id, after) {
      if (isTornApart) throw new AgentError('ERR_STATE_INVALID', 'the queue was changed')
      return queue.records(id, after)
    },
  })
  const { clock, queue, follower, advance } = await followed(never, around)
  const [a, b] = [await take(queue, 'a'), await take(queue, 'b')]
  await clock.advance(500)
  isTornApart = true
  await a.complete()
  await b.complete()
  t.match(await advance(), { interrupted: true })
  t.strictSame([follower.why(), follower.merge()], [{ kind: 'lost', message: 'the queue was changed' }, undefined])
})

t.test('a bug in the queue is not taken for its end', async (t) => {
  const { advance } = await followed(never, (queue) => ({ ...queue, records: () => Promise.reject(new TypeError('a bug')) }))
  await t.rejects(advance(), { message: 'a bug' })
})

t.test('whoever added a run up tells only of one that is still there', async (t) => {
  const lost = { complete: () => Promise.reject(new LeaseLost()) }
  const gone = (queue: ShardQueue) => ({ ...queue, status: () => Promise.reject(new AgentError('ERR_NETWORK', 'the Redis is gone')) })
  const rows: readonly [string, (queue: ShardQueue) => ShardQueue, { complete(): Promise<void> }, boolean, RegExp][] = [
    ['added up', (queue) => queue, { complete: async () => {} }, true, /^$/],
    [
      'by somebody else',
      (queue) => queue,
      lost,
      true,
      /^warning: run r-aaaaaaaaaa is still in the queue \(the lease of the shard is lost\); "cert/,
    ],
    ['and removed', (queue) => queue, lost, false, /^$/],
    ['and Redis is gone', gone, lost, true, /^warning: run r-aaaaaaaaaa is still in the queue/],
  ]
  for (const [name, around, merge, isThere, expected] of rows) {
    const queue = around(memoryQueue({ clock: new FakeClock() }))
    const { manifest, ...run } = runOf('r-aaaaaaaaaa')
    if (isThere) await queue.submit({ manifest, ...run })
    let told = ''
    const err = (text: string) => {
      told += text
    }
    await endRun({ merge: () => merge }, { queue, manifest }, { err })
    t.match(told, expected, name)
  }
})
