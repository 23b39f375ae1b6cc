import { once } from 'node:events'
import type { Test } from 'tap'
import type { KeptDevice } from '#emulator/fleet/queue/keeping.ts'
import type { RunManifest, ShardLease, ShardQueue } from '#emulator/fleet/queue/shard-queue.ts'
import { keptDevice, recordOf, runOf, worker } from './runs.ts'

export interface OpenedQueue {
  /** Empty. */
  readonly queue: ShardQueue
  /** Another connection to the same. */
  readonly second: ShardQueue
}

const lost = { name: 'LeaseLost' }
const reason = new Error('the test does not wait any longer')

/** What every `ShardQueue` promises (fleet/queue/shard-queue.ts); `open` is called once for each row, and closes what it opened. */
export async function shardQueueContract(t: Test, open: (t: Test) => Promise<OpenedQueue>): Promise<void> {
  for (const [name, row] of Object.entries({ ...submitting, ...leasing, ...saving, ...stopping, ...beginning, ...merging }))
    await t.test(name, async (t) => row(t, await open(t)))
}

type Rows = Readonly<Record<string, (t: Test, opened: OpenedQueue) => Promise<void>>>

const submitting: Rows = {
  'a run is submitted once, a second time changes nothing': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    await taken(queue).then((lease) => lease.complete())
    const before = await queue.status('r')
    await second.submit(runOf('r', 3))
    t.strictSame(await queue.status('r'), before)
    t.same(await second.runs(), ['r'])
  },
  'what is not known': async (t, { queue }) => {
    t.equal(await queue.status('r'), undefined)
    t.same(await queue.runs(), [])
    t.same(await queue.records('r', []), [])
  },
  'the status of a run that waits': async (t, { queue, second }) => {
    const run = runOf('r', 2)
    await queue.submit(run)
    const waiting = { state: 'waiting', epoch: 0 }
    t.match(await second.status('r'), { manifest: run.manifest, isStopped: false, shards: [waiting, waiting] })
    t.equal((await second.status('r'))?.startedAt, undefined)
    t.same((await second.status('r'))?.workers, [])
  },
  'orders come back as they were: maps, bytes, infinity, nothing': async (t, { queue, second }) => {
    const { shared, shards, manifest } = runOf('r')
    await queue.submit(runOf('r'))
    const { orders, ...lease } = await taken(second)
    t.same(lease.manifest, manifest)
    t.same({ ...orders, keyFiles: undefined }, { ...shared, ...shards[0], keyFiles: undefined })
    t.equal(orders.devices[1]?.dueMs, Number.POSITIVE_INFINITY)
    t.equal(orders.devices[0] && 'dueMs' in orders.devices[0], false)
    t.ok(orders.keyFiles instanceof Map)
    t.equal(hex(orders.keyFiles?.get('primes')), '00ff0a0d')
  },
  'a run that is forgotten is gone, for its holders too': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    await queue.submit(runOf('other'))
    const lease = await taken(queue)
    await lease.save({ record: recordOf(1), devices: new Map([[1, keptDevice(1)]]) })
    await second.forget('r')
    t.equal(await queue.status('r'), undefined)
    t.same(await queue.runs(), ['other'])
    t.same(await queue.records('r', [0, 0]), [])
    await t.rejects(lease.save({ record: recordOf(2) }), lost)
    t.equal((await taken(queue)).manifest.id, 'other')
  },
  'a run that was forgotten may be submitted again': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const before = await taken(queue)
    await before.save({ record: recordOf(1) })
    await queue.forget('r')
    await second.submit(runOf('r'))
    const lease = await taken(second)
    t.equal(lease.epoch, 1)
    t.same(lease.records, [])
  },
}

