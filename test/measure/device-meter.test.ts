import {
  type ActionResult,
  type Agent,
  AgentError,
  createAgent,
  handlerTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  registerDevice,
  type Transport,
} from '@certfleet/agent-core'
import { seededJitter } from '@certfleet/agent-core/system'
import {
  assignProfiles,
  createLab,
  generateTenant,
  type Lab,
  type LabOptions,
  loadExport,
  renderPolicy,
  retarget,
} from '@certfleet/emulator'
import { platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { meterDevice } from '#emulator/measure/device-meter.ts'
import type { SpanName, Tracing } from '#emulator/measure/spans.ts'
import { stepOf } from '#emulator/measure/timed-ports.ts'
import type { Meter, Step, StepError } from '#emulator/measure/types.ts'
import { exampleProfiles } from '../commands/example.ts'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool, pooledKeys } from '../fakes/pooled-keys.ts'

const origin = 'http://lab.invalid'
const policyUrl = `${origin}/device/policy`
const tenant = generateTenant({ counts: { ios: 1 }, domain: 'contoso.example' })
const [spec] = [...tenant.devices.values()] as [typeof tenant.devices extends ReadonlyMap<string, infer D> ? D : never]
const pool = await makeKeyPool(1)
const startedAt = 1_700_000_000_000
const dueMs = -2_500

/** A device that was due before it begins, with everything that is measured of it. */
async function measuredDevice(
  clock: FakeClock,
  lab: Lab,
  on: (url: string) => Partial<Awaited<ReturnType<Transport['send']>>> | undefined = () => undefined,
) {
  const taken: [Step, number][] = []
  const errors: StepError[] = []
  const counts: (string | number | boolean)[][] = []
  const spans: SpanName[] = []
  const tracing: Tracing = {
    span(name, _attributes, work) {
      spans.push(name)
      return work()
    },
  }
  const meter: Meter = {
    step: (step, _platform, durationMs) => void taken.push([step, durationMs]),
    error: (error) => void errors.push(error),
    started: (dueMs, lateMs) => void counts.push(['started', dueMs, lateMs]),
    completed: (isGood) => void counts.push(['completed', isGood]),
    connected: (change) => void counts.push(['connected', change]),
    pending: (change) => void counts.push(['pending', change]),
  }
  const measured = meterDevice({ spec, dueMs, meter, tracing, sinceStartMs: () => clock.now() - startedAt })
  const transport = measured.transport(
    handlerTransport(async (request) => {
      const answer = on(request.url)
      return answer ? { status: 200, headers: {}, body: new Uint8Array(), ...answer } : lab.handle(request)
    }),
  )
  const jitter = seededJitter('1')
  const adapter = platformAdapter(spec.platform, {
    osVersion: '17.0',
    keyStorageProviders: [pooledKeys(pool)],
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    allowHttp: true,
    userConsent: async () => 'granted',
    ...{ transport, clock, jitter },
  })
  async function admitted(): Promise<Agent> {
    const { id, platform } = spec
    const { deviceId, credential } = await registerDevice({
      policyUrl,
      transport,
      registrationToken: 'token',
      deviceId: id,
      platform,
      osVersion: '17.0',
    })
    const service = policyService({ policyUrl, credential, deviceId, transport, cache: memoryPolicyCache() })
    const agent = createAgent({ ...service, clock, jitter, state: memoryState(), platform: measured.platform(adapter) })
    measured.watch(agent)
    return agent
  }
  return { measured, admitted, adapter, taken, errors, counts, spans }
}

async function labOf(clock: FakeClock, approve: NonNullable<LabOptions['approve']>): Promise<Lab> {
  const own: Lab = await createLab({
    store: await labStore(clock),
    clock,
    registrationToken: 'token',
    approve,
    policyFor: (deviceId) => renderPolicy(intent, tenant, deviceId, { revision: 1 }),
  })
  const pointed = retarget(await loadExport(exampleProfiles), { root: own.rootCertificate, scepUrl: `${origin}/certsrv/mscep/mscep.dll` })
  const { intent } = assignProfiles(pointed.imported, tenant)
  return own
}

