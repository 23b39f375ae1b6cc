import { setImmediate } from 'node:timers/promises'
import { AgentError, handlerTransport, systemClock, type Transport } from '@certfleet/agent-core'
import {
  assignProfiles,
  createLab,
  type DeviceOutcome,
  type FleetOptions,
  generateTenant,
  type Lab,
  loadExport,
  renderPolicy,
  retarget,
  runFleet,
} from '@certfleet/emulator'
import { type FleetTarget, policyServiceTarget } from '@certfleet/emulator/fleet'
import t from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { FakeClock } from '../fakes/clock.ts'
import { dueAt, fleetOptions, recordingMeter, testPush } from '../fakes/fleet-options.ts'
import { labStore } from '../fakes/lab-store.ts'
import { testEmulationKeys } from './emulated-keys.ts'

const origin = 'http://lab.invalid'
const tenant = generateTenant({ counts: { ios: 2, android: 1 }, domain: 'contoso.example' })
const devices = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
let decision: 'issue' | 'pending' = 'issue'
const lab = await labOf(systemClock)

interface Given extends Partial<FleetOptions> {
  readonly registrationToken?: string
}

function optionsOf({ registrationToken = 'token', ...overrides }: Given): FleetOptions {
  const { clock = systemClock } = overrides
  return fleetOptions({ specs: devices, transport: handlerTransport(lab.handle), clock, registrationToken }, overrides)
}

const firstOf = (facts: object = {}) => [{ spec: { ...(devices[0] as (typeof devices)[0]), ...facts }, index: 0 }]

t.test('every device enrols once, and its certificates are kept', async (t) => {
  const kept: string[] = []
  const ended: DeviceOutcome[] = []
  const meter = recordingMeter()
  const outcome = await runFleet(
    optionsOf({
      meter,
      keep: async (deviceId, certificates) => void kept.push(`${deviceId} ${certificates.map(({ chain }) => chain.length)}`),
      onDevice: (_, device) => void ended.push(device),
    }),
  )
  t.equal(outcome.interrupted, false)
  t.strictSame(
    outcome.devices.map(({ deviceId }) => deviceId),
    devices.map(({ id }) => id),
    'in the order of the options',
  )
  for (const device of outcome.devices) {
    t.match(device, { rootsInstalled: 1, certificatesInstalled: 1, pending: 0, failures: [] })
    const os = device.platform === 'ios' ? { Status: 'Acknowledged' } : { state: 'CERT_ACCESS_GRANTED' }
    t.match(device.profiles, [{ principal: 'user', state: 'installed', os }])
  }
  t.strictSame(kept.sort(), ['android-000001 3', 'ios-000001 3', 'ios-000002 3'])
  t.equal(ended.length, 3)
  t.equal(meter.durationsMs('enrollment').length, 3)
  t.strictSame(meter.completions, [true, true, true])
})

