import { inspect } from 'node:util'
import { memoryPolicyCache, policyService, registerDevice } from '@certfleet/agent-core'
import t from 'tap'
import { challengeSourceContract } from '../contracts/challenge-source.ts'
import { reporterContract } from '../contracts/reporter.ts'
import { answer, type FakeService, fakeService, jsonOf, policyUrl } from './fake-service.ts'

const signal = new AbortController().signal

function clientOf({ transport }: FakeService, credential = 'credential-1') {
  return policyService({ policyUrl, credential, deviceId: 'device-1', transport, cache: memoryPolicyCache() })
}

await t.test('registration', async (t) => {
  const options = { policyUrl, registrationToken: 'token-1', deviceId: 'device-1', platform: 'fake', osVersion: '1.0' }
  await t.test('gives the id and the credential that the service chose', async (t) => {
    const service = fakeService('token-1')
    service.answers.set('register', () => answer(201, { deviceId: 'device-9', credential: 'abc.DEF-123_~+/==', more: 1 }))
    t.same(await registerDevice({ ...options, transport: service.transport }), { deviceId: 'device-9', credential: 'abc.DEF-123_~+/==' })
    const [request] = service.requests
    t.equal(request?.method, 'POST')
    t.equal(request?.url, 'https://policy.invalid/device/register')
    t.same(request && jsonOf(request), { deviceId: 'device-1', platform: 'fake', osVersion: '1.0' })
  })
  await t.test('with a token that is refused is ERR_UNAUTHORIZED', async (t) => {
    const { transport } = fakeService('another')
    await t.rejects(registerDevice({ ...options, transport }), { code: 'ERR_UNAUTHORIZED' })
  })
  for (const [name, response] of [
    ['500', answer(500)],
    ['no JSON', answer(200, 'hello')],
    ['no credential', answer(200, { deviceId: 'device-1' })],
    ['a credential that is no header value', answer(200, { deviceId: 'device-1', credential: 'hidden\r\nx: y' })],
  ] as const) {
    await t.test(`answered by ${name} is ERR_HTTP_STATUS, and nothing of the answer is told`, async (t) => {
      const service = fakeService('token-1')
      service.answers.set('register', () => response)
      const error = await registerDevice({ ...options, transport: service.transport }).catch((error) => error)
      t.equal(error.code, 'ERR_HTTP_STATUS')
      t.notMatch(inspect(error), /hidden|token-1/)
    })
  }
  await t.test('at a URL that is none is ERR_UNSUPPORTED', async (t) => {
    const { transport } = fakeService()
    await t.rejects(registerDevice({ ...options, policyUrl: 'policy', transport }), { code: 'ERR_UNSUPPORTED' })
  })
})

await t.test('the challenge', async (t) => {
  await challengeSourceContract(t, async (_, challenge) => {
    const service = fakeService()
    service.answers.set('challenge', (request) => {
      const { profileId } = jsonOf(request) as { profileId: string }
      if (profileId === 'vpn') return answer(204)
      return profileId === 'wifi' ? answer(200, { challenge }) : answer(404)
    })
    const cut = () => {
      service.cut = true
    }
    return { source: clientOf(service).challengeSource, cut }
  })
  await t.test('is asked for by profile and attempt, with the credential', async (t) => {
    const service = fakeService()
    service.answers.set('challenge', () => answer(200, { challenge: 'c' }))
    await clientOf(service).challengeSource.challengeFor('wifi', 'attempt-7', signal)
    const [request] = service.requests
    t.equal(request?.url, 'https://policy.invalid/device/challenge')
    t.equal(request?.headers.authorization, 'Bearer credential-1')
    t.same(request && jsonOf(request), { profileId: 'wifi', attemptId: 'attempt-7' })
  })
  await t.test('may have 16,384 characters', async (t) => {
    const service = fakeService()
    const challenge = 'é'.repeat(16_384)
    service.answers.set('challenge', () => answer(200, { challenge }))
    t.equal(await clientOf(service).challengeSource.challengeFor('wifi', 'a', signal), challenge)
  })
  await t.test('with a credential that is refused is ERR_UNAUTHORIZED', async (t) => {
    const { challengeSource } = clientOf(fakeService('another'))
    await t.rejects(challengeSource.challengeFor('wifi', 'a', signal), { code: 'ERR_UNAUTHORIZED' })
  })
  for (const [name, body] of [
    ['of another shape', { challenges: 'hidden' }],
    ['that is empty', { challenge: '', note: 'hidden' }],
    ['of 16,385 characters', { challenge: 'hidden'.padEnd(16_385, 'x') }],
    ['torn', '{"challenge":"hidden'],
  ] as const) {
    await t.test(`an answer ${name} is ERR_CHALLENGE_UNAVAILABLE, and nothing of it is told`, async (t) => {
      const service = fakeService()
      service.answers.set('challenge', () => answer(200, body))
      const error = await clientOf(service)
        .challengeSource.challengeFor('wifi', 'a', signal)
        .catch((error) => error)
      t.equal(error.code, 'ERR_CHALLENGE_UNAVAILABLE')
      t.notMatch(inspect(error, { depth: 9 }), /hidden/)
    })
  }
})

await t.test('the report', async (t) => {
  const serviceOf = () => {
    const service = fakeService()
    const received: unknown[] = []
    service.answers.set('report', (request) => {
      received.push(jsonOf(request))
      return answer(204)
    })
    return { service, received }
  }
  await reporterContract(t, async () => {
    const { service, received } = serviceOf()
    const cut = () => {
      service.cut = true
    }
    return { reporter: clientOf(service).reporter, received: () => received, cut }
  })
  const report = { revision: 1, at: 0, platform: 'fake', results: [], roots: [], profiles: [], keyStorage: [] }
  await t.test('with a credential that is refused is ERR_UNAUTHORIZED', async (t) => {
    await t.rejects(clientOf(fakeService('another')).reporter.send(report, signal), { code: 'ERR_UNAUTHORIZED' })
  })
  await t.test('any other answer but 2xx is ERR_HTTP_STATUS', async (t) => {
    const service = fakeService()
    service.answers.set('report', () => answer(500))
    await t.rejects(clientOf(service).reporter.send(report, signal), { code: 'ERR_HTTP_STATUS', message: /500/ })
  })
})
