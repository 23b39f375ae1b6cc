import { AgentError, systemClock } from '@certfleet/agent-core'
import { type CarryOptions, carryShard } from '@certfleet/emulator/fleet'
import t, { type Test } from 'tap'
import type { DeviceOutcome } from '#emulator/fleet/outcome.ts'
import { fencedPfx, fencedTransport } from '#emulator/fleet/queue/fence.ts'
import type { ShardLease, ShardRecord } from '#emulator/fleet/queue/shard-queue.ts'
import type { ShardNews, ShardOrders } from '#emulator/fleet/shard.ts'
import { FakeClock } from '../fakes/clock.ts'
import { noCost, nothingMeasured } from '../fakes/measured.ts'
import { type CarryFleet, carryFleet, countsOf, pfxFleet, repeatedIn, takings, watched } from './carry-fleet.ts'
import { type Place, place } from './carry-place.ts'

const never = new AbortController().signal

/** A run, as nothing disturbs it: what it counts, and its requests in their order. */
async function undisturbed(t: Test, fleet: CarryFleet, orders: ShardOrders) {
  const shard = place(orders)
  const moments: string[] = []
  const transport = watched(fleet.transport, (step, moment) => void moments.push(`${moment} ${step}`))
  t.equal(await carry(shard.lend(), { transport }), 'through')
  t.equal(shard.ended, 'complete')
  t.equal(shard.devices.size, 0, 'nothing is kept')
  return { moments, counts: await countsOf(shard.records, fleet, orders) }
}

const carry = (lease: ShardLease, options: Partial<CarryOptions>) =>
  carryShard(lease, { clock: systemClock, worker: 'w', checkpointMs: 5, signal: never, ...options })

t.test('a shard that is lost at any request goes on as if it had not been', async (t) => {
  const fleet = await carryFleet(t, 67)
  const { moments, counts } = await undisturbed(t, fleet, fleet.ordersOf(66))
  t.match(counts, { issued: 6, ended: [3, 0, 6], begun: [3, 3, 3] })
  t.equal(moments.length, 66)
  // The first and the last of each kind: all of them take twenty seconds.
  for (const [nth, moment] of moments.entries()) {
    if (moments.indexOf(moment) !== nth && moments.lastIndexOf(moment) !== nth) continue
    const orders = fleet.ordersOf(nth)
    const shard = place(orders)
    const lease = shard.lend()
    let asked = 0
    const transport = watched(fleet.transport, () => {
      if (asked++ === nth) lease.lose()
    })
    t.equal(await carry(lease, { transport }), 'lost')
    t.equal(await carry(shard.lend(), { transport: fleet.transport }), 'through')
    t.strictSame(await countsOf(shard.records, fleet, orders), counts, `lost ${moment}, ${nth}`)
    const delayed = shard.records
      .flatMap(({ news }) => news.flatMap((one) => (one.kind === 'devices' ? one.devices : [])))
      .filter((one) => one.isDelayed)
    const [last] = takings(shard.records).slice(-1)
    t.match(last, { isTakeover: true, epoch: 2, devicesDelayed: delayed.length })
    if (Object.keys(repeatedIn(shard.records)).length > 0) t.ok(delayed.length > 0)
  }
})

t.test('faults of requests that are not made again are told, whatever is lost', async (t) => {
  const steps = ['challenge', 'GetCACaps', 'PKIOperation', 'report'] as const
  const fleet = await carryFleet(t, 1 + steps.length)
  const faults = { delayed: 1, delay: 1 }
  const whole = place({ ...fleet.ordersOf(steps.length), faults })
  t.equal(await carry(whole.lend(), { transport: fleet.transport }), 'through')
  for (const [run, lostAt] of steps.entries()) {
    const shard = place({ ...fleet.ordersOf(run), faults })
    const lease = shard.lend()
    const transport = watched(fleet.transport, (step, moment) => {
      if (step === lostAt && moment === 'after') lease.lose()
    })
    // No checkpoint in between: what is told is told with the devices.
    t.equal(await carry(lease, { transport, checkpointMs: 600_000 }), 'lost', lostAt)
    t.equal(await carry(shard.lend(), { transport: fleet.transport }), 'through')
    t.ok(delayedIn(shard.records) >= delayedIn(whole.records), `${lostAt}: ${delayedIn(shard.records)} of ${delayedIn(whole.records)}`)
  }
})

