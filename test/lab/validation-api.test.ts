import type { Lab } from '@certfleet/emulator/lab'
import { validationFacts } from '@certfleet/platforms'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { challengeFor, csrFor, enroll, jsonOf, policyWith, register, startLab, wifi } from './surroundings.ts'
import { call, certificate, codeOf, guid, notify, validationApi } from './third-party.ts'

const failure = { hResult: -2147024891, errorDescription: 'the CA is not reachable' }
const download = 'CertificateAuthorityRequests/downloadRevocationRequests'
const upload = 'CertificateAuthorityRequests/uploadRevocationResults'

/** A lab, and a CSR of its device that is good. */
async function asked(options = {}) {
  const test = await startLab({ validationApi, ...options })
  const challenge = await challengeFor(test.lab, await register(test.lab))
  return { ...test, challenge, csr: await csrFor({ key: await testKey('a'), challenge }) }
}

t.test('validation.actions: validate, issue, notify: monitoring sees the certificate of the other CA', async (t) => {
  const { lab, clock, csr } = await asked()
  t.equal(await codeOf(lab, csr), 'Success')
  t.match([...(lab.validationApi?.enrollments() ?? [])], [{ transactionId: 'T1', binding: { deviceId: 'device-1', profileId: 'wifi' } }])
  await clock.advance(24 * 60 * 60_000)
  t.equal(
    await notify(lab, csr, { ...certificate, caConfiguration: 'ca.example\\Other CA', certificateAuthority: 'ca.example' }),
    'Success',
  )
  const [enrolled] = lab.validationApi?.enrollments() ?? []
  t.match(enrolled, {
    subject: 'CN=device-1, O=Example',
    callerInfo: 'test 1',
    outcome: {
      status: 'issued',
      thumbprint: 'a1'.repeat(20),
      serialNumber: '0a1b',
      notAfter: Date.UTC(2027, 5, 1, 12),
      issuerName: 'CN=Other CA',
      caConfiguration: 'ca.example\\Other CA',
      certificateAuthority: 'ca.example',
      at: clock.now(),
    },
  })
  t.match(lab.audit().slice(-2), [
    { event: 'validated', transactionId: 'T1', deviceId: 'device-1', profileId: 'wifi' },
    { event: 'issued-elsewhere', transactionId: 'T1', deviceId: 'device-1', serialNumber: '0a1b' },
  ])
  t.same([...lab.issued()], [], 'the lab itself has issued nothing')
})

t.test('validation holds the challenge for one transaction and key', async (t) => {
  const { lab, csr, challenge } = await asked()
  t.equal(await codeOf(lab, csr, 'T1'), 'Success')
  t.equal(await codeOf(lab, csr, 'T1'), 'Success', 'asked again, as after an answer that was lost')
  t.equal(await codeOf(lab, csr, 'T2'), 'BadCertificateRequestIdInChallenge', 'another transaction')
  const other = await csrFor({ key: await testKey('b'), challenge })
  t.equal(await codeOf(lab, other, 'T1'), 'RegisteredKeyMismatch', 'another key')
  t.equal(await codeOf(lab, other, 'T3'), 'BadCertificateRequestIdInChallenge', 'another key and transaction')
  t.equal(await enroll(lab, { key: await testKey('a'), challenge }, { transactionId: 'T1' }), 'badRequest', 'and the lab’s own CA')
})

t.test('what the lab’s own CA has issued to is not validated for another', async (t) => {
  const { lab, csr, challenge } = await asked()
  t.type(await enroll(lab, { key: await testKey('a'), challenge }, { transactionId: 'T1' }), Uint8Array)
  t.equal(await codeOf(lab, csr, 'T1'), 'BadCertificateRequestIdInChallenge')
})

t.test('of 100 parallel validations of one challenge, one transaction gets through', async (t) => {
  const { lab, csr } = await asked()
  const codes = await Promise.all(Array.from({ length: 100 }, (_, i) => codeOf(lab, csr, `T${i}`)))
  t.equal(codes.filter((code) => code === 'Success').length, 1)
  t.equal(codes.filter((code) => code === 'BadCertificateRequestIdInChallenge').length, 99)
})

