import fc from 'fast-check'
import hdr from 'hdr-histogram-js'
import t from 'tap'
import { measurementsTotal } from '#emulator/measure/add.ts'
import type { CostMeter } from '#emulator/measure/generator.ts'
import { percentilesUs, sumOf } from '#emulator/measure/histogram.ts'
import { liveNumbers } from '#emulator/measure/live.ts'
import { createMeter, sinceStart } from '#emulator/measure/meter.ts'
import { loadNumbers } from '#emulator/measure/numbers.ts'
import { firstBinMs, type Measurements, type Meter, maxBins, steps } from '#emulator/measure/types.ts'
import { loadResultsSchema } from '#emulator/report/schema.ts'
import { fleetPlatforms } from '#emulator/scenario/schema.ts'

const freeOfCost: CostMeter = { take: () => ({ cpuMs: 0, busyMs: 0, wallMs: 0, rssBytes: 0, loopLag: [] }) }
const runMs = firstBinMs * maxBins

type Act = (meter: Meter, atMs: number) => void
const lengthMs = fc.double({ min: 0, max: 100_000, noNaN: true })
const platform = fc.constantFrom(...fleetPlatforms)
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ step: fc.constantFrom(...steps), platform, lengthMs }).map(
    (of): Act =>
      (meter) =>
        meter.step(of.step, of.platform, of.lengthMs),
  ),
  fc.record({ platform, lengthMs }).map(
    (of): Act =>
      (meter) =>
        meter.step('enrollment', of.platform, of.lengthMs),
  ),
  fc.nat(300).map(
    (lateMs): Act =>
      (meter, atMs) =>
        meter.started(atMs - lateMs, lateMs),
  ),
  fc.boolean().map(
    (isGood): Act =>
      (meter) =>
        meter.completed(isGood),
  ),
  fc.constantFrom(1 as const, -1 as const).map(
    (change): Act =>
      (meter) =>
        meter.connected(change),
  ),
  fc.constantFrom(1 as const, -1 as const).map(
    (change): Act =>
      (meter) =>
        meter.pending(change),
  ),
  fc.record({ answer: fc.constantFrom('HTTP 503', undefined), device: fc.constantFrom('a', 'b') }).map(
    ({ answer, device }): Act =>
      (meter) =>
        meter.error({ code: 'ERR_HTTP_STATUS', step: 'policy', answer, platform: 'ios', device, message: `of ${device}` }),
  ),
)

/** What happens in a run, with the process in which it does, and whether that one is asked for its measurements afterwards. */
const happenings = fc.array(fc.record({ atMs: fc.nat(3 * runMs), act, process: fc.nat(3), isTaken: fc.boolean() }), { maxLength: 80 })

interface Happening {
  readonly atMs: number
  readonly act: Act
  readonly process: number
  readonly isTaken: boolean
}

function measured(happened: readonly Happening[]): Measurements[] {
  let nowMs = 0
  const meters = Array.from({ length: 4 }, () => createMeter({ sinceStartMs: () => nowMs, cost: freeOfCost }))
  const taken = happened.flatMap(({ atMs, act, process, isTaken }) => {
    nowMs = atMs
    const meter = meters[process] as (typeof meters)[number]
    act(meter, atMs)
    return isTaken ? [meter.take()] : []
  })
  return [...taken, ...meters.map((meter) => meter.take())]
}

function totalOf(measurements: readonly Measurements[]) {
  const total = measurementsTotal()
  for (const one of measurements) total.add(JSON.parse(JSON.stringify(one)), 'worker')
  return total
}

t.test('however a run is split over processes and takings, and in whatever order they are added, the numbers are the same', async (t) => {
  fc.assert(
    fc.property(happenings, fc.infiniteStream(fc.nat()), (unordered, chance) => {
      const happened = [...unordered].sort((a, b) => a.atMs - b.atMs)
      const whole = totalOf(measured(happened.map((one) => ({ ...one, process: 0, isTaken: false }))))
      const shuffled = measured(happened)
        .map((one) => ({ one, rank: chance.next().value as number }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ one }) => one)
      const split = totalOf(shuffled)
      t.strictSame(loadNumbers(split, 2), loadNumbers(whole, 2))
      t.equal(split.sums.pending, whole.sums.pending)
      const live = [split, whole].map((total) => liveNumbers(total, 2, () => 1)())
      t.strictSame(live[0], live[1])
    }),
    { numRuns: 25 },
  )
})

t.test('percentiles are those of one histogram that saw everything', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.record({ lengthMs, process: fc.nat(3), isTaken: fc.boolean() }), { minLength: 1 }), (happened) => {
      const step =
        (ms: number): Act =>
        (meter) =>
          meter.step('PKIOperation', 'windows', ms)
      const total = totalOf(measured(happened.map((one) => ({ ...one, atMs: 0, act: step(one.lengthMs) }))))
      const oracle = hdr.build({ highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: 3 })
      for (const { lengthMs } of happened) oracle.recordValue(Math.round(lengthMs * 1000))
      const sum = sumOf(total.sums.histograms.get('PKIOperation')?.values() ?? [])
      t.strictSame(percentilesUs(sum, [50, 99]), [oracle.getValueAtPercentile(50), oracle.getValueAtPercentile(99)])
    }),
    { numRuns: 30 },
  )
})

