import { getEventListeners } from 'node:events'
import type { Clock } from '@certfleet/agent-core'
import type { Test } from 'tap'
import { alarm } from '#agent-core/alarm.ts'

const dayMs = 86_400_000

/** What every `Clock` promises (ports.ts). `pass` lets that much of the clock's time go by. */
export async function clockContract(t: Test, make: () => { clock: Clock; pass: (ms: number) => Promise<void> }): Promise<void> {
  await t.test('now is a whole number of milliseconds and does not go back', async (t) => {
    const { clock, pass } = make()
    const before = clock.now()
    await pass(2)
    t.ok(Number.isInteger(before))
    t.ok(clock.now() >= before)
  })
  await t.test('a sleep resolves once its time has passed, shorter ones first', async (t) => {
    const { clock, pass } = make()
    const woken: string[] = []
    const sleeps = [clock.sleep(20).then(() => woken.push('long')), clock.sleep(1).then(() => woken.push('short'))]
    await pass(30)
    await Promise.all(sleeps)
    t.same(woken, ['short', 'long'])
  })
  await t.test('a sleep of nothing, or less, resolves', async () => {
    const { clock, pass } = make()
    const sleeps = [clock.sleep(0), clock.sleep(-5)]
    await pass(1)
    await Promise.all(sleeps)
  })
  for (const ms of [2 ** 31 - 1, 2 ** 31, 30 * dayMs, 400 * dayMs]) {
    await t.test(`a sleep of ${ms} ms does not resolve at once`, async (t) => {
      const { clock, pass } = make()
      const stop = new AbortController()
      const long = clock.sleep(ms, stop.signal)
      const first = Promise.race([long.then(() => 'long'), pass(5).then(() => 'short')])
      t.equal(await first, 'short')
      stop.abort()
      await t.rejects(long)
    })
  }
  await t.test('an aborted sleep rejects with the reason of the signal', async (t) => {
    const { clock } = make()
    const stop = new AbortController()
    const reason = new Error('stopped')
    const sleep = clock.sleep(30 * dayMs, stop.signal)
    stop.abort(reason)
    t.equal(await sleep.catch((error) => error), reason)
    t.equal(await clock.sleep(1, stop.signal).catch((error) => error), reason, 'and so does one that begins after the abort')
  })
  await t.test('a sleep that ended leaves nothing on its signal', async (t) => {
    const { clock, pass } = make()
    const stop = new AbortController()
    const sleep = clock.sleep(1, stop.signal)
    await pass(5)
    await sleep
    t.equal(getEventListeners(stop.signal, 'abort').length, 0)
  })
  await t.test('an alarm rings once its time has passed, once; one that was called off does not', async (t) => {
    const { clock, pass } = make()
    const rung: string[] = []
    const callOff = alarm(clock, 20, () => rung.push('called off'))
    const late = alarm(clock, 1, () => rung.push('in time'))
    const far = alarm(clock, 30 * dayMs, () => rung.push('too early'))
    callOff()
    await pass(30)
    late()
    far()
    t.same(rung, ['in time'])
  })
}
