import t from 'tap'
import { heldMeter } from '#emulator/fleet/queue/held-meter.ts'
import { meterInto } from '#emulator/measure/meter.ts'
import { emptySums, encodeSums, type Sums } from '#emulator/measure/sums.ts'
import type { Measurements, Step } from '#emulator/measure/types.ts'

const open = (before?: { measured: Omit<Measurements, 'cost'>; isThrough: boolean }, madeBefore = {}) => {
  const record = emptySums()
  const repeated: Step[] = []
  let isThrough = false
  const meter = heldMeter({
    sinceStartMs: () => 1_000,
    record: meterInto(
      () => record,
      () => 1_000,
    ),
    before,
    madeBefore,
    onRepeated: (step) => void repeated.push(step),
    onThrough: () => {
      isThrough = true
    },
  })
  const make = (...steps: readonly Step[]) => {
    for (const step of steps) meter.step(step, 'ios', 10)
  }
  return { meter, make, record, repeated, isThrough: () => isThrough }
}

const counts = ({ histograms }: Pick<Measurements, 'histograms'>) =>
  Object.fromEntries(
    Object.entries(histograms).map(([step, { ios = [] }]) => [step, ios.filter((_, i) => i % 2 === 1).reduce((a, b) => a + b, 0)]),
  )
const countsIn = (sums: Sums) => counts(encodeSums(sums))

t.test('what would be made again is held with nothing before its action, or its pass, is over', async (t) => {
  const { meter, make, record } = open()
  make('register', 'policy', 'keygen', 'challenge', 'GetCACaps', 'GetCACert')
  t.strictSame(counts(meter.held()), { register: 1, keygen: 1 })
  make('PKIOperation', 'install', 'enrollment')
  meter.settled(false)
  const action = { register: 1, keygen: 1, install: 1, enrollment: 1, challenge: 1, GetCACaps: 1, GetCACert: 1, PKIOperation: 1 }
  t.strictSame(counts(meter.held()), action)
  make('report')
  meter.settled(true)
  t.strictSame(counts(meter.held()), { ...action, policy: 1, report: 1 })
  t.strictSame(meter.made(), { ...action, policy: 1, report: 1 })
  t.strictSame(countsIn(record), {}, 'no record has it')
})

t.test('whoever goes on measures what was not held, and tells what was made before', async (t) => {
  const first = open()
  first.meter.started(500, 500)
  first.make('register', 'policy', 'keygen', 'challenge')
  const { meter, make, repeated, record } = open({ measured: first.meter.held(), isThrough: false }, first.meter.made())
  meter.started(1_000, 0)
  make('policy', 'challenge', 'PKIOperation', 'challenge', 'report')
  t.strictSame(repeated, ['policy', 'challenge'], 'the second challenge is the first of its kind')
  meter.completed(true)
  meter.release(record)
  t.strictSame(countsIn(record), { register: 1, keygen: 1, policy: 1, challenge: 2, PKIOperation: 1, report: 1 })
  t.equal(record.lateness.total, 1, 'it began once')
  meter.release(record)
  t.equal(record.lateness.total, 1, 'and is let go of once')
})

t.test('what was pending is so once, however often it is asked for', async (t) => {
  const first = open()
  first.meter.pending(1)
  t.equal(first.meter.held().pending, 1)
  const { meter, record } = open({ measured: first.meter.held(), isThrough: false })
  meter.pending(1)
  meter.pending(-1)
  meter.release(record)
  t.equal(record.pending, 0)
})

t.test('one that was through makes its start again, which is not measured', async (t) => {
  const { meter, make, record, repeated, isThrough } = open({ measured: encodeSums(emptySums()), isThrough: true })
  meter.started(1_000, 0)
  meter.connected(1)
  make('policy', 'push', 'report')
  meter.completed(true)
  make('policy', 'report', 'check-in')
  t.strictSame(repeated, ['policy', 'push', 'report'])
  t.strictSame(countsIn(record), { policy: 1, report: 1, 'check-in': 1 })
  const [bin] = [...record.bins.values()]
  t.match(bin, { started: 0, completed: 0, connected: 1 })
  t.notOk(isThrough(), 'it was before')
})