const leasing: Rows = {
  'shards are taken in order, run after run': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    await queue.submit(runOf('s'))
    const leases = [await taken(queue, 'a'), await taken(second, 'b'), await taken(second, 'b')]
    t.same(
      leases.map(({ manifest, shard, epoch }) => [manifest.id, shard, epoch]),
      [
        ['r', 0, 1],
        ['r', 1, 1],
        ['s', 0, 1],
      ],
    )
    const status = await queue.status('r')
    t.match(status?.shards, [
      { state: 'active', epoch: 1, worker: 'a' },
      { state: 'active', epoch: 1, worker: 'b' },
    ])
    t.same([...(status?.workers ?? [])].sort(byName), [worker('a'), worker('b')])
    t.same(await queue.runs(), ['r', 's'])
  },
  'who waits gets what is submitted, each something else': async (t, { queue, second }) => {
    const waiting = [taken(queue), taken(second), taken(queue)]
    await queue.submit(runOf('r', 3))
    const shards = (await Promise.all(waiting)).map(({ shard }) => shard)
    t.same(shards.sort(), [0, 1, 2])
  },
  'who does not wait any longer takes nothing': async (t, { queue, second }) => {
    const over = new AbortController()
    const waiting = queue.take(worker('a'), over.signal)
    over.abort(reason)
    await t.rejects(waiting, reason)
    await t.rejects(queue.take(worker('a'), over.signal), reason)
    await queue.submit(runOf('r'))
    t.match(await taken(second), { shard: 0, epoch: 1 })
  },
  'a shard whose run will not do for who takes it is as if nobody had come': async (t, { queue, second }) => {
    const refused = new Error('of another version')
    const check = ({ id }: RunManifest) => {
      if (id === 'r') throw refused
    }
    const waiting = queue.take(worker('a'), never(), check)
    await second.submit(runOf('r'))
    await t.rejects(waiting, refused)
    t.match(await queue.status('r'), { shards: [{ state: 'waiting', epoch: 0 }], workers: [] })
    t.match(await taken(second), { manifest: { id: 'r' }, epoch: 1 })
    await second.submit(runOf('s'))
    t.match(await queue.take(worker('a'), never(), check), { manifest: { id: 's' }, epoch: 1 })
  },
  'a shard that is released is taken at once, with all that is known of it': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const first = await taken(queue, 'a')
    await first.save({ record: recordOf(1), devices: new Map([[1, keptDevice(7)]]) })
    const waiting = taken(second, 'b')
    await first.release()
    const next = await waiting
    t.match({ shard: next.shard, epoch: next.epoch }, { shard: 0, epoch: 2 })
    t.same(next.records, [recordOf(1)])
    t.same(shown(next.devices), { 1: shownDevice(keptDevice(7)) })
    t.match((await queue.status('r'))?.shards, [{ state: 'active', epoch: 2, worker: 'b' }])
  },
  'the epoch grows with each holder': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const epochs: number[] = []
    for (const connection of [queue, second, queue]) {
      const lease = await taken(connection)
      epochs.push(lease.epoch)
      await lease.release()
    }
    t.same(epochs, [1, 2, 3])
  },
  ...Object.fromEntries(
    (['release', 'park', 'complete'] as const).map((ending) => [
      `after ${ending} nothing is left to its holder`,
      async (t: Test, { queue }: OpenedQueue) => {
        await queue.submit(runOf('r'))
        const lease = await taken(queue)
        await lease[ending]()
        const before = await queue.status('r')
        await t.rejects(lease.save({ record: recordOf(1), devices: new Map([[0, keptDevice(1)]]) }), lost)
        await t.rejects(lease.release(), lost)
        t.strictSame(await queue.status('r'), before)
        t.same(await queue.records('r', [0]), [[]])
      },
    ]),
  ),
  'whoever has an older epoch changes nothing': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const old = await taken(queue, 'a')
    await old.release()
    const next = await taken(second, 'b')
    await next.save({ record: recordOf(1, 2), devices: new Map([[1, keptDevice(1)]]) })
    const before = await queue.status('r')
    const devices = new Map([
      [0, keptDevice(9)],
      [1, undefined],
    ])
    await t.rejects(old.save({ record: recordOf(9), devices }), lost)
    for (const ending of ['complete', 'park', 'release'] as const) await t.rejects(old[ending](), lost, ending)
    t.strictSame(await queue.status('r'), before)
    t.same(await queue.records('r', [0]), [[recordOf(1, 2)]])
    await next.release()
    t.same(shown((await taken(queue)).devices), { 1: shownDevice(keptDevice(1)) })
  },
}

