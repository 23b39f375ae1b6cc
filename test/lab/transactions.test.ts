import { generateKeyPairSync } from 'node:crypto'
import { type KeyHandle, softwareKeyHandle, softwareKeys } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { buildRequestSigner, issuerAndSubject } from '@certfleet/agent-core/scep/messages'
import type { Approval, ApprovalRequest } from '@certfleet/emulator/lab'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import {
  caOf,
  challengeFor,
  csrFor,
  enroll,
  enrolled,
  exchange,
  messageFor,
  policyWith,
  register,
  sendMessage,
  start,
  startLab,
  wifi,
} from './surroundings.ts'

t.test('ndes.same-key: a transaction yields one certificate, however often it is asked for', async (t) => {
  const { lab, clock } = await startLab()
  const key = await testKey('a')
  const challenge = await challengeFor(lab, await register(lab))
  const first = await enrolled(lab, { key, challenge })
  await clock.advance(2 * 60 * 60_000)
  t.same(Buffer.from(await enrolled(lab, { key, challenge })), Buffer.from(first), 'after the challenge has expired too')
  t.equal([...lab.issued()].length, 1)
})

t.test('the transactionID of another key is refused', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  await enrolled(lab, { key: await testKey('a'), challenge: 'secret' }, { transactionId: 'ONE' })
  t.equal(await enroll(lab, { key: await testKey('b'), challenge: 'secret' }, { transactionId: 'ONE' }), 'badRequest')
  t.equal(lab.audit().at(-1)?.code, 'RegisteredKeyMismatch')
})

t.test('100 parallel identical requests get the same certificate', async (t) => {
  const { lab } = await startLab()
  const key = await testKey('a')
  const content = await csrFor({ key, challenge: await challengeFor(lab, await register(lab)) })
  const { message, read } = await messageFor(lab, { key, content })
  const bodies = await Promise.all(Array.from({ length: 100 }, async () => (await sendMessage(lab, message)).body))
  const replies = await Promise.all(bodies.map(read))
  const certificates = new Set(
    replies.map((reply) => (reply.status === 'success' ? Buffer.from(reply.certificates[0] ?? []).toString('hex') : reply.status)),
  )
  t.equal(certificates.size, 1)
  t.equal([...lab.issued()].length, 1)
  t.equal(lab.audit().filter(({ event }) => event === 'issued').length, 1)
})

t.test('an envelope that was overheard is no use under another signature', async (t) => {
  const { lab } = await startLab()
  const key = await testKey('a')
  const content = await csrFor({ key, challenge: await challengeFor(lab, await register(lab)) })
  t.same(await exchange(lab, { key: await testKey('b'), content, transactionId: 'STOLEN' }), { status: 'failure', failInfo: 'badRequest' })
  t.equal(lab.audit().at(-1)?.code, 'RegisteredKeyMismatch')
  t.equal((await exchange(lab, { key, content })).status, 'success', 'the challenge is unspent')
})

t.test('PENDING until it is approved, by CertPoll with the same transactionID', async (t) => {
  const asked: ApprovalRequest[] = []
  const answers: Approval[] = ['pending', 'pending', { failInfo: 'badTime' }, 'issue']
  const approve = (request: ApprovalRequest): Approval => {
    asked.push(request)
    return answers.shift() ?? 'pending'
  }
  const { lab } = await startLab({ approve })
  const key = await testKey('a')
  const challenge = await challengeFor(lab, await register(lab))
  const { ca } = await caOf(lab)
  const poll = (of: object = {}) => {
    const content = issuerAndSubject(ca.subject, parseCertificate(signerRaw).subject)
    return exchange(lab, { messageType: 'CertPoll', key, content, ...of })
  }
  const signerRaw = await signerCertificate(key)
  t.equal(await enroll(lab, { key, challenge }), 'pending')
  t.same(await poll(), { status: 'pending' })
  t.same(await poll(), { status: 'failure', failInfo: 'badTime' })
  t.same(await poll({ transactionId: 'UNKNOWN' }), { status: 'failure', failInfo: 'badCertId' })
  t.same(
    await poll({ key: await testKey('b'), transactionId: asked[0]?.transactionId }),
    { status: 'failure', failInfo: 'badCertId' },
    'of another signer',
  )
  t.same(
    await poll({ content: issuerAndSubject(ca.subject, ca.subject) }),
    { status: 'failure', failInfo: 'badCertId' },
    'for another subject',
  )
  t.equal((await poll()).status, 'success')
  t.equal((await poll()).status, 'success', 'and again')
  t.equal(asked.length, 4)
  t.match(asked[0], { deviceId: 'device-1', profileId: 'wifi', attemptId: 'attempt-1', subject: /device-1/ })
  t.equal([...lab.issued()].length, 1)
  t.equal(await enroll(lab, { key: await testKey('b'), challenge }), 'badRequest', 'PENDING has spent the challenge')
})

t.test('a refusal by the approver spends nothing', async (t) => {
  const answers: Approval[] = [{ failInfo: 'badAlg' }]
  const { lab } = await startLab({ approve: () => answers.shift() ?? 'issue' })
  const challenge = await challengeFor(lab, await register(lab))
  t.equal(await enroll(lab, { key: await testKey('a'), challenge }), 'badAlg')
  t.ok((await enroll(lab, { key: await testKey('b'), challenge })) instanceof Uint8Array)
})

