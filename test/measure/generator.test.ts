import t from 'tap'
import { generatorVerdict, meterCost, type ProcessTotal } from '#emulator/measure/generator.ts'
import { decode, emptyHistogram, latencyOf, recordMs } from '#emulator/measure/histogram.ts'
import { FakeClock } from '../fakes/clock.ts'

t.test('a process is told by what it used since the last taking', async (t) => {
  const clock = new FakeClock()
  let used = 1000
  const stop = new AbortController()
  const source = { cpuMs: () => used, busyMs: () => used * 2, rssBytes: () => 42 }
  const meter = meterCost({ clock, stopwatchMs: () => clock.now(), signal: stop.signal, source })
  used = 1030
  await clock.advance(100)
  t.match(meter.take(), { cpuMs: 30, busyMs: 60, wallMs: 100, rssBytes: 42 })
  t.match(meter.take(), { cpuMs: 0, busyMs: 0, wallMs: 0, loopLag: [] })
  stop.abort()
  await clock.advance(100)
  t.equal(clock.sleeping, 0)
})

t.test('a loop that stood still counts as every tick that it was late for', async (t) => {
  const clock = new FakeClock()
  let stoodMs = 0
  const stop = new AbortController()
  const source = { cpuMs: () => 0, busyMs: () => 0, rssBytes: () => 0 }
  const meter = meterCost({ clock, stopwatchMs: () => clock.now() + stoodMs, signal: stop.signal, source })
  await clock.advance(150)
  t.match(latencyOf(decode(meter.take().loopLag)), { count: 3, maxMs: 0 }, 'three ticks in time')
  stoodMs = 990
  await clock.advance(50)
  t.match(latencyOf(decode(meter.take().loopLag)), { count: 20, minMs: 40, p50Ms: 490, maxMs: 990 })
  stop.abort()
})

t.test('a fleet that was the limit is told, and by what', async (t) => {
  const of = (facts: { lagMs?: number; busyMs?: number; cpuMs?: number; role?: 'lab' }): ProcessTotal => {
    const { lagMs = 1, busyMs = 0, cpuMs = 0, role } = facts
    const loopLag = emptyHistogram()
    for (let i = 0; i < 98; i++) recordMs(loopLag, 1)
    for (let i = 0; i < 2; i++) recordMs(loopLag, lagMs)
    return { name: role ?? 'worker 1', role: role ?? 'fleet', cpuMs, busyMs, wallMs: 1000, rssBytes: 0, loopLag }
  }
  const rows: [string, ProcessTotal[], number, RegExp[]][] = [
    ['nothing', [of({})], 0, []],
    ['nothing, of no process', [], 0, []],
    ['timers in time', [of({ lagMs: 99.9 })], 0, []],
    ['late timers', [of({ lagMs: 101 })], 0, [/^worker 1: .* 101 ms late/]],
    ['late timers of the lab', [of({}), of({ lagMs: 101, role: 'lab' })], 0, []],
    ['a loop with time to spare', [of({ busyMs: 900 })], 0, []],
    ['a busy loop', [of({ busyMs: 910 })], 0, [/^worker 1: .* busy 91 %/]],
    ['one device in a hundred late', [of({})], 10, []],
    ['more than one in a hundred late', [of({})], 11, [/^11 of 1000 devices began late/]],
    ['cores to spare', [of({ cpuMs: 900 }), of({ cpuMs: 890 })], 0, []],
    ['no core to spare', [of({ cpuMs: 900 }), of({ cpuMs: 900 })], 0, [/^the fleet used 90 % of 2 cores/]],
    [
      'a lab on the same cores',
      [of({ cpuMs: 900 }), of({ cpuMs: 900, role: 'lab' })],
      0,
      [/^fleet and lab share the machine.* 90 % of 2 cores/],
    ],
  ]
  for (const [name, processes, late, why] of rows) {
    const verdict = generatorVerdict({ processes, late, started: 1000 }, 2)
    t.equal(verdict.limited, why.length > 0, name)
    t.equal(verdict.why.length, why.length, name)
    t.match(verdict.why, why, name)
  }
})