t.test('a key that was made for a request is the key of its repeat', async (t) => {
  const fleet = await carryFleet(t, 1)
  // Keys of a pool are the same when they are made again.
  const orders = { ...fleet.ordersOf(0), keys: { mode: 'fresh' } as const, concurrency: 1 }
  const shard = place({ ...orders, devices: orders.devices.slice(0, 1) })
  for (const end of ['lost', 'lost', 'through']) {
    const lease = shard.lend()
    const transport = watched(fleet.transport, (step, moment) => {
      if (end === 'lost' && step === 'PKIOperation' && moment === 'after') lease.lose()
    })
    t.equal(await carry(lease, { transport }), end)
  }
  t.match(await countsOf(shard.records, fleet, orders), { issued: 2, ended: [1, 0, 2] })
})

t.test('a PFX that was on its way is asked for again by the same attempt, and its CA issues no second certificate', async (t) => {
  const fleet = await pfxFleet(t)
  const rows = [
    ['pfx', 'before'],
    ['pfx', 'after'],
    ['report', 'before'],
    ['report', 'after'],
  ] as const
  for (const [run, [lostAt, lostWhen]] of rows.entries()) {
    const orders = fleet.ordersOf(run)
    const shard = place(orders)
    const lease = shard.lend()
    const transport = watched(fleet.transport, (step, moment) => {
      if (step === lostAt && moment === lostWhen) lease.lose()
    })
    t.equal(await carry(lease, { transport }), 'lost', `${lostWhen} ${lostAt}`)
    t.equal(await carry(shard.lend(), { transport: fleet.transport }), 'through')
    const { issued, outcomes, invariants } = await countsOf(shard.records, fleet, orders)
    t.match(outcomes, [{ certificatesInstalled: 2, failures: [] }])
    t.equal(issued, 2)
    t.strictSame(
      invariants.map(([, , violations]) => violations),
      [0, 0, 0, 0, 0],
    )
  }
})

/** What is not behind the next fence is done again: with fewer requests between two losses it would go on for ever. */
t.test('however often it is lost', async (t) => {
  const fleet = await carryFleet(t, 4)
  const { counts } = await undisturbed(t, fleet, fleet.ordersOf(3))
  for (const [run, moments] of [46, 52, 58].entries()) {
    const orders = fleet.ordersOf(run)
    const shard = place(orders)
    let holders = 0
    for (let end = 'lost'; end === 'lost'; holders++) {
      const lease = shard.lend()
      let left = moments
      const transport = watched(fleet.transport, () => {
        if (--left === 0) lease.lose()
      })
      end = await carry(lease, { transport })
    }
    t.ok(holders > 1, `${holders}`)
    t.strictSame(await countsOf(shard.records, fleet, orders), counts, `lost after ${moments} moments`)
  }
})

t.test('one that was frozen sends nothing once another has the shard', async (t) => {
  const fleet = await carryFleet(t, 2)
  const { counts } = await undisturbed(t, fleet, fleet.ordersOf(1))
  const orders = { ...fleet.ordersOf(0), concurrency: 1 }
  const shard = place(orders)
  const sent: string[] = []
  const transport = watched(fleet.transport, (step, moment) => {
    sent.push(`${moment} ${step}`)
    // Not that it would have been told.
    if (sent.length === 10) shard.lend()
  })
  t.equal(await carry(shard.lend(), { transport }), 'lost')
  t.notOk(sent.includes('before PKIOperation'))
  t.equal(await carry(shard.lend(), { transport: fleet.transport }), 'through')
  t.strictSame(await countsOf(shard.records, fleet, orders), counts)
})

t.test('at a stop devices come to their end, and nothing is made again', async (t) => {
  const fleet = await carryFleet(t, 3)
  const { counts } = await undisturbed(t, fleet, fleet.ordersOf(2))
  for (const [run, how] of (['park', 'release'] as const).entries()) {
    const orders = { ...fleet.ordersOf(run), concurrency: 1 }
    const shard = place(orders)
    const lease = shard.lend()
    const ends = new AbortController()
    const transport = watched(fleet.transport, (step) => {
      if (step !== 'PKIOperation') return
      if (how === 'park') lease.stopRun()
      else ends.abort()
    })
    t.equal(await carry(lease, { transport, signal: ends.signal }), `${how}${how === 'park' ? 'ed' : 'd'}`)
    t.equal(shard.ended, how)
    t.match(shard.records.at(-1)?.news.at(-1), { kind: 'parked' })
    t.equal((await countsOf(shard.records, fleet, orders)).issued, 2, 'one device')
    t.equal(await carry(shard.lend(), { transport: fleet.transport }), 'through')
    t.strictSame(await countsOf(shard.records, fleet, orders), counts)
    t.strictSame(repeatedIn(shard.records), {})
    t.match(takings(shard.records), [{ epoch: 1 }, { epoch: 2, isTakeover: false, devicesDelayed: 0 }])
  }
})