t.test('a failure is an outcome', async (t) => {
  const rows: [string, Given, object[]][] = [
    ['a service that cannot be reached', { transport: failing(() => true) }, [{ code: 'ERR_NETWORK', message: 'cut' }]],
    ['a registration that is refused', { registrationToken: 'other' }, [{ code: 'ERR_UNAUTHORIZED' }]],
    ['a policy that cannot be fetched', { transport: failing((url) => url.endsWith('/policy')) }, [{ code: 'ERR_NETWORK' }]],
    [
      'a SCEP server that cannot be reached',
      { transport: failing((url) => url.includes('/mscep/')) },
      [{ subject: /^user\//, code: 'ERR_NETWORK' }],
    ],
  ]
  for (const [name, overrides, failures] of rows) {
    const meter = recordingMeter()
    const { devices: outcomes } = await runFleet(optionsOf({ ...overrides, meter, devices: firstOf() }))
    t.match(outcomes, [{ deviceId: 'ios-000001', certificatesInstalled: 0 }], name)
    t.strictSame([meter.durationsMs('enrollment'), meter.completions], [[], [false]], name)
    t.match(outcomes[0]?.failures, failures, name)
    t.equal(outcomes[0]?.failures.length, 1, name)
  }
})

t.test('only a device that may get PFX registers a management certificate', async (t) => {
  for (const receivesPfx of [false, true]) {
    const registered: boolean[] = []
    const transport = handlerTransport(async (request) => {
      if (request.url.endsWith('/register'))
        registered.push('managementCertificate' in JSON.parse(Buffer.from(request.body ?? []).toString()))
      return lab.handle(request)
    })
    const { devices: outcomes } = await runFleet(optionsOf({ transport, devices: firstOf({ receivesPfx }) }))
    t.match(outcomes, [{ certificatesInstalled: 1, failures: [] }])
    t.strictSame(registered, [receivesPfx])
  }
})

t.test('a report that cannot be delivered is told beside what was done', async (t) => {
  const { devices: outcomes } = await runFleet(optionsOf({ transport: failing((url) => url.endsWith('/report')), devices: firstOf() }))
  t.match(outcomes, [{ rootsInstalled: 1, certificatesInstalled: 1, failures: [{ code: 'ERR_NETWORK' }] }])
})

t.test('a pending request is polled until the CA decides; its latency counts from when its device was due', async (t) => {
  const clock = new FakeClock(systemClock.now())
  decision = 'pending'
  const own = await labOf(clock)
  let ended = false
  let polls = 0
  const transport = watching(own, (url) => {
    polls += url.includes('PKIOperation') ? 1 : 0
    if (polls === 2) decision = 'issue'
  })
  const meter = recordingMeter()
  const begunAt = clock.now()
  const running = runFleet(optionsOf({ devices: firstOf(), clock, transport, meter })).finally(() => {
    ended = true
  })
  // Time passes only once the challenge is with the CA: keys are made in real time, and an hour of the other would outlive it.
  while (!ended) await (polls === 0 ? setImmediate() : clock.advance(1_000))
  const { devices: outcomes } = await running
  t.match(outcomes, [{ certificatesInstalled: 1, pending: 0, failures: [] }])
  t.ok(polls >= 2, `${polls} requests`)
  t.strictSame(meter.durationsMs('enrollment').length, 1)
  const [enrollmentMs = 0] = meter.durationsMs('enrollment')
  t.ok(enrollmentMs > 1_000 && enrollmentMs <= clock.now() - begunAt, `${enrollmentMs} ms`)
})

t.test("an abort leaves the rest undone, and is nobody's failure", async (t) => {
  const abort = new AbortController()
  const outcome = await runFleet(optionsOf({ concurrency: 1, signal: abort.signal, onDevice: () => abort.abort() }))
  t.equal(outcome.interrupted, true)
  t.strictSame(
    outcome.devices.map(({ deviceId }) => deviceId),
    ['ios-000001'],
  )

  const before = await runFleet(optionsOf({ signal: AbortSignal.abort() }))
  t.match(before, { interrupted: true, devices: [] })

  const within = new AbortController()
  const transport = watching(lab, (url) => void (url.endsWith('/challenge') && within.abort(new Error('interrupted'))))
  const { devices: outcomes } = await runFleet(optionsOf({ transport, signal: within.signal, concurrency: 1 }))
  t.match(
    outcomes,
    [{ deviceId: 'ios-000001', rootsInstalled: 1, certificatesInstalled: 0, failures: [] }],
    'what was done until then counts',
  )
  t.equal(outcomes.length, 1)
})

/** A fleet by a clock of its own, with keys that cost nothing and push without sockets. */
async function openFleet(dueMs: readonly number[], overrides: Partial<FleetOptions> = {}) {
  const clock = new FakeClock(systemClock.now())
  const own = await labOf(clock)
  const [meter, push, abort] = [recordingMeter(), testPush(), new AbortController()]
  const inner = policyServiceTarget({ policyUrl: `${origin}/device/policy`, registrationToken: 'token', push: false })
  const target: FleetTarget = { admit: async (...asked) => ({ ...(await inner.admit(...asked)), connectPush: push.connect }) }
  const ended: string[] = []
  const fleet = { specs: devices, transport: handlerTransport(own.handle), clock, keys: await testEmulationKeys() }
  const options = fleetOptions(fleet, {
    devices: dueAt(devices, ...dueMs),
    target,
    meter,
    signal: abort.signal,
    onDevice: (_, { deviceId }) => void ended.push(deviceId),
    ...overrides,
  })
  let isOver = false
  const outcome = runFleet(options).finally(() => {
    isOver = true
  })
  return { clock, meter, push, abort, ended, outcome, startedAt: options.startedAt, isOver: () => isOver }
}

/** Lets what is under way go on, in no time of the clock, until it is there. */
async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await setImmediate()
}

t.test('devices begin when they are due, whoever else is at work, and their lateness is told', async (t) => {
  const { clock, meter, ended, outcome } = await openFleet([0, 60_000, 30_000], { concurrency: 1_000 })
  await until(() => ended.length === 1)
  t.strictSame(meter.begun, [[0, 0]], 'the others wait')
  await clock.advance(29_999)
  t.equal(meter.begun.length, 1)
  await clock.advance(1)
  await until(() => ended.length === 2)
  await clock.advance(30_000)
  const { devices: outcomes } = await outcome
  t.strictSame(meter.begun, [
    [0, 0],
    [30_000, 0],
    [60_000, 0],
  ])
  t.strictSame(ended, ['ios-000001', 'android-000001', 'ios-000002'])
  t.strictSame(
    outcomes.map(({ certificatesInstalled }) => certificatesInstalled),
    [1, 1, 1],
  )
  t.strictSame(meter.durationsMs('enrollment'), [0, 0, 0], 'of each from its own moment')
})

t.test('who has to wait for room begins late, and that is in its latency', async (t) => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const keep = (deviceId: string) => (deviceId === 'ios-000001' ? held : Promise.resolve())
  const { clock, meter, ended, outcome } = await openFleet([0, 1_000, Number.POSITIVE_INFINITY], { concurrency: 1, keep })
  await until(() => meter.durationsMs('enrollment').length === 1)
  await clock.advance(5_000)
  t.equal(meter.begun.length, 1)
  release()
  const { devices: outcomes, interrupted } = await outcome
  t.strictSame(meter.begun, [
    [0, 0],
    [1_000, 4_000],
  ])
  t.strictSame(meter.durationsMs('enrollment'), [0, 4_000])
  t.strictSame(ended, ['ios-000001', 'ios-000002'])
  t.match({ interrupted, length: outcomes.length }, { interrupted: false, length: 2 }, 'one that is never due is not waited for')
})