t.test('a validation outlives a restart', async (t) => {
  const { lab, csr, store } = await asked()
  t.equal(await codeOf(lab, csr), 'Success')
  const { lab: again } = await startLab({ validationApi, store })
  t.equal(await codeOf(again, csr, 'T2'), 'BadCertificateRequestIdInChallenge')
  t.equal(await notify(again, csr, certificate), 'Success')
})

t.test('validation.only-success: success is refused where it may not count: the certificate is not to be handed out', async (t) => {
  const first = await asked()
  t.equal(await notify(first.lab, first.csr, certificate), 'BadCertificateRequestIdInChallenge', 'nobody validated it')
  await codeOf(first.lab, first.csr)
  t.equal(await notify(first.lab, await csrFor({ key: await testKey('b') }), certificate), 'RegisteredKeyMismatch', 'another key')
  t.equal(await notify(first.lab, Buffer.from('x'), certificate), 'CertificateRequestDecodingFailed')
  first.policies.set('device-1', policyWith())
  t.equal(await notify(first.lab, first.csr, certificate), 'ScepProfileNoLongerTargetedToTheClient', 'unassigned meanwhile')
  first.policies.set('device-1', policyWith(wifi))
  t.equal(await notify(first.lab, first.csr, certificate), 'Success')
  const at = first.clock.now()
  await first.clock.advance(1)
  t.equal(await notify(first.lab, first.csr, certificate), 'Success', 'told again')
  const other = { ...certificate, certificateSerialNumber: '0a1c' }
  t.equal(await notify(first.lab, first.csr, other), 'BadCertificateRequestIdInChallenge', 'a second certificate')
  t.equal(await notify(first.lab, first.csr, failure), 'BadCertificateRequestIdInChallenge', 'a failure after it')
  t.match([...(first.lab.validationApi?.enrollments() ?? [])], [{ outcome: { serialNumber: '0a1b', at } }])
})

t.test('a failure is on record, and can be followed by a success', async (t) => {
  const { lab, csr } = await asked()
  await codeOf(lab, csr)
  t.equal(await notify(lab, csr, failure), 'Success')
  t.match([...(lab.validationApi?.enrollments() ?? [])], [{ outcome: { status: 'failed', ...failure } }])
  t.match(lab.audit().at(-1), { event: 'failed-elsewhere', deviceId: 'device-1', detail: 'hResult -2147024891' })
  t.equal(await codeOf(lab, csr), 'Success', 'the same transaction, tried again')
  t.equal(await notify(lab, csr, certificate), 'Success')
  t.equal(await notify(lab, csr, failure, 'T9'), 'BadCertificateRequestIdInChallenge', 'of a transaction that nobody validated')
})