t.test('a stop waits for no device for ever: it is kept where it stands', async (t) => {
  const fleet = await carryFleet(t, 2)
  const { counts } = await undisturbed(t, fleet, fleet.ordersOf(1))
  const orders = fleet.ordersOf(0)
  const shard = place(orders)
  const lease = shard.lend()
  const transport = watched(fleet.transport, async (step, moment, signal) => {
    if (step !== 'PKIOperation' || moment === 'before') return
    lease.stopRun()
    await new Promise((resolve) => signal?.addEventListener('abort', resolve))
  })
  t.equal(await carry(lease, { transport, drainMs: 20 }), 'parked')
  t.equal(shard.devices.size, 2)
  t.equal(await carry(shard.lend(), { transport: fleet.transport }), 'through')
  t.strictSame(await countsOf(shard.records, fleet, orders), counts)
  t.match(repeatedIn(shard.records), { policy: 2, challenge: 2 })
  t.notOk(shard.records.some(({ news }) => news.some((one) => one.kind === 'devices' && one.devices.some(({ isDelayed }) => isDelayed))))
})

t.test('stopped before it begins', async (t) => {
  const shard = place({ devices: [] } as unknown as ShardOrders)
  const lease = shard.lend()
  lease.stopRun()
  const run = async (_: ShardOrders, ports: { begin(): Promise<unknown> }) => void (await ports.begin())
  t.equal(await carry(lease, { run }), 'parked')
  t.match(shard.records, [{ news: [{ kind: 'parked' }] }])
  t.equal(await carry(shard.lend(), { run }), 'through')
  t.match(takings(shard.records), [{ epoch: 2, isTakeover: false }])
})

t.test('a run that does nothing but stay is recorded seldom, and what ends at once', async (t) => {
  const clock = new FakeClock(1_000_000)
  const orders = { devices: [{ index: 0, spec: {} }], stay: {} } as unknown as ShardOrders
  const shard = place(orders, clock)
  const ended: ShardNews = { kind: 'devices', devices: [{ index: 0, outcome: { pending: 0 } as DeviceOutcome }] }
  const run: CarryOptions['run'] = async (_, { begin, tell }) => {
    await begin()
    for (let bin = 0; bin < 400; bin++) {
      const one = { atMs: 250 * bin, due: 0, started: 0, completed: 0, failed: 0, errors: 1, connected: 0, enrollment: {} }
      tell({ kind: 'measured', measurements: { ...nothingMeasured, bins: [one], cost: noCost } })
      if (bin === 200) tell(ended)
      await clock.sleep(250)
    }
  }
  const carried = carry(shard.lend(), { clock, run, checkpointMs: 500 })
  for (let i = 0; i < 206; i++) await clock.advance(250)
  t.ok(
    shard.records.at(-1)?.news.some(({ kind }) => kind === 'devices'),
    'the device',
  )
  t.ok(shard.records.length <= 14, `${shard.records.length} records in 51 s`)
  for (let i = 0; i < 200; i++) await clock.advance(250)
  t.equal(await carried, 'through')
  const bins = shard.records.flatMap(({ news }) => news.flatMap((one) => (one.kind === 'measured' ? one.measurements.bins : [])))
  t.equal(
    bins.reduce((sum, { errors }) => sum + errors, 0),
    400,
    'all that was measured',
  )
})

t.test('what cannot begin is released, and so is what is broken', async (t) => {
  for (const error of [new AgentError('ERR_STATE_IO', 'no pool'), new TypeError('a bug')]) {
    const shard = place({ devices: [] } as unknown as ShardOrders)
    await t.rejects(carry(shard.lend(), { run: () => Promise.reject(error) }), error)
    t.equal(shard.ended, 'release')
  }
  const shard = place({ devices: [] } as unknown as ShardOrders)
  const lease = { ...shard.lend(), save: () => Promise.reject(new TypeError('a bug of the queue')) }
  await t.rejects(carry(lease, { run: async (_, { begin }) => void (await begin()) }), /a bug of the queue/)
  t.equal(shard.ended, 'release')
})

t.test('the fence stands before a PFX is asked for, and before what came of it is told', async (t) => {
  const calls: string[] = []
  const signal = new AbortController().signal
  const inner = {
    pfxSource: {
      async pfxFor(profileId: string, attemptId: string) {
        calls.push(`pfx ${profileId} ${attemptId}`)
        return { pfx: new Uint8Array(), password: 'a' }
      },
    },
    reporter: { send: async () => void calls.push('report') },
  }
  const { pfxSource, reporter } = fencedPfx(inner, async () => void calls.push('fence'))
  const report = {} as Parameters<typeof reporter.send>[0]
  t.match(await pfxSource.pfxFor('p', 'a', signal), { password: 'a' })
  await reporter.send(report, signal)
  t.strictSame(calls.splice(0), ['fence', 'pfx p a', 'fence', 'report'])
  const standing = fencedPfx(inner, () => new Promise(() => {}))
  const abort = new AbortController()
  const asked = [standing.pfxSource.pfxFor('p', 'a', abort.signal), standing.reporter.send(report, abort.signal)]
  abort.abort(new Error('enough'))
  const refused = { status: 'rejected', reason: { message: 'enough' } }
  t.match(await Promise.allSettled(asked), [refused, refused])
  t.strictSame(calls, [], 'one that is aborted meanwhile is not sent')
})

