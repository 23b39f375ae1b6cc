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
import t from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'

const origin = 'http://lab.invalid'
const tenant = generateTenant({ counts: { ios: 2, android: 1 }, domain: 'contoso.example' })
const devices = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
let decision: 'issue' | 'pending' = 'issue'
const lab = await labOf(systemClock)

function optionsOf(overrides: Partial<FleetOptions>): FleetOptions {
  return {
    devices,
    seed: 1,
    concurrency: 4,
    policyUrl: `${origin}/device/policy`,
    registrationToken: 'token',
    transport: handlerTransport(lab.handle),
    clock: systemClock,
    legacyDes: false,
    legacySha1: false,
    signal: new AbortController().signal,
    ...overrides,
  }
}

t.test('every device enrols once, and its certificates are kept', async (t) => {
  const kept: string[] = []
  const ended: DeviceOutcome[] = []
  const outcome = await runFleet(
    optionsOf({
      keep: async (deviceId, certificates) => void kept.push(`${deviceId} ${certificates.map(({ chain }) => chain.length)}`),
      onDevice: (device) => void ended.push(device),
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
    t.equal(device.enrollmentMs.length, 1)
    const os = device.platform === 'ios' ? { Status: 'Acknowledged' } : { state: 'CERT_ACCESS_GRANTED' }
    t.match(device.profiles, [{ principal: 'user', state: 'installed', os }])
  }
  t.strictSame(kept.sort(), ['android-000001 3', 'ios-000001 3', 'ios-000002 3'])
  t.equal(ended.length, 3)
})

t.test('a failure is an outcome', async (t) => {
  const rows: [string, Partial<FleetOptions>, object[]][] = [
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
    const { devices: outcomes } = await runFleet(optionsOf({ ...overrides, devices: devices.slice(0, 1) }))
    t.match(outcomes, [{ deviceId: 'ios-000001', certificatesInstalled: 0, enrollmentMs: [] }], name)
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
    const { devices: outcomes } = await runFleet(
      optionsOf({ transport, devices: devices.slice(0, 1).map((device) => ({ ...device, receivesPfx })) }),
    )
    t.match(outcomes, [{ certificatesInstalled: 1, failures: [] }])
    t.strictSame(registered, [receivesPfx])
  }
})

t.test('a report that cannot be delivered is told beside what was done', async (t) => {
  const { devices: outcomes } = await runFleet(
    optionsOf({ transport: failing((url) => url.endsWith('/report')), devices: devices.slice(0, 1) }),
  )
  t.match(outcomes, [{ rootsInstalled: 1, certificatesInstalled: 1, failures: [{ code: 'ERR_NETWORK' }] }])
})

t.test('a pending request is polled until the CA decides; its latency counts from the request', async (t) => {
  const clock = new FakeClock(systemClock.now())
  decision = 'pending'
  const own = await labOf(clock)
  let ended = false
  let polls = 0
  const transport = watching(own, (url) => {
    polls += url.includes('PKIOperation') ? 1 : 0
    if (polls === 2) decision = 'issue'
  })
  const running = runFleet(optionsOf({ devices: devices.slice(0, 1), clock, transport })).finally(() => {
    ended = true
  })
  // Time passes only once the challenge is with the CA: keys are made in real time, and an hour of the other would outlive it.
  while (!ended) await (polls === 0 ? setImmediate() : clock.advance(1_000))
  const { devices: outcomes } = await running
  t.match(outcomes, [{ certificatesInstalled: 1, pending: 0, failures: [] }])
  t.ok(polls >= 2, `${polls} requests`)
  t.equal(outcomes[0]?.enrollmentMs.length, 1)
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