t.test('scep.renewal-types: renewal by the current certificate', async (t) => {
  const renewed = async (options: {
    messageType?: 'PKCSReq' | 'RenewalReq'
    afterMs?: number
    subject?: string
    policy?: ReturnType<typeof policyWith>
    by?: 'self-signed' | 'other CA'
    key?: string
  }) => {
    const { lab, clock, policies } = await startLab()
    const old = await testKey('a')
    const certificate = parseCertificate(await enrolled(lab, { key: old, challenge: await challengeFor(lab, await register(lab)) }))
    await clock.advance(options.afterMs ?? 0)
    if (options.policy) policies.set('device-1', options.policy)
    const key = await testKey(options.key ?? 'b')
    const signer = { certificate: options.by ? parseCertificate(await signerCertificate(old)) : certificate, key: old }
    const { messageType = 'RenewalReq', subject = wifi.subject } = options
    const answer = await enroll(lab, { key, subject }, { messageType, signer })
    const again = await enroll(lab, { key, subject }, { messageType, signer })
    return { answer, again, issued: [...lab.issued()], code: lab.audit().at(-1)?.code }
  }
  const yearMs = 365 * 86_400_000
  const good = await renewed({})
  t.ok(good.answer instanceof Uint8Array)
  t.same(good.again, good.answer, 'a resend gets the same')
  t.equal(good.issued.length, 2)
  t.ok(good.issued.every(({ deviceId, profileId }) => deviceId === 'device-1' && profileId === 'wifi'))
  t.equal((await renewed({ messageType: 'PKCSReq' })).issued.length, 2, 'as PKCSReq signed by the current certificate')
  t.equal((await renewed({ key: 'a' })).issued.length, 2, 'with the same key, which has the same transactionID')
  t.equal((await renewed({ afterMs: yearMs - 11 * 60_000 })).issued.length, 2, 'in its last minute')
  const refused: [string, Parameters<typeof renewed>[0], string][] = [
    ['expired', { afterMs: yearMs }, 'SigningCertThumbprintMismatch'],
    ['not of this CA', { by: 'self-signed' }, 'RegisteredKeyMismatch'],
    ['for another subject', { subject: 'CN=other' }, 'SubjectNameMismatch'],
    ['no longer targeted', { policy: policyWith() }, 'ScepProfileNoLongerTargetedToTheClient'],
    ['no longer expected', { policy: policyWith({ ...wifi, keyUsages: ['digitalSignature'] }) }, 'KeyUsageMismatch'],
  ]
  for (const [name, options, code] of refused) {
    const { answer, issued, code: audited } = await renewed(options)
    t.same([answer, issued.length, audited], ['badRequest', 1, code], name)
  }
})

t.test('a RenewalReq that is self-signed needs a challenge', async (t) => {
  const { lab } = await startLab()
  const key = await testKey('a')
  t.equal(await enroll(lab, { key }, { messageType: 'RenewalReq' }), 'badRequest')
  t.equal(lab.audit().at(-1)?.code, 'SigningCertThumbprintMismatch')
  t.ok(
    (await enroll(lab, { key, challenge: await challengeFor(lab, await register(lab)) }, { messageType: 'RenewalReq' })) instanceof
      Uint8Array,
  )
})

t.test('renewal of what came of a static challenge keeps its names', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const old = await testKey('a')
  const certificate = parseCertificate(await enrolled(lab, { key: old, challenge: 'secret' }))
  const signer = { certificate, key: old }
  const key = await testKey('b')
  t.equal(
    await enroll(lab, { key, subjectAltNames: [{ type: 'upn', value: 'root@example' }] }, { messageType: 'RenewalReq', signer }),
    'badRequest',
  )
  t.equal(lab.audit().at(-1)?.code, 'SubjectAltNameMismatch')
  t.ok((await enroll(lab, { key }, { messageType: 'RenewalReq', signer })) instanceof Uint8Array)
})

t.test('an EC key is signed for by a throwaway RSA key that can be answered', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await softwareKeys().generate({ algorithm: 'ec', curve: 'P-256' }, 'ec')
  const content = await csrFor({ key, challenge: 'secret' })
  const signedBy = async (signer: KeyHandle) => {
    const { certificate } = await buildRequestSigner({ subject: wifi.subject, key: signer, hash: 'sha256', at: start })
    const { message, read } = await messageFor(lab, { key: signer, content, signer: { certificate, key: signer }, transactionId: 'EC' })
    return read((await sendMessage(lab, message)).body)
  }
  const tiny = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey, 'tiny')
  t.same(await signedBy(tiny), { status: 'failure', failInfo: 'badAlg' })
  t.same([...lab.issued()], [])
  t.equal((await signedBy(await testKey('a'))).status, 'success')
})

t.test('a transactionID that is not ASCII is refused, and does no harm in the audit', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const { message } = await messageFor(lab, { key, content: await csrFor({ key, challenge: 'secret' }), transactionId: '\u001b[2J' })
  t.equal((await sendMessage(lab, message)).status, 200)
  t.match(lab.audit(), [{ event: 'refused', failInfo: 'badRequest', transactionId: '?[2J' }])
})

t.test('serial numbers are unique under concurrency', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const all = await Promise.all(
    Array.from({ length: 40 }, (_, i) => enrolled(lab, { key, challenge: 'secret' }, { transactionId: `T${i}` })),
  )
  t.equal(new Set(all.map((der) => Buffer.from(parseCertificate(der).serialNumber).toString('hex'))).size, 40)
})

async function signerCertificate(key: KeyHandle): Promise<Uint8Array> {
  return (await buildRequestSigner({ subject: wifi.subject, key, hash: 'sha256', at: start })).certificate.raw
}