t.test('numbers are as the results have them', async (t) => {
  let nowMs = 0
  const meter = createMeter({
    sinceStartMs: () => nowMs,
    cost: { take: () => ({ ...freeOfCost.take(), cpuMs: 500, wallMs: 1000, rssBytes: 7 }) },
  })
  meter.step('connect', 'all', 3)
  meter.step('policy', 'ios', 10)
  meter.started(0, 0)
  meter.started(100, 100)
  meter.started(100, 101)
  meter.connected(1)
  nowMs = 2 * firstBinMs
  meter.step('enrollment', 'ios', 400)
  meter.completed(true)
  meter.completed(false)
  meter.connected(1)
  meter.pending(1)
  const failed = { code: 'ERR_NETWORK', step: 'policy', platform: 'ios', message: 'cut' } as const
  meter.error({ ...failed, device: 'second' })
  nowMs = 2 * firstBinMs + 1
  meter.error({ ...failed, device: 'first' })
  const total = totalOf([meter.take()])
  total.addCost({ ...freeOfCost.take(), cpuMs: 100, wallMs: 1000 }, 'lab', 'lab')
  const numbers = loadNumbers(total, 2)

  t.doesNotThrow(() =>
    loadResultsSchema.pick({ steps: true, errors: true, arrivals: true, timeline: true, generator: true }).parse(numbers),
  )
  t.match(
    numbers.steps.map(({ step, platform, p50Ms }) => [step, platform, p50Ms]),
    [
      ['connect', 'all', 3],
      ['policy', 'ios', 10],
      ['policy', 'all', 10],
      ['enrollment', 'ios', 400],
      ['enrollment', 'all', 400],
    ],
  )
  t.strictSame(numbers.errors, [
    { code: 'ERR_NETWORK', step: 'policy', answer: null, count: 2, first: { device: 'second', platform: 'ios', message: 'cut' } },
  ])
  t.match(numbers.arrivals, { started: 3, late: 1 })
  t.match(numbers.timeline, {
    binMs: firstBinMs,
    bins: [
      { atMs: 0, due: 3, started: 3, connected: 1, latency: null, platforms: {} },
      { atMs: firstBinMs, due: 0, connected: 1 },
      {
        atMs: 2 * firstBinMs,
        completed: 2,
        failed: 1,
        enrolled: 1,
        errors: 2,
        connected: 2,
        latency: { count: 1 },
        platforms: { ios: { count: 1 } },
      },
    ],
  })
  t.match(numbers.generator, {
    cores: 2,
    processes: [
      { name: 'worker', cpuShare: 0.5, rssBytes: 7 },
      { name: 'lab', cpuShare: 0.1 },
    ],
  })
  t.match(liveNumbers(total, 2, () => 1000)(), {
    ...{ started: 3, completed: 2, failed: 1, active: 1, connected: 2, installed: 1, pending: 1, late: 1 },
    rates: [0, 0],
    latency: { p50Ms: 400, p999Ms: 400, sumMs: 400 },
    warnings: ['1 of 3 devices began late against the plan of arrivals (at most 1 %)'],
    steps: [{ step: 'connect' }, { step: 'policy', count: 1, p50Ms: 10 }, { step: 'enrollment' }],
    errors: [{ code: 'ERR_NETWORK', count: 2 }],
    processes: [{ name: 'worker', cpuShare: 0.5 }, { name: 'lab' }],
  })
})

t.test('there are never more bins than the limit, and nothing is lost as they get coarser', async (t) => {
  let nowMs = 0
  const meter = createMeter({ sinceStartMs: () => nowMs, cost: freeOfCost })
  for (const [atMs, binMs] of [
    [runMs - 1, firstBinMs],
    [runMs, 2 * firstBinMs],
    [5 * runMs, 8 * firstBinMs],
  ] as const) {
    nowMs = atMs
    meter.completed(true)
    const { bins, binMs: taken } = meter.take()
    t.equal(taken, binMs)
    t.strictSame(
      bins.map(({ atMs, completed }) => [atMs, completed]),
      [[Math.floor(atMs / binMs) * binMs, 1]],
    )
  }
})

t.test('the rate is of the last ten seconds', async (t) => {
  let nowMs = 0
  const total = measurementsTotal()
  const meter = createMeter({ sinceStartMs: () => nowMs, cost: freeOfCost })
  const read = liveNumbers(total, 2, () => nowMs)
  t.equal(read().ratePerSecond, 0, 'of nothing')
  const rates: number[] = []
  for (const enrolled of [10, 10, 0, 0, 0, 0]) {
    nowMs += 5_000
    for (let i = 0; i < enrolled; i++) meter.step('enrollment', 'ios', 1)
    total.add(meter.take(), 'worker')
    rates.push(read().ratePerSecond)
  }
  t.strictSame(
    read().rates.filter((rate) => rate > 0),
    [10 / 0.25],
    'in stretches, without the last',
  )
  t.strictSame(rates, [2, 2, 1, 0, 0, 0])
})

t.test('time since the start does not follow the clock', async (t) => {
  let clockMs = 5_000
  let stopwatchMs = 70
  const sinceStartMs = sinceStart(4_000, { now: () => clockMs }, () => stopwatchMs)
  t.equal(sinceStartMs(), 1_000)
  clockMs = 0
  stopwatchMs += 0.5
  t.equal(sinceStartMs(), 1_000.5)
})
