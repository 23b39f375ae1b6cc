import { AgentError, type CachedPolicy, memoryPolicyCache, type PolicyCache, policyService } from '@certfleet/agent-core'
import t from 'tap'
import { emptyPolicy, policySourceContract } from '../contracts/policy-source.ts'
import { answer, type FakeService, fakeService, policyUrl } from './fake-service.ts'

const signal = new AbortController().signal

function sourceOf(service: FakeService, cache: PolicyCache = memoryPolicyCache()) {
  const stale: string[] = []
  const { policySource } = policyService({
    policyUrl,
    credential: 'credential-1',
    deviceId: 'device-1',
    transport: service.transport,
    cache,
    onStale: ({ code }) => stale.push(code),
  })
  return { source: policySource, cache, stale }
}

await t.test('it keeps the contract', (t) =>
  policySourceContract(t, async () => {
    const service = fakeService()
    return {
      source: sourceOf(service).source,
      publish: (document) => void service.answers.set('policy', () => answer(200, document)),
      cut: () => {
        service.cut = true
      },
    }
  }),
)

await t.test('the request', async (t) => {
  const service = fakeService()
  service.answers.set('policy', ({ headers }) =>
    headers['if-none-match'] === '"7"' ? answer(304) : answer(200, emptyPolicy, { etag: '"7"' }),
  )
  const { source, stale } = sourceOf(service)
  const first = await source.fetch(signal)
  t.same(await source.fetch(signal), first, '304 is the last good copy')
  t.same(
    service.requests.map(({ method, url, headers }) => [method, url, headers.authorization, headers['if-none-match']]),
    [
      ['GET', policyUrl, 'Bearer credential-1', undefined],
      ['GET', policyUrl, 'Bearer credential-1', '"7"'],
    ],
  )
  t.same(stale, [], 'which is not stale')
})

await t.test('a policy is in the cache before it is returned: one that cannot be kept is not given', async (t) => {
  const service = fakeService()
  service.answers.set('policy', () => answer(200, emptyPolicy))
  const full = new AgentError('ERR_STATE_IO', 'the disk is full')
  const { source } = sourceOf(service, { load: async () => undefined, save: () => Promise.reject(full) })
  t.equal(await source.fetch(signal).catch((error) => error), full)
})

await t.test('with a last good copy of revision 3', async (t) => {
  const published = answer(200, emptyPolicy, { etag: '"3"' })
  const good: CachedPolicy = { etag: '"3"', body: published.body }
  const primed = async () => {
    const service = fakeService()
    const cache = memoryPolicyCache()
    await cache.save(good)
    return { service, ...sourceOf(service, cache) }
  }
  for (const status of [429, 500, 503]) {
    await t.test(`${status} gives the copy and tells that it is stale`, async (t) => {
      const { service, source, stale } = await primed()
      service.answers.set('policy', () => answer(status))
      t.equal((await source.fetch(signal)).revision, 3)
      t.same(stale, ['ERR_HTTP_STATUS'])
    })
  }
  await t.test('without a copy the error says how long the service wants to be left alone', async (t) => {
    const service = fakeService()
    const { source } = sourceOf(service, memoryPolicyCache())
    for (const [status, headers, retryAfterMs] of [
      [503, { 'retry-after': '120' }, 120_000],
      [429, { 'retry-after': '86401' }, 86_400_000],
      [500, { 'retry-after': '120' }, undefined],
      [503, {}, undefined],
    ] as const) {
      service.answers.set('policy', () => answer(status, '', headers))
      t.equal((await source.fetch(signal).catch((error) => error)).retryAfterMs, retryAfterMs, `${status} ${JSON.stringify(headers)}`)
    }
  })
  await t.test('no network gives the copy and tells that it is stale', async (t) => {
    const { service, source, stale } = await primed()
    service.cut = true
    t.equal((await source.fetch(signal)).revision, 3)
    t.same(stale, ['ERR_NETWORK'])
  })
  for (const [name, response, code] of [
    ['401', answer(401), 'ERR_UNAUTHORIZED'],
    ['403', answer(403), 'ERR_UNAUTHORIZED'],
    ['404', answer(404), 'ERR_HTTP_STATUS'],
    ['a redirect', answer(302), 'ERR_HTTP_STATUS'],
    ['a lower revision', answer(200, { ...emptyPolicy, revision: 2 }), 'ERR_POLICY_ROLLBACK'],
    ['the same revision with other content', answer(200, { ...emptyPolicy, note: 'new' }), 'ERR_POLICY_ROLLBACK'],
    ['a document that is invalid', answer(200, { ...emptyPolicy, revision: '4' }), 'ERR_POLICY_INVALID'],
    ['a document of another device', answer(200, { ...emptyPolicy, revision: 4, deviceId: 'device-2' }), 'ERR_POLICY_INVALID'],
  ] as const) {
    await t.test(`${name} is ${code}, and the copy stays`, async (t) => {
      const { service, source, cache, stale } = await primed()
      service.answers.set('policy', () => response)
      await t.rejects(source.fetch(signal), { code })
      t.same(await cache.load(), good)
      t.same(stale, [])
    })
  }
  await t.test('the same revision and content in other bytes is accepted', async (t) => {
    const { service, source, cache } = await primed()
    const { schemaVersion, ...rest } = emptyPolicy
    const reordered = answer(200, JSON.stringify({ ...rest, schemaVersion }, null, 2), { etag: '"other"' })
    service.answers.set('policy', () => reordered)
    t.equal((await source.fetch(signal)).revision, 3)
    t.equal((await cache.load())?.etag, '"other"')
  })
})

await t.test('304 without a copy is ERR_HTTP_STATUS', async (t) => {
  const service = fakeService()
  service.answers.set('policy', () => answer(304))
  await t.rejects(sourceOf(service).source.fetch(signal), { code: 'ERR_HTTP_STATUS' })
})

for (const [name, document] of [
  ['that cannot be read', { ...emptyPolicy, schemaVersion: 9 }],
  ['of another device', { ...emptyPolicy, deviceId: 'device-2' }],
] as const) {
  await t.test(`a copy ${name} is ERR_STATE_INVALID, because nothing else stands against a rollback`, async (t) => {
    const service = fakeService()
    service.answers.set('policy', () => answer(200, emptyPolicy))
    const cache = memoryPolicyCache()
    await cache.save({ body: answer(200, document).body })
    await t.rejects(sourceOf(service, cache).source.fetch(signal), { code: 'ERR_STATE_INVALID' })
    t.equal(service.requests.length, 0)
  })
}