t.test('the fence stands before each PKIOperation and before nothing else', async (t) => {
  const fenced: string[] = []
  const sent: string[] = []
  const inner = {
    send: async ({ url }: { url: string }) => {
      sent.push(url)
      return { status: 200, headers: {}, body: new Uint8Array() }
    },
  }
  const transport = fencedTransport(inner, async () => void fenced.push(`${sent.length}`))
  for (const [method, url] of [
    ['GET', 'http://ca/scep?operation=GetCACaps'],
    ['POST', 'http://ca/scep?operation=PKIOperation'],
    ['GET', 'http://ca/scep?operation=PKIOperation&message=MIIB'],
  ] as const)
    await transport.send({ method, url, headers: {} })
  t.strictSame([fenced, sent.length], [['1', '2'], 3])
  const standing = fencedTransport(inner, () => new Promise(() => {}))
  const abort = new AbortController()
  const request = { method: 'POST', url: 'http://ca/scep?operation=PKIOperation', headers: {} } as const
  const asked = standing.send(request, abort.signal)
  abort.abort(new Error('enough'))
  await t.rejects(asked, /enough/)
  await t.rejects(standing.send(request, abort.signal), /enough/)
  t.equal(sent.length, 3)
})

/** Its time goes on with the work of this process, however slow the machine is. */
function flowing(t: Test): FakeClock {
  const clock = new FakeClock(systemClock.now())
  let isOver = false
  t.teardown(() => {
    isOver = true
  })
  const flow = async () => {
    while (!isOver) {
      await systemClock.sleep(5)
      await clock.advance(5)
    }
  }
  void flow()
  return clock
}

t.test('devices that stay are taken over as they stand', async (t) => {
  const clock = flowing(t)
  const fleet = await carryFleet(t, 2, false)
  const stayOf = (run: number): ShardOrders => {
    const orders = fleet.ordersOf(run, { stay: { durationMs: 4_000, checkInMs: 600_000, thinkMs: 0 } })
    const dueMs = [0, 0, 1_500]
    return { ...orders, devices: orders.devices.map((device, i) => ({ ...device, dueMs: dueMs[i] as number })) }
  }
  const until = async (condition: () => boolean) => {
    while (!condition()) await clock.sleep(20)
  }
  const through = (shard: Place) => [...shard.devices.values()].filter(({ isThrough }) => isThrough).length
  const [orders, undisturbed] = [stayOf(0), stayOf(1)]
  const whole = place(undisturbed, clock)
  t.equal(await carry(whole.lend(), { clock }), 'through')
  const shard = place(orders, clock)
  const lease = shard.lend()
  const lost = carry(lease, { clock })
  await until(() => through(shard) === 2)
  lease.lose()
  t.equal(await lost, 'lost')
  await clock.sleep(1_500)
  const ends = new AbortController()
  const second = carry(shard.lend(), { clock, signal: ends.signal })
  await until(() => through(shard) === 3)
  ends.abort()
  t.equal(await second, 'released')
  t.equal(shard.devices.size, 3, 'they stay, elsewhere')
  t.equal(await carry(shard.lend(), { clock }), 'through')
  t.equal(shard.devices.size, 0)
  const [expected, counts] = [await countsOf(whole.records, fleet, undisturbed), await countsOf(shard.records, fleet, orders)]
  // A device that connects anew checks in.
  const besidesCheckIns = ({ steps, ...others }: typeof counts) => ({
    ...others,
    steps: steps.filter(([step]) => !['policy', 'report', 'check-in'].includes(step as string)),
  })
  t.strictSame(besidesCheckIns(counts), besidesCheckIns(expected))
  t.match(expected, { issued: 6, begun: [3, 3, 3], ended: [3, 0, 6], connected: 0 })
  t.match(takings(shard.records), [{}, { isTakeover: true, devicesDelayed: 3 }, { isTakeover: false, devicesDelayed: 0 }])
  t.match(repeatedIn(shard.records), { push: Number, policy: Number, report: Number })
})

const delayedIn = (records: readonly ShardRecord[]): number =>
  records.flatMap(({ news }) => news).reduce((sum, one) => sum + (one.kind === 'faults' ? one.faults.delayed : 0), 0)
