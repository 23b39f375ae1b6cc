import { seededJitter, systemClock, systemJitter } from '@certfleet/agent-core/system'
import t from 'tap'
import { clockContract } from './contracts/clock.ts'
import { jitterContract } from './contracts/jitter.ts'
import { FakeClock } from './fakes/clock.ts'

await t.test('the system clock', (t) => clockContract(t, () => ({ clock: systemClock, pass: (ms) => systemClock.sleep(ms) })))

await t.test('the fake clock', async (t) => {
  await clockContract(t, () => {
    const clock = new FakeClock()
    return { clock, pass: (ms) => clock.advance(ms) }
  })
  await t.test('wakes each sleeper at its own moment, and those that it sets off', async (t) => {
    const clock = new FakeClock(1000)
    const at: number[] = []
    const twice = async () => {
      await clock.sleep(10)
      at.push(clock.now())
      await clock.sleep(10)
      at.push(clock.now())
    }
    const done = twice()
    await clock.advance(19)
    t.same(at, [1010])
    await clock.advance(1)
    await done
    t.same(at, [1010, 1020])
    t.equal(clock.sleeping, 0)
  })
})

await t.test('jitter', async (t) => {
  for (const [name, jitter] of [
    ['of the system', systemJitter],
    ['seeded', seededJitter('seed')],
  ] as const) {
    await t.test(name, (t) => jitterContract(t, jitter))
  }
  await t.test('the same seed gives the same numbers, another seed others', async (t) => {
    const draw = (seed: string) => {
      const jitter = seededJitter(seed)
      return Array.from({ length: 8 }, () => jitter.between(0, 1e9))
    }
    t.same(draw('1/device/7'), draw('1/device/7'))
    t.notSame(draw('1/device/7'), draw('1/device/8'))
  })
})
