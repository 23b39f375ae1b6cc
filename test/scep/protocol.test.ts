import { createHash } from 'node:crypto'
import {
  AgentError,
  createCsr,
  type EnrollmentRequest,
  type HttpRequest,
  handlerTransport,
  type ScepHabits,
  type ScepProtocolOptions,
  scepProtocol,
} from '@certfleet/agent-core'
import { fingerprintOf, formatName, parseCertificate } from '@certfleet/agent-core/pki'
import { transactionIdFor } from '@certfleet/agent-core/scep/messages'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { bundle, caCertificates, type Script, scriptedServer } from '../fakes/scep-server.ts'

const key = await testKey('device')
const stranger = await testKey('stranger')
const signal = new AbortController().signal
const csr = await createCsr({
  subject: 'CN=dev',
  subjectAltNames: [],
  keyUsages: ['digitalSignature'],
  extendedKeyUsages: [],
  key,
  hash: 'sha256',
  challenge: 'canary-challenge',
})
const request: EnrollmentRequest = { csr, key }

const plain: ScepHabits = {
  order: 'caps-first',
  urlSuffix: '',
  userAgent: 'test/1',
  signerSubject: 'csr-subject',
  renewal: 'PKCSReq',
  urls: 'first',
}

function enrol(script: Script = {}, options: Partial<ScepProtocolOptions> = {}) {
  const server = scriptedServer(script)
  const protocol = scepProtocol({
    urls: ['http://scep.example/scep'],
    habits: plain,
    transport: handlerTransport(server.handle),
    trust: { root: caCertificates.root },
    clock: new FakeClock(1_800_000_000_000),
    jitter: { between: (minMs) => minMs },
    ...options,
  })
  return { server, protocol }
}

t.test('each OS asks in its own order, with its own parameters', async (t) => {
  const rows: [string, Partial<ScepHabits>, string[]][] = [
    ['caps first', {}, ['GET GetCACaps /scep -', 'GET GetCACert /scep -', 'POST PKIOperation /scep']],
    [
      'certificate first',
      { order: 'cert-first', message: 'Wi Fi' },
      ['GET GetCACert /scep Wi Fi', 'GET GetCACaps /scep Wi Fi', 'POST PKIOperation /scep'],
    ],
    [
      'a suffix',
      { urlSuffix: '/pkiclient.exe', message: 'default' },
      ['GET GetCACaps /scep/pkiclient.exe default', 'GET GetCACert /scep/pkiclient.exe default', 'POST PKIOperation /scep/pkiclient.exe'],
    ],
  ]
  for (const [name, habits, calls] of rows) {
    const { server, protocol } = enrol({}, { habits: { ...plain, ...habits } })
    t.equal((await protocol.request(request, signal)).status, 'issued', name)
    t.same(server.calls, calls, name)
    t.same([...server.userAgents], ['test/1'])
  }
})

t.test('a server without POSTPKIOperation is asked by GET', async (t) => {
  const { server, protocol } = enrol({ capabilities: 'AES\nSHA-256\n' })
  t.equal((await protocol.request(request, signal)).status, 'issued')
  t.equal(server.received[0]?.method, 'GET')
})

t.test('scep.floor: a server that does not tell its capabilities gets the policy minimum', async (t) => {
  const { server, protocol } = enrol({ capabilities: { status: 404, headers: {}, body: new Uint8Array() } })
  t.equal((await protocol.request(request, signal)).status, 'issued')
  t.match(server.received[0], { opened: { cipher: /^aes/ }, message: { hash: 'sha256' } })
})

t.test('the transactionID is the hash of the key, the same at every try', async (t) => {
  const { server, protocol } = enrol()
  await protocol.request(request, signal)
  await protocol.request(request, signal)
  t.same(
    server.received.map(({ message }) => message.transactionId),
    [transactionIdFor(key.publicKey), transactionIdFor(key.publicKey)],
  )
  t.not(
    Buffer.from(server.received[0]?.message.senderNonce ?? []).toString('hex'),
    Buffer.from(server.received[1]?.message.senderNonce ?? []).toString('hex'),
  )
})

t.test('profile.root-choice: the CA is pinned before anything is sent to it', async (t) => {
  const foreign = await testCertificate({
    subject: 'CN=Evil',
    key: stranger,
    ca: true,
    keyUsage: ['keyCertSign', 'digitalSignature', 'keyEncipherment'],
  })
  const foreignRa = await testCertificate({
    subject: 'CN=Evil RA',
    key: stranger,
    issuer: { subject: 'CN=Issuing', key: stranger },
    keyUsage: ['keyEncipherment'],
  })
  const { issuing, root, raSigning } = caCertificates
  const rows: [string, Script, Partial<ScepProtocolOptions>][] = [
    ['another CA', { caCert: foreign }, {}],
    ['an RA certificate that our CA did not sign', { caCert: bundle([issuing, root, raSigning, foreignRa]) }, {}],
    ['another fingerprint', {}, { trust: { fingerprint: fingerprintOf(foreign) } }],
    ['another SHA-1 thumbprint', {}, { trust: { thumbprint: createHash('sha1').update(foreign).digest('hex') } }],
    ["the thumbprint of an RA's certificate", {}, { trust: { thumbprint: createHash('sha1').update(raSigning).digest('hex') } }],
    ['an expired CA', {}, { clock: new FakeClock(4_000_000_001_000) }],
  ]
  for (const [name, script, options] of rows) {
    const { server, protocol } = enrol(script, options)
    await t.rejects(protocol.request(request, signal), { code: 'ERR_CA_UNTRUSTED' }, name)
    t.same(server.received, [], `${name}: nothing was sent`)
  }
})