t.test('every step of an enrolment is timed, and the enrolment from when the device was due', async (t) => {
  const clock = new FakeClock(startedAt)
  const { measured, admitted, taken, errors, counts, spans } = await measuredDevice(clock, await labOf(clock, () => 'issue'))
  const agent = await measured.pass(async () => {
    const agent = await admitted()
    await agent.runOnce()
    return agent
  })
  const order: Step[] = [
    'register',
    'policy',
    'keygen',
    'challenge',
    'GetCACert',
    'GetCACaps',
    'PKIOperation',
    'install',
    'enrollment',
    'report',
  ]
  t.strictSame(new Set(taken.map(([step]) => step)), new Set(order))
  t.equal(taken.length, order.length)
  t.equal(taken.find(([step]) => step === 'enrollment')?.[1], 2_500)
  t.strictSame(counts, [['started', dueMs, 2_500]])
  t.equal(spans[0], 'device')
  t.strictSame(
    spans.slice(1),
    taken.map(([step]) => step).filter((step) => step !== 'enrollment'),
  )

  taken.length = 0
  await measured.pass(() => agent.runOnce())
  t.strictSame(
    taken.map(([step]) => step),
    ['policy', 'report', 'check-in'],
    'the next pass is a check-in',
  )
  t.strictSame(errors, [])
})

t.test('what is pending is counted, and its polls are timed', async (t) => {
  const clock = new FakeClock(startedAt)
  let decision: 'issue' | 'pending' = 'pending'
  const { measured, admitted, taken, counts } = await measuredDevice(clock, await labOf(clock, () => decision))
  const agent = await admitted()
  const { wakeAt = 0 } = await measured.pass(() => agent.runOnce())
  decision = 'issue'
  await clock.advance(wakeAt - clock.now())
  taken.length = 0
  await measured.pass(() => agent.runOnce())
  t.strictSame(counts.slice(1), [
    ['pending', 1],
    ['pending', -1],
  ])
  const steps = taken.map(([step]) => step)
  t.ok(steps.includes('poll'))
  t.notOk(steps.includes('check-in'), 'of a device that had nothing yet')
  t.strictSame(taken.find(([step]) => step === 'enrollment')?.[1], 2_500 + wakeAt - startedAt, 'the wait is part of the enrolment')
})

t.test('an error is told with its step and what the server answered', async (t) => {
  const cut = () => {
    throw new AgentError('ERR_NETWORK', 'cut')
  }
  const answering = (part: string, answer: () => object) => (url: string) => (url.includes(part) ? answer() : undefined)
  const rows: [string, Parameters<typeof measuredDevice>[2], 'issue' | { failInfo: 'badRequest' }, Partial<StepError>][] = [
    [
      'a registration that is refused',
      answering('/register', () => ({ status: 503 })),
      'issue',
      { step: 'register', answer: 'HTTP 503', code: 'ERR_HTTP_STATUS' },
    ],
    ['a policy that is cut off', answering('/policy', cut), 'issue', { step: 'policy', answer: undefined, code: 'ERR_NETWORK' }],
    [
      'a challenge that is not to be had',
      answering('/challenge', () => ({ status: 500 })),
      'issue',
      { step: 'challenge', answer: 'HTTP 500', code: 'ERR_CHALLENGE_UNAVAILABLE' },
    ],
    [
      'a CA that answers nonsense',
      answering('PKIOperation', () => ({ status: 200 })),
      'issue',
      { step: 'PKIOperation', answer: undefined },
    ],
    [
      'a CA that refuses',
      undefined,
      { failInfo: 'badRequest' },
      { step: 'PKIOperation', answer: 'badRequest', code: 'ERR_ENROLLMENT_REJECTED' },
    ],
    [
      'a report that is refused',
      answering('/report', () => ({ status: 502 })),
      'issue',
      { step: 'report', answer: 'HTTP 502', code: 'ERR_HTTP_STATUS' },
    ],
  ]
  for (const [name, on, decision, expected] of rows) {
    const clock = new FakeClock(startedAt)
    const { measured, admitted, errors, taken } = await measuredDevice(clock, await labOf(clock, () => decision), on)
    await measured.pass(async () => (await admitted()).runOnce()).catch((error) => t.type(error, AgentError))
    t.match(errors, [{ device: spec.id, platform: spec.platform, ...expected }], name)
    t.equal(errors.length, 1, name)
    t.ok(
      taken.some(([step]) => step === expected.step),
      `${name}: the step is timed all the same`,
    )
  }
})

t.test('a bad answer belongs to its own step', async (t) => {
  const clock = new FakeClock(startedAt)
  const lab = await labOf(clock, () => ({ failInfo: 'badRequest' }))
  const { measured, admitted, errors } = await measuredDevice(clock, lab, (url) => {
    if (url.endsWith('/report')) throw new AgentError('ERR_NETWORK', 'cut')
    return undefined
  })
  await t.rejects(
    measured.pass(async () => (await admitted()).runOnce()),
    { code: 'ERR_NETWORK' },
  )
  t.strictSame(
    errors.map(({ step, answer }) => [step, answer]),
    [
      ['PKIOperation', 'badRequest'],
      ['report', undefined],
    ],
  )
})

