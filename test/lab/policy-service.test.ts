import { handlerTransport, parsePolicy, policyService, registerDevice } from '@certfleet/agent-core'
import t from 'tap'
import { challengeFor, jsonOf, policyWith, post, register, registrationToken, startLab, wifi } from './surroundings.ts'

t.test('registration', async (t) => {
  const { lab } = await startLab()
  const body = { deviceId: 'device-1', platform: 'ios', osVersion: '18.1' }
  const status = async (of: object, credential?: string) => (await post(lab, '/device/register', of, credential)).status
  t.equal(await status(body), 401, 'without a token')
  t.equal(await status({ ...body, registrationToken: 'guess' }), 401)
  t.equal(await status(body, 'guess'), 401)
  t.equal(await status({ ...body, registrationToken }), 201)
  t.equal(await status(body, registrationToken), 201, 'the token as bearer')
  t.equal(await status({ ...body, deviceId: '' }, registrationToken), 400)
  t.equal(await status({ ...body, deviceId: 'a'.repeat(256) }, registrationToken), 201)
  t.equal(await status({ ...body, deviceId: 'a'.repeat(257) }, registrationToken), 400)
  t.equal(await status({ ...body, deviceId: 'a\nb' }, registrationToken), 400)
  t.equal(await status({ ...body, platform: undefined }, registrationToken), 400)
  t.equal(await status({ ...body, deviceId: '__proto__' }, registrationToken), 201)
})

t.test('registering again replaces the credential and ends what the old one had open', async (t) => {
  const { lab } = await startLab()
  const before = await register(lab)
  let closed = 0
  lab.connectPush({ authorization: `Bearer ${before}` }, { send: () => {}, close: () => closed++ })
  const after = await register(lab)
  const policy = async (credential: string) =>
    (await lab.handle({ method: 'GET', url: '/device/policy', headers: { authorization: `Bearer ${credential}` } })).status
  t.match(before, /^[\w-]{43}$/)
  t.not(after, before)
  t.equal(await policy(before), 401)
  t.equal(await policy(after), 200)
  t.equal(closed, 1)
  t.equal(lab.wake('device-1'), 0)
  t.same(
    lab.audit().map(({ event }) => event),
    ['registered', 'credential-rotated'],
  )
})

t.test('all but registration is refused without a credential, and is told nothing', async (t) => {
  const { lab } = await startLab()
  const good = await register(lab)
  const rows: ['GET' | 'POST', string][] = [
    ['GET', '/device/policy'],
    ['GET', '/device/push'],
    ['POST', '/device/challenge'],
    ['POST', '/device/report'],
  ]
  const headers: Record<string, string>[] = [
    {},
    { authorization: 'Bearer' },
    { authorization: good },
    { authorization: `Basic ${good}` },
    { authorization: `Bearer ${good}x` },
    { authorization: `Bearer ${registrationToken}` },
  ]
  for (const [method, url] of rows) {
    const answers = await Promise.all(
      headers.map((each) => lab.handle({ method, url, headers: each, ...(method === 'POST' && { body: Buffer.from('{}') }) })),
    )
    t.ok(
      answers.every(({ status, body }) => status === 401 && body.length === 0),
      url,
    )
    t.not((await lab.handle({ method, url, headers: { authorization: `Bearer ${good}` } })).status, 401, url)
    const other = method === 'GET' ? 'POST' : 'GET'
    t.equal((await lab.handle({ method: other, url, headers: {} })).status, 405, url)
  }
})

t.test('the policy has an ETag, and a revision that rises with its content', async (t) => {
  const { lab, policies, store } = await startLab()
  const credential = await register(lab)
  const get = async (ifNoneMatch?: string) => {
    const response = await lab.handle({
      method: 'GET',
      url: '/device/policy',
      headers: { authorization: `Bearer ${credential}`, ...(ifNoneMatch && { 'if-none-match': ifNoneMatch }) },
    })
    return { status: response.status, etag: response.headers.etag ?? '', revision: jsonOf(response)?.revision }
  }
  const first = await get()
  t.match(first, { status: 200, revision: 1, etag: /^"[0-9a-f]{32}"$/ })
  t.same(await get(), first)
  t.match(await get(first.etag), { status: 304, etag: first.etag })
  t.match(await get(`"other", W/${first.etag}`), { status: 304 })
  t.match(await get('"other"'), { status: 200 })
  policies.set('device-1', policyWith({ ...wifi, subject: 'CN=new' }))
  const second = await get(first.etag)
  t.match(second, { status: 200, revision: 2 })
  policies.set('device-1', policyWith(wifi))
  t.equal((await get()).revision, 3, 'back to what it was is a new revision')
  policies.set('device-1', { ...policyWith(wifi), revision: 10 })
  t.equal((await get()).revision, 10, 'one that the tenant raised is kept')
  policies.delete('device-1')
  t.equal((await get()).status, 404)
  policies.set('device-1', policyWith())
  const { lab: restarted } = await startLab({ store, policyFor: (id) => policies.get(id) })
  const response = await restarted.handle({ method: 'GET', url: '/device/policy', headers: { authorization: `Bearer ${credential}` } })
  t.equal(jsonOf(response).revision, 11, 'over a restart too')
  t.equal(parsePolicy(response.body, 'device-1').revision, 11)
})