const saving: Rows = {
  'devices are kept until they have ended, and the last that was kept counts': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const lease = await taken(queue)
    const keep = (devices: readonly (readonly [number, KeptDevice | undefined])[]) => lease.save({ devices: new Map(devices) })
    await keep([
      [0, keptDevice(1)],
      [1, keptDevice(2)],
    ])
    await keep([[1, { ...keptDevice(3), isThrough: true }]])
    await lease.save({ record: recordOf(0), devices: new Map([[0, undefined]]) })
    await lease.release()
    const next = await taken(second)
    t.same(shown(next.devices), { 1: shownDevice({ ...keptDevice(3), isThrough: true }) })
    t.same(next.records, [recordOf(0)])
  },
  'what is changed after it was saved is not saved': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const lease = await taken(queue)
    const bytes = Uint8Array.of(1)
    const records = new Map([['key', bytes]])
    await lease.save({ devices: new Map([[0, { ...keptDevice(1), records }]]) })
    bytes[0] = 2
    records.set('more', bytes)
    await lease.release()
    t.same(shown((await taken(second)).devices), { 0: shownDevice({ ...keptDevice(1), records: new Map([['key', Uint8Array.of(1)]]) }) })
  },
  'records are read from where one is, shard by shard': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    const [first, other] = [await taken(queue), await taken(queue)]
    for (const index of [1, 2, 3]) await first.save({ record: recordOf(index) })
    await other.save({ record: recordOf(4) })
    t.same(await second.records('r', [0, 0]), [[recordOf(1), recordOf(2), recordOf(3)], [recordOf(4)]])
    t.same(await second.records('r', [2, 1]), [[recordOf(3)], []])
    await first.save({ record: recordOf(5) })
    t.same(await second.records('r', [3, 1]), [[recordOf(5)], []])
  },
  'records that were read and are not there': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    const lease = await taken(queue)
    await lease.save({ record: recordOf(1) })
    t.same(await second.records('r', [1, 0]), [[], []])
    await t.rejects(second.records('r', [2, 0]), {
      code: 'ERR_STATE_INVALID',
      message: /^the queue has lost some of what it had recorded of run "r"$/,
    })
  },
  'records outlast their shard': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const lease = await taken(queue)
    await lease.save({ record: recordOf(1) })
    await lease.complete()
    t.same(await second.records('r', [0]), [[recordOf(1)]])
    t.match((await second.status('r'))?.shards, [{ state: 'through', epoch: 1 }])
  },
}

const stopping: Rows = {
  'a shard that is parked is nobody’s until the run is resumed': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    await queue.submit(runOf('other'))
    const lease = await taken(queue)
    await lease.save({ record: recordOf(1), devices: new Map([[0, keptDevice(5)]]) })
    await lease.park()
    t.match((await second.status('r'))?.shards, [{ state: 'parked', epoch: 1 }])
    t.equal((await taken(second)).manifest.id, 'other')
    const waiting = taken(queue)
    await second.resume('r')
    const next = await waiting
    t.match({ id: next.manifest.id, epoch: next.epoch, records: next.records }, { id: 'r', epoch: 2, records: [recordOf(1)] })
    t.same(shown(next.devices), { 0: shownDevice(keptDevice(5)) })
  },
  'a stop is seen by holders, and nobody takes what waits': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    await queue.submit(runOf('other'))
    const lease = await taken(queue)
    t.notOk(lease.stop.aborted)
    await second.stop('r')
    await abortOf(lease.stop)
    t.equal((await queue.status('r'))?.isStopped, true)
    t.notOk(lease.lost.aborted)
    await lease.save({ record: recordOf(1) })
    await lease.park()
    t.equal((await taken(second)).manifest.id, 'other')
    await second.resume('r')
    const again = [await taken(queue), await taken(second)].sort((a, b) => a.shard - b.shard)
    t.same(
      again.map(({ manifest, shard, epoch, records, stop }) => [manifest.id, shard, epoch, records, stop.aborted]),
      [
        ['r', 0, 2, [recordOf(1)], false],
        ['r', 1, 1, [], false],
      ],
    )
    t.equal((await queue.status('r'))?.isStopped, false)
  },
  'what is released of a run that was stopped waits for it to be resumed': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    await queue.submit(runOf('other'))
    const lease = await taken(queue)
    await queue.stop('r')
    await lease.release()
    t.equal((await taken(second)).manifest.id, 'other')
    await queue.resume('r')
    t.match(await taken(second), { manifest: { id: 'r' }, epoch: 2 })
  },
  'what is parked for a stop after the run was resumed goes on': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    const lease = await taken(queue)
    await queue.stop('r')
    await abortOf(lease.stop)
    await second.resume('r')
    await lease.park()
    t.equal((await taken(second)).epoch, 2)
  },
}