t.test('who trusts on first use, or by fingerprint, gets a certificate too', async (t) => {
  for (const trust of [
    'first-use',
    { fingerprint: fingerprintOf(caCertificates.root) },
    { fingerprint: fingerprintOf(caCertificates.issuing) },
    { thumbprint: createHash('sha1').update(caCertificates.root).digest('hex') },
    { thumbprint: createHash('md5').update(caCertificates.issuing).digest('hex') },
  ] as const) {
    t.equal((await enrol({}, { trust }).protocol.request(request, signal)).status, 'issued')
  }
})

t.test('a no is an answer', async (t) => {
  const { protocol } = enrol({ answers: [{ status: 'failure', failInfo: 'badRequest', failInfoText: 'challenge expired' }] })
  t.same(await protocol.request(request, signal), { status: 'rejected', failInfo: 'badRequest', text: 'challenge expired' })
})

t.test('the failure that NDES sends is a no with its HRESULT', async (t) => {
  const { protocol } = enrol({ answers: [{ status: 'failure', failInfo: 'badRequest', ndesHresult: 0x80094811 }] })
  t.same(await protocol.request(request, signal), { status: 'rejected', failInfo: 'badRequest', text: '0x80094811' })
})

t.test('scep.polling: PENDING, then CertPoll by the same transactionID', async (t) => {
  const { server, protocol } = enrol({ answers: [{ status: 'pending' }, { status: 'issue' }] })
  t.same(await protocol.request(request, signal), { status: 'pending', transactionId: transactionIdFor(key.publicKey) })
  t.equal((await protocol.poll(request, signal)).status, 'issued')
  const [asked, polled] = server.received
  t.equal(polled?.message.messageType, 'CertPoll')
  t.equal(polled?.message.transactionId, asked?.message.transactionId)
  t.same(polled?.message.signer.publicKey, asked?.message.signer.publicKey)
  if (polled?.opened.messageType === 'CertPoll') t.equal(formatName(polled.opened.subject), 'CN=dev')
})

t.test('scep.reply-signer: what the reply may not be', async (t) => {
  const foreign = await testCertificate({
    subject: 'CN=RA signing',
    key: stranger,
    issuer: { subject: 'CN=Issuing', key: stranger },
    keyUsage: ['digitalSignature'],
  })
  const rows: [string, Script, string][] = [
    ['for another transaction', { answering: (message) => ({ ...message, transactionId: 'F00' }) }, 'ERR_SCEP_REPLY_MISMATCH'],
    ['to an old nonce', { answering: (message) => ({ ...message, senderNonce: new Uint8Array(16) }) }, 'ERR_SCEP_REPLY_MISMATCH'],
    ['signed by a stranger whose certificate is inside', { signer: { certificate: foreign, key: stranger } }, 'ERR_CMS_INVALID'],
    ['an HTTP error', { answers: [{ status: 503, headers: {}, body: new Uint8Array() }] }, 'ERR_HTTP_STATUS'],
    ['a login page', { answers: [{ status: 200, headers: {}, body: Buffer.from('<html>') }] }, 'ERR_DER_MALFORMED'],
  ]
  for (const [name, script, code] of rows) await t.rejects(enrol(script).protocol.request(request, signal), { code }, name)
})

t.test('renewal goes by the habit', async (t) => {
  const old = await testKey('old')
  const current = {
    certificate: await testCertificate({ subject: 'CN=dev', key: old, issuer: { subject: 'CN=Issuing', key: await testKey('issuing') } }),
    key: old,
  }
  const rows = [
    ['PKCSReq', 'PKCSReq', key.publicKey],
    ['RenewalReq', 'RenewalReq', old.publicKey],
    ['PKCSReq-by-current', 'PKCSReq', old.publicKey],
  ] as const
  for (const [renewal, messageType, signerKey] of rows) {
    const { server, protocol } = enrol({}, { habits: { ...plain, renewal } })
    t.equal((await protocol.request({ ...request, current }, signal)).status, 'issued', renewal)
    t.equal(server.received[0]?.message.messageType, messageType)
    t.same(server.received[0]?.message.signer.publicKey, signerKey)
  }
})

t.test('the temporary signer has the name that the OS gives it', async (t) => {
  const nameFor = async (signerSubject: ScepHabits['signerSubject']) => {
    const { server, protocol } = enrol({}, { habits: { ...plain, signerSubject } })
    await protocol.request(request, signal)
    return formatName((server.received[0]?.message.signer ?? parseCertificate(caCertificates.root)).subject)
  }
  t.equal(await nameFor('csr-subject'), 'CN=dev')
  t.match(await nameFor('random-uuid'), /^CN=[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/)
  t.equal(await nameFor('random-uuid'), await nameFor('random-uuid'), 'a resend has the same')
})

t.test('several URLs', async (t) => {
  const urls = ['http://dead.example/scep', 'http://scep.example/scep']
  const server = scriptedServer()
  const transport = handlerTransport(async (sent: HttpRequest) => {
    if (sent.url.startsWith('http://dead.')) throw new AgentError('ERR_NETWORK', 'dead.example not reached')
    return server.handle(sent)
  })
  const go = (habit: ScepHabits['urls'], jitter = { between: (minMs: number) => minMs }) =>
    enrol({}, { urls, transport, jitter, habits: { ...plain, urls: habit } }).protocol.request(request, signal)
  await t.rejects(go('first'), { code: 'ERR_NETWORK' }, 'the first only')
  t.equal((await go('in-order')).status, 'issued', 'in order: the next one when the first is dead')
  t.equal((await go('shuffled')).status, 'issued')
})
