import fc from 'fast-check'
import t from 'tap'
import { arrivalText, plannedArrivals } from '#emulator/fleet/arrival.ts'
import type { Arrival } from '#emulator/scenario/load-schema.ts'

const rows: [name: string, arrival: Arrival, devices: number, dueMs: readonly number[], text: string][] = [
  ['all at once', 'all-at-once', 3, [0, 0, 0], 'all at once'],
  ['evenly over a time', { over: 60_000 }, 4, [0, 15_000, 30_000, 45_000], 'evenly over 60 s'],
  ['evenly over no time', { over: 0 }, 2, [0, 0], 'evenly over 0 s'],
  ['a constant rate', { rate: 4 }, 3, [0, 250, 500], '4 devices a second'],
  ['a rate below one a second', { rate: 0.5 }, 3, [0, 2_000, 4_000], '0.5 devices a second'],
  // 0 to 100/s over 10 s is 500 devices: the n-th is due at sqrt(2n/10) s.
  ['a ramp from 0', { stages: [{ to: 100, for: 10_000 }] }, 501, [0, 447.21, 632.46], 'devices a second: from 0 to 100 over 10 s'],
  ['a rate that stays', { from: 10, stages: [{ to: 10, for: 1_000 }] }, 4, [0, 100, 200, 300], 'devices a second: from 10 to 10 over 1 s'],
]
for (const [name, arrival, devices, expected, text] of rows) {
  t.test(name, async (t) => {
    const dueMs = plannedArrivals(arrival, devices)
    t.strictSame(
      expected.map((_, position) => Math.round(dueMs(position) * 100) / 100),
      expected,
    )
    t.equal(arrivalText(arrival), text)
  })
}

t.test('a rate that changes: each stage begins where the last ended, and the last rate goes on', async (t) => {
  const stages = [
    { to: 100, for: 10_000 },
    { to: 100, for: 5_000 },
    { to: 0, for: 10_000 },
  ]
  const dueMs = plannedArrivals({ stages }, 2_000)
  // 500 in the ramp, 500 in the plateau, 500 on the way down; nobody after that.
  t.equal(Math.round(dueMs(500)), 10_000)
  t.equal(Math.round(dueMs(1_000)), 15_000)
  t.equal(Math.round(dueMs(999)), 14_990)
  t.ok(dueMs(1_499) < 25_000)
  t.equal(dueMs(1_501), Number.POSITIVE_INFINITY)
  const goesOn = plannedArrivals({ stages: [{ to: 50, for: 2_000 }] }, 1_000)
  t.equal(Math.round(goesOn(50)), 2_000)
  t.equal(Math.round(goesOn(100)), 3_000, 'at 50 a second')
})

t.test('never falls, and holds the number that the rate makes (generated)', async (t) => {
  const stage = fc.record({ to: fc.integer({ min: 0, max: 200 }), for: fc.integer({ min: 1, max: 20_000 }) })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), fc.array(stage, { minLength: 1, maxLength: 5 }), (from, stages) => {
      const dueMs = plannedArrivals({ from, stages }, 10_000)
      const due = Array.from({ length: 300 }, (_, position) => dueMs(position))
      const endMs = stages.reduce((sum, stage) => sum + stage.for, 0)
      const area = areaOf(from, stages)
      const isRising = due.every((ms, position) => position === 0 || ms >= (due[position - 1] as number))
      return isRising && (area < 1 || dueMs(Math.floor(area) - 1) <= endMs + 1e-6) && dueMs(Math.ceil(area) + 1) > endMs - 1e-6
    }),
    { numRuns: 300 },
  )
  t.pass()
})

function areaOf(from: number, stages: readonly { to: number; for: number }[]): number {
  let rate = from
  return stages.reduce((sum, { to, for: ms }) => {
    const area = ((rate + to) / 2) * (ms / 1000)
    rate = to
    return sum + area
  }, 0)
}