t.test('a device is woken when its policy rises, and when it is asked to', async (t) => {
  const { lab, policies } = await startLab()
  policies.set('device-2', { ...policyWith(wifi), deviceId: 'device-2' })
  const heard: string[] = []
  const connect = async (deviceId: string) => {
    const authorization = `Bearer ${await register(lab, deviceId)}`
    await lab.handle({ method: 'GET', url: '/device/policy', headers: { authorization } })
    return lab.connectPush({ authorization }, { send: (text) => heard.push(`${deviceId} ${text}`), close: () => {} })
  }
  const disconnect = await connect('device-1')
  await connect('device-2')
  t.equal(await lab.policiesChanged(), 0)
  policies.set('device-1', policyWith())
  t.equal(await lab.policiesChanged(), 1)
  t.equal(await lab.policiesChanged(), 0)
  policies.set('device-2', { ...policyWith(), deviceId: 'device-2' })
  t.equal(await lab.policiesChanged(['device-1']), 0, 'nobody else is woken')
  t.equal(await lab.policiesChanged(['device-2']), 1)
  t.equal(lab.wake('device-3'), 0)
  t.same(heard, ['device-1 {"type":"wake"}', 'device-2 {"type":"wake"}'])
  disconnect?.()
  t.equal(lab.wake('device-1'), 0)
  t.equal(lab.connectPush({}, { send: () => {}, close: () => {} }), undefined)
})

t.test("reports: each device's last one", async (t) => {
  const { lab, clock } = await startLab()
  const credential = await register(lab)
  const report = { revision: 1, at: 5, platform: 'Windows', results: [], roots: [], profiles: [{ profileId: 'wifi', state: 'installed' }] }
  const status = async (body: unknown) => (await post(lab, '/device/report', body, credential)).status
  t.equal(await status(report), 204)
  await clock.advance(1000)
  t.equal(await status({ ...report, revision: 2 }), 204)
  t.equal(await status({ ...report, revision: 'three' }), 400)
  t.equal(await status([]), 400)
  t.same([...lab.reports()], [{ deviceId: 'device-1', at: clock.now(), report: { ...report, revision: 2 } }])
})

t.test("the agent's own client and the lab understand each other", async (t) => {
  const { lab } = await startLab()
  const policyUrl = 'http://lab.example/device/policy'
  const transport = handlerTransport(lab.handle)
  const { deviceId, credential } = await registerDevice({
    policyUrl,
    transport,
    registrationToken,
    deviceId: 'device-1',
    platform: 'android',
    osVersion: '15',
  })
  const { challengeSource } = policyService({
    policyUrl,
    transport,
    credential,
    deviceId,
    cache: { load: async () => undefined, save: async () => {} },
  })
  const { signal } = new AbortController()
  t.equal(await challengeSource.challengeFor('wifi', 'attempt-1', signal), await challengeFor(lab, credential))
  await t.rejects(challengeSource.challengeFor('unknown', 'attempt-1', signal), { code: 'ERR_CHALLENGE_UNAVAILABLE' })
})

t.test('a flood of refusals fills 10,000 entries of the audit and no more', async (t) => {
  const { lab, store } = await startLab()
  for (let i = 0; i < 10_003; i++) await post(lab, '/device/register', {})
  const [oldest, ...others] = lab.audit()
  t.equal(others.length, 9_999)
  t.equal(oldest?.sequence, 4)
  const { lab: restarted } = await startLab({ store })
  await post(restarted, '/device/register', {})
  t.equal(restarted.audit().at(-1)?.sequence, 10_004, 'a restart counts on')
})
