import { handlerTransport, type Jitter, seededJitter } from '@certfleet/agent-core'
import { faultyTransport, type InjectedFault } from '@certfleet/emulator/fleet'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'

type Faults = Parameters<typeof faultyTransport>[1]['faults']

function faulty(faults: Faults, seed = '7') {
  const clock = new FakeClock()
  const told: InjectedFault[] = []
  let served = 0
  const served200 = handlerTransport(async () => ({ status: 200, headers: {}, body: Buffer.from(`${++served}`) }))
  const onFault = (fault: InjectedFault) => void told.push(fault)
  const transport = faultyTransport(served200, { faults, chance: seededJitter(seed), clock, onFault })
  const send = (signal?: AbortSignal) => transport.send({ method: 'GET', url: 'http://lab.invalid/scep', headers: {} }, signal)
  return { clock, told, send, served: () => served }
}

async function fates(faults: Faults, count: number, seed?: string): Promise<{ lost: number; told: InjectedFault[]; served: number }> {
  const { send, told, served } = faulty(faults, seed)
  const sent = await Promise.allSettled(Array.from({ length: count }, () => send()))
  return { lost: sent.filter(({ status }) => status === 'rejected').length, told, served: served() }
}

t.test('the ends of a share are none and all', async (t) => {
  t.match(await fates({}, 50), { lost: 0, told: { length: 0 }, served: 50 })
  t.match(await fates({ lostRequests: 0, lostAnswers: 0, delayed: 0 }, 50), { lost: 0, told: { length: 0 }, served: 50 })
  t.match(await fates({ lostRequests: 1 }, 50), { lost: 50, told: { length: 50 }, served: 0 })
  t.match(await fates({ lostAnswers: 1 }, 50), { lost: 50, told: { length: 50 }, served: 50 })
  const clock = new FakeClock()
  const good = handlerTransport(async () => ({ status: 200, headers: {}, body: new Uint8Array() }))
  const drawing = (between: Jitter['between'], lostRequests: number) =>
    faultyTransport(good, { faults: { lostRequests }, chance: { between }, clock, onFault: () => {} }).send({
      method: 'GET',
      url: 'http://lab.invalid/',
      headers: {},
    })
  await t.rejects(
    drawing((_least, most) => most, 1),
    { code: 'ERR_NETWORK' },
    'the highest draw is within all',
  )
  t.match(await drawing((least) => least, 0), { status: 200 }, 'the lowest draw is beyond none')
})

t.test('who loses what is told apart', async (t) => {
  await t.rejects(faulty({ lostRequests: 1 }).send(), { code: 'ERR_NETWORK', message: /^the request to lab\.invalid was lost/ })
  await t.rejects(faulty({ lostAnswers: 1 }).send(), { code: 'ERR_NETWORK', message: /^the answer of lab\.invalid was lost/ })
})

t.test('a share is kept, and told', async (t) => {
  const { lost, told, served } = await fates({ lostRequests: 0.1, lostAnswers: 0.2 }, 1_000)
  const count = (fault: InjectedFault) => told.filter((one) => one === fault).length
  t.ok(Math.abs(count('lostRequests') - 100) < 40, `${count('lostRequests')} requests`)
  t.ok(Math.abs(count('lostAnswers') - 180) < 50, `${count('lostAnswers')} answers`)
  t.equal(lost, told.length)
  t.equal(served, 1_000 - count('lostRequests'))
})

t.test('one seed gives one course; another share of answers does not move the requests', async (t) => {
  const course = async (faults: Faults, seed: string) => {
    const { send } = faulty(faults, seed)
    const sent = await Promise.allSettled(Array.from({ length: 60 }, () => send()))
    return sent.map((one) => one.status === 'rejected' && /request/.test(one.reason.message))
  }
  const first = await course({ lostRequests: 0.3 }, 'a')
  t.strictSame(await course({ lostRequests: 0.3 }, 'a'), first)
  t.strictSame(await course({ lostRequests: 0.3, lostAnswers: 0.5, delay: 1 }, 'a'), first)
  t.notSame(await course({ lostRequests: 0.3 }, 'b'), first)
})

t.test('a request is held up for no longer than asked, 1 s by default, and given up with its signal', async (t) => {
  for (const [faults, longestMs] of [
    [{ delayed: 1, delay: 200 }, 200],
    [{ delayed: 1 }, 1_000],
  ] as const) {
    const { send, clock, told } = faulty(faults)
    let isDone = false
    const sent = send().then(() => {
      isDone = true
    })
    await clock.advance(0)
    t.notOk(isDone)
    await clock.advance(longestMs)
    await sent
    t.strictSame(told, ['delayed'])
  }
  const { send, served } = faulty({ delayed: 1 })
  const abort = new AbortController()
  const sent = send(abort.signal)
  abort.abort(new Error('enough'))
  await t.rejects(sent, { message: 'enough' })
  t.equal(served(), 0)
})