t.test('an abort while devices wait for their moment ends the run at once', async (t) => {
  const { abort, ended, outcome } = await openFleet([0, 60_000, 60_000])
  await until(() => ended.length === 1)
  abort.abort(new Error('interrupted'))
  t.match(await outcome, { interrupted: true, devices: [{ deviceId: 'ios-000001', certificatesInstalled: 1 }] })
  t.equal((await outcome).devices.length, 1)
})

const minuteMs = 60_000
/** Of a fleet that stays: until so long after its start. */
const staying = (untilMs: number, thinkMs = 0) => {
  const stayUntil = systemClock.now() + untilMs
  return { stayUntil, stay: { checkInMs: 10 * minuteMs, thinkMs } }
}

t.test('devices that stay check in, and at once when they are pushed; then the run is over', async (t) => {
  const { clock, meter, push, ended, outcome, isOver } = await openFleet([0, 0, 0], staying(60 * minuteMs))
  await until(() => meter.completions.length === 3)
  t.strictSame([push.open.size, meter.connections(), ended.length], [3, 3, 0])
  const checkIns = () => meter.durationsMs('check-in').length
  await clock.advance(9 * minuteMs)
  t.equal(checkIns(), 0)
  for (const wake of push.open) wake()
  await until(() => checkIns() === 3)
  await clock.advance(9 * minuteMs)
  t.equal(checkIns(), 3, 'the interval begins anew')
  await clock.advance(minuteMs)
  await until(() => checkIns() === 6)
  await clock.advance(39 * minuteMs)
  t.equal(isOver(), false)
  await clock.advance(2 * minuteMs)
  const { devices: outcomes, durationMs, interrupted } = await outcome
  t.match(
    outcomes,
    [1, 1, 1].map((certificatesInstalled) => ({ certificatesInstalled, pending: 0, failures: [] })),
  )
  t.strictSame([push.open.size, meter.connections(), ended.length, interrupted], [0, 0, 3, false])
  t.ok(durationMs >= 59 * minuteMs && durationMs <= 61 * minuteMs, `${durationMs} ms`)
})

t.test('a device pauses before each check-in but the first', async (t) => {
  const { clock, meter, abort, outcome } = await openFleet(
    [0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    staying(60 * minuteMs, minuteMs),
  )
  await until(() => meter.completions.length === 1)
  await clock.advance(10 * minuteMs)
  t.equal(meter.durationsMs('check-in').length, 0, 'it thinks')
  await clock.advance(minuteMs)
  await until(() => meter.durationsMs('check-in').length === 1)
  abort.abort(new Error('interrupted'))
  t.match(await outcome, { interrupted: true, devices: [{ certificatesInstalled: 1, failures: [] }] })
})

t.test('the run is over at its end, whoever is pending or not due', async (t) => {
  decision = 'pending'
  t.teardown(() => {
    decision = 'issue'
  })
  const { clock, meter, outcome } = await openFleet([0, 0, 5 * minuteMs], staying(2 * minuteMs))
  await until(() => meter.begun.length === 2 && clock.sleeping >= 3)
  for (let i = 0; i < 50; i++) await setImmediate()
  await clock.advance(3 * minuteMs)
  const { devices: outcomes } = await outcome
  t.match(outcomes, [
    { certificatesInstalled: 0, pending: 1, failures: [] },
    { certificatesInstalled: 0, pending: 1, failures: [] },
  ])
  t.equal(outcomes.length, 2, 'the third was not due')
})

t.test('a bug ends the run', async (t) => {
  const bug = new TypeError('a bug')
  const transport: Transport = { send: () => Promise.reject(bug) }
  await t.rejects(runFleet(optionsOf({ transport })), bug)
  await t.rejects(runFleet(optionsOf({ keep: () => Promise.reject(bug) })), bug)
})

function failing(isCut: (url: string) => boolean): Transport {
  return watching(lab, (url) => {
    if (isCut(url)) throw new AgentError('ERR_NETWORK', 'cut')
  })
}

function watching(of: Lab, onRequest: (url: string) => void): Transport {
  return handlerTransport(async (request) => {
    onRequest(request.url)
    return of.handle(request)
  })
}

async function labOf(clock: typeof systemClock): Promise<Lab> {
  const own: Lab = await createLab({
    store: await labStore(clock),
    clock,
    registrationToken: 'token',
    approve: () => decision,
    policyFor: (deviceId) => renderPolicy(intent, tenant, deviceId, { revision: 1 }),
  })
  const pointed = retarget(await loadExport(exampleProfiles), { root: own.rootCertificate, scepUrl: `${origin}/certsrv/mscep/mscep.dll` })
  const { intent } = assignProfiles(pointed.imported, tenant)
  return own
}