t.test('validation.api-version, validation.description, validation.revocation-batch: what is asked wrongly is 400', async (t) => {
  const { lab, csr } = await asked()
  const certificateRequest = Buffer.from(csr).toString('base64')
  const good = { transactionId: 'T1', certificateRequest, callerInfo: 'test 1' }
  const told = { ...good, ...certificate }
  const request = (other: object) => ['ScepActions/validateRequest', { request: { ...good, ...other } }] as const
  const success = (other: object) => ['ScepActions/successNotification', { notification: { ...told, ...other } }] as const
  const failed = (other: object) => ['ScepActions/failureNotification', { notification: { ...good, ...failure, ...other } }] as const
  const bodies: (readonly [string, unknown])[] = [
    ['ScepActions/validateRequest', 'no JSON'],
    ['ScepActions/validateRequest', '\ud800'],
    ['ScepActions/validateRequest', null],
    ['ScepActions/validateRequest', []],
    ['ScepActions/validateRequest', good],
    ['ScepActions/validateRequest', { notification: good }],
    request({ transactionId: undefined }),
    request({ transactionId: '' }),
    request({ transactionId: 'T'.repeat(256) }),
    request({ transactionId: 'T\n' }),
    request({ certificateRequest: 7 }),
    request({ certificateRequest: 'A'.repeat(128 * 1024 + 1) }),
    request({ callerInfo: undefined }),
    success({ certificateThumbprint: 'a1' }),
    success({ certificateSerialNumber: 'xyz' }),
    success({ certificateExpirationDateUtc: 'tomorrow' }),
    success({ issuingCertificateAuthority: '' }),
    failed({ hResult: 'E_FAIL' }),
    failed({ hResult: 0.5 }),
    failed({ errorDescription: 'x'.repeat(256) }),
    [download, {}],
    [download, { downloadParameters: { maxRequests: 0 } }],
    [download, { downloadParameters: { maxRequests: 501 } }],
    [download, { downloadParameters: { maxRequests: '1' } }],
    [upload, { results: [] }],
    [upload, { results: Array.from({ length: 501 }, (_, i) => ({ requestContext: String(i), succeeded: true })) }],
  ]
  for (const [path, body] of bodies) {
    const response = await call(lab, path, body)
    t.equal(response.status, 400, JSON.stringify(body)?.slice(0, 80))
    t.match(jsonOf(response), { error: { code: 'BadRequest', message: /^body: / } })
  }
  const headers: [string, Record<string, string>, number][] = [
    ['another api-version', { 'api-version': '5019-05-05' }, 400],
    ['no api-version', { 'api-version': '' }, 400],
    ['a client-request-id that is no GUID', { 'client-request-id': 'abc' }, 400],
    ['a token of nobody', { authorization: 'Bearer abc' }, 401],
    ['no token', { authorization: '' }, 401],
  ]
  for (const action of validationFacts.actions.value) {
    const { status } = await call(lab, `ScepActions/${action}`, {}, { headers: { authorization: '' } })
    t.equal(status, 401, `${action} is there`)
  }
  for (const [name, other, status] of headers)
    t.equal((await call(lab, 'ScepActions/validateRequest', { request: good }, { headers: other })).status, status, name)
  t.equal(await codeOf(lab, csr), 'Success', 'none of it has changed anything')
  t.equal((await call(lab, ...request({}))).headers['client-request-id'], guid, 'the id comes back')
})

t.test('what Microsoft’s libraries may write otherwise', async (t) => {
  const { lab, csr } = await asked()
  const lines = Buffer.from(csr).toString('base64').replace(/.{64}/g, '$&\r\n')
  const body = { request: { transactionId: 'T1', certificateRequest: lines, callerInfo: 'test 1', more: true } }
  t.equal(jsonOf(await call(lab, 'ScepActions/validateRequest', body)).code, 'Success', 'base64 in lines, a member more')
  t.equal(await notify(lab, csr, { ...certificate, certificateExpirationDateUtc: '2027-06-01T14:00:00+02:00' }), 'Success')
  t.match([...(lab.validationApi?.enrollments() ?? [])], [{ outcome: { notAfter: Date.UTC(2027, 5, 1, 12) } }], 'a time with an offset')
})