const beginning: Rows = {
  'a run begins with the first, and has begun for the others': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    const startedAt = await (await taken(queue)).begin(never())
    const other = await (await taken(second)).begin(never())
    t.ok(isNear(other, startedAt))
    t.ok(isNear((await queue.status('r'))?.startedAt, startedAt))
  },
  'where shards begin together, they wait for each other': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2, { beginsTogether: true }))
    const lease = await taken(queue)
    const begun = lease.begin(never())
    t.equal((await second.status('r'))?.startedAt, undefined)
    const other = await (await taken(second)).begin(never())
    t.ok(isNear(await begun, other))
    await lease.release()
    t.ok(isNear(await (await taken(second)).begin(never()), other), 'who comes later comes to a run that has begun')
  },
  'the wait for the others can be given up': async (t, { queue }) => {
    await queue.submit(runOf('r', 2, { beginsTogether: true }))
    const over = new AbortController()
    const begun = (await taken(queue)).begin(over.signal)
    over.abort(reason)
    await t.rejects(begun, reason)
  },
}

const merging: Rows = {
  'a run is merged once all of it is through, by one at a time, and once: then it is gone': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    let merging = 0
    const waiting = [queue, second].map(async (connection) => {
      const merge = await connection.takeMerge('r', never())
      merging++
      return merge
    })
    const [first, other] = [await taken(queue), await taken(second)]
    await first.complete()
    await second.status('r')
    t.equal(merging, 0, 'one shard is not through')
    await other.complete()
    const merge = await Promise.race(waiting)
    await Promise.all([queue.status('r'), second.status('r')])
    t.equal(merging, 1)
    t.same(await second.records('r', [0, 0]), [[], []], 'it can be read until then')
    await merge.complete()
    const settled = await Promise.allSettled(waiting)
    t.same(settled.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    t.match(settled.map((ending) => ending.status === 'rejected' && ending.reason).find(Boolean), none)
    t.equal(await second.status('r'), undefined)
    t.same(await queue.runs(), [])
  },
  'who adds up a run that was forgotten leaves the one that was submitted since': async (t, { queue, second }) => {
    await queue.submit(runOf('r'))
    await (await taken(queue)).complete()
    const merge = await queue.takeMerge('r', never())
    await second.forget('r')
    await second.submit(runOf('r'))
    await t.rejects(merge.complete(), lost)
    t.match(await queue.status('r'), { shards: [{ state: 'waiting' }] })
  },
  'a run that there is not is not waited for': async (t, { queue, second }) => {
    await t.rejects(queue.takeMerge('r', never()), none)
    await queue.submit(runOf('r'))
    const waiting = queue.takeMerge('r', never())
    await second.status('r')
    await second.forget('r')
    await t.rejects(waiting, none)
  },
  'a run that was parked is not merged': async (t, { queue, second }) => {
    await queue.submit(runOf('r', 2))
    await (await taken(queue)).complete()
    await (await taken(queue)).park()
    const over = new AbortController()
    const waiting = second.takeMerge('r', over.signal)
    await second.status('r')
    over.abort(reason)
    await t.rejects(waiting, reason)
    await queue.resume('r')
    await (await taken(queue)).complete()
    await (await second.takeMerge('r', never())).complete()
  },
}

const none = { code: 'ERR_STATE_INVALID', message: 'the queue has no run "r"' }
const never = (): AbortSignal => new AbortController().signal
const taken = (queue: ShardQueue, name = 'a'): Promise<ShardLease> => queue.take(worker(name), never())

async function abortOf(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Machines agree on the time as far as they can tell. */
const isNear = (a: number | undefined, b: number): boolean => a !== undefined && Math.abs(a - b) < 1000

const byName = (a: { readonly name: string }, b: { readonly name: string }) => a.name.localeCompare(b.name)
const hex = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex')
const shown = (devices: ReadonlyMap<number, KeptDevice>) =>
  Object.fromEntries([...devices].map(([index, device]) => [index, shownDevice(device)]))
const shownDevice = ({ records, ...device }: KeptDevice) => ({
  ...device,
  records: [...records].map(([name, bytes]) => [name, hex(bytes)]).sort(),
})