t.test('what was interrupted is no step and no error', async (t) => {
  const clock = new FakeClock(startedAt)
  const stopped = new Error('stopped')
  const { measured, taken, errors } = await measuredDevice(clock, await labOf(clock, () => 'issue'))
  const transport = measured.transport({ send: () => Promise.reject(stopped) })
  await t.rejects(
    measured.pass(() => transport.send({ method: 'GET', url: policyUrl, headers: {} })),
    stopped,
  )
  t.strictSame([taken, errors], [[], []])
})

t.test('a wrapped platform has the members that it had', async (t) => {
  const clock = new FakeClock(startedAt)
  const { measured, adapter } = await measuredDevice(clock, await labOf(clock, () => 'issue'))
  const { import: _, ...withoutImport } = pooledKeys(pool)
  const { inapplicable: _inapplicable, shownOf: _shownOf, ...others } = adapter
  const bare = { ...others, keyStorageProviders: [withoutImport] }
  const names: string[] = Object.keys(adapter)
  const keyNames = Object.keys(pooledKeys(pool))
  const had = (of: object | undefined, all: readonly string[]) => all.filter((name) => of !== undefined && name in of)
  for (const platform of [adapter, bare]) {
    const wrapped = measured.platform(platform)
    t.strictSame(had(wrapped, names), had(platform, names))
    t.strictSame(had(wrapped.keyStorageProviders[0], keyNames), had(platform.keyStorageProviders[0], keyNames))
  }
})

t.test('later certificates count from their own beginning, failed ones from the first try, a waiting user from the last', async (t) => {
  let nowMs = 0
  const taken: number[] = []
  const meter: Meter = {
    step: (_step, _platform, ms) => void taken.push(ms),
    error() {},
    started() {},
    completed() {},
    connected() {},
    pending() {},
  }
  const listeners: Record<string, (event: never) => void> = {}
  const agent: Pick<Agent, 'on'> = {
    on(name, listener) {
      listeners[name] = listener
      return () => undefined
    },
  }
  const measured = meterDevice({ spec, dueMs: -100, meter, tracing: { span: (_name, _of, work) => work() }, sinceStartMs: () => nowMs })
  measured.watch(agent)
  const see = (atMs: number, result: Pick<ActionResult, 'status' | 'subject'> & Partial<ActionResult>) => {
    nowMs = atMs
    listeners.result?.({ kind: 'enroll', durationMs: 5, reason: 'IdentityMissing', ...result } as never)
  }
  see(10, { subject: 'user/failing', status: 'failed', code: 'ERR_NETWORK' })
  see(10, { subject: 'user/consenting', status: 'failed', code: 'ERR_USER_ACTION_REQUIRED' })
  listeners.pass?.({ report: { profiles: [] } } as never)
  see(1_000, { subject: 'user/failing', status: 'done' })
  see(2_000, { subject: 'user/consenting', status: 'done' })
  see(3_000, { subject: 'user/failing', status: 'done', kind: 'renew' })
  t.strictSame(taken, [1_100, 5, 5])
})

t.test('a push connection is a step, and up until it is down', async (t) => {
  const counts: unknown[] = []
  const meter: Meter = {
    step: (step, platform, ms) => void counts.push([step, platform, ms]),
    connected: (change) => void counts.push(change),
    completed: (isGood) => void counts.push(isGood),
    error() {},
    started() {},
    pending() {},
  }
  const device = meterDevice({ spec, dueMs: 0, meter, tracing: { span: (_name, _of, work) => work() }, sinceStartMs: () => 0 })
  const push = device.push()
  push.onDown(false)
  push.onOpen(4)
  push.onDown(true)
  device.completed(true)
  device.completed(false)
  t.strictSame(counts, [['push', 'ios', 4], 1, -1, true])
})

t.test('requests are steps by their URLs', async (t) => {
  const rows: [string, Step | undefined][] = [
    [policyUrl, 'policy'],
    [`${origin}/device/register`, 'register'],
    [`${origin}/device/pfx`, 'pfx'],
    [`${origin}/certsrv/mscep/mscep.dll?operation=GetCACaps&message=policy`, 'GetCACaps'],
    [`${origin}/certsrv/mscep/mscep.dll/pkiclient.exe?operation=PKIOperation&message=MIIB%2F`, 'PKIOperation'],
    [`${origin}/certsrv/mscep_admin/`, 'challenge'],
    [`${origin}/`, undefined],
    [`${origin}/device/policies`, undefined],
  ]
  for (const [url, step] of rows) t.equal(stepOf(url), step, url)
})