t.test('validation.revocation-version, validation.revocation-errors: the admin asks, the CA’s server answers', async (t) => {
  const { lab, clock } = await asked()
  const credential = await register(lab)
  for (const [i, issuer] of ['CN=A', 'CN=B', 'CN=A'].entries()) {
    const csr = await csrFor({ key: await testKey('a'), challenge: await challengeFor(lab, credential, `attempt-${i}`) })
    await codeOf(lab, csr, `R${i}`)
    const told = { ...certificate, certificateSerialNumber: `0${i}`, issuingCertificateAuthority: issuer, caConfiguration: 'ca\\A' }
    t.equal(await notify(lab, csr, told, `R${i}`), 'Success')
    await clock.advance(1)
  }
  const api = lab.validationApi as NonNullable<Lab['validationApi']>
  const fetched = async (parameters: object): Promise<{ serialNumber: string; requestContext: string }[]> =>
    jsonOf(await call(lab, download, { downloadParameters: parameters })).value
  const serials = async (parameters: object) => (await fetched(parameters)).map(({ serialNumber }) => serialNumber)
  t.same(await fetched({ maxRequests: 500, issuerName: null }), [])
  for (const [serialNumber, issuerName] of [
    ['00', 'CN=A'],
    ['01', 'CN=B'],
    ['02', 'CN=A'],
  ] as const) {
    const { requestContext } = await api.requestRevocation({ serialNumber, issuerName })
    t.equal((await api.requestRevocation({ serialNumber, issuerName })).requestContext, requestContext, 'asked twice')
    await clock.advance(1)
  }
  await t.rejects(api.requestRevocation({ serialNumber: '00', issuerName: 'CN=B' }), { code: 'ERR_UNSUPPORTED' })
  t.same(await serials({ maxRequests: 500 }), ['00', '01', '02'], 'the oldest first')
  t.same(await serials({ maxRequests: 1 }), ['00'], 'and again, until it is answered')
  t.same(await serials({ maxRequests: 2, issuerName: 'cn=a' }), ['00', '02'])
  t.same(await serials({ MaxRequests: 2, IssuerName: 'CN=B', CertificateProviderName: null }), ['01'], 'as the C# library writes it')
  const [a, b, c] = await fetched({ maxRequests: 3 })
  if (!a || !b || !c) throw new Error('three requests')
  t.same(a, { requestContext: a.requestContext, serialNumber: '00', issuerName: 'CN=A', caConfiguration: 'ca\\A' })
  const sent = (...results: object[]) => call(lab, upload, { results })
  const refused: [string, object[]][] = [
    ['success with an error', [{ requestContext: a.requestContext, succeeded: true, errorCode: 4000 }]],
    ['failure without one', [{ requestContext: a.requestContext, succeeded: false, errorCode: 0 }]],
    ['a code that is none', [{ requestContext: a.requestContext, succeeded: false, errorCode: 4008 }]],
    [
      'an unknown context beside a known one',
      [
        { requestContext: a.requestContext, succeeded: true },
        { requestContext: 'x', succeeded: true },
      ],
    ],
    [
      'one context twice',
      [
        { requestContext: a.requestContext, succeeded: true },
        { requestContext: a.requestContext, succeeded: true },
      ],
    ],
  ]
  for (const [name, results] of refused) t.equal((await sent(...results)).status, 400, name)
  t.same(await serials({ maxRequests: 500 }), ['00', '01', '02'], 'nothing of it counted')
  const answered = await sent(
    { requestContext: a.requestContext, succeeded: true, errorCode: 0, errorMessage: null },
    { RequestContext: b.requestContext, Succeeded: false, ErrorCode: 'CertificateNotFoundError', ErrorMessage: 'gone' },
    { requestContext: c.requestContext, succeeded: false, errorCode: '4103', errorMessage: 'locked' },
  )
  t.same(jsonOf(answered), { value: true })
  t.same(
    [...api.revocationRequests()].sort((x, y) => x.requestedAt - y.requestedAt).map(({ state, error }) => [state, error?.code]),
    [
      ['revoked', undefined],
      ['failed', 4004],
      ['open', 4103],
    ],
  )
  t.same(await serials({ maxRequests: 500 }), ['02'], 'what can be tried again is handed out again')
  t.same(
    jsonOf(await sent({ requestContext: a.requestContext, succeeded: false, errorCode: 4005 })),
    { value: true },
    'an answer that comes late',
  )
  await api.requestRevocation({ serialNumber: '01', issuerName: 'CN=B' })
  t.same(await serials({ maxRequests: 500 }), ['02', '01'], 'the admin may ask again after a failure')
  t.same([...api.revocationRequests()].filter(({ state }) => state === 'revoked').length, 1)
})

t.test('no challenge, secret or token is in a record, in the audit or in an answer', async (t) => {
  const { lab, csr, challenge, store } = await asked()
  const answers = [await codeOf(lab, csr), await notify(lab, csr, certificate), await codeOf(lab, csr, 'T2')]
  const tables = (['challenges', 'outstanding', 'foreignEnrollments', 'revocationRequests', 'audit'] as const).map((table) => [
    ...store.list(table),
  ])
  const told = JSON.stringify([tables, answers])
  for (const secret of [challenge, challenge.slice(0, 40), validationApi.clientSecret]) t.notOk(told.includes(secret))
})
