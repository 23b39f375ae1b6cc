import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { buildRequestSigner, parseCapabilities, parseNextCaCertificates } from '@certfleet/agent-core/scep/messages'
import { lmdbLabStore } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { testKey } from '../fakes/certificates.ts'
import {
  caOf,
  challengeFor,
  csrFor,
  enrolled,
  exchange,
  messageFor,
  opensslVerify,
  pem,
  register,
  scepUrl,
  sendMessage,
  start,
  startLab,
  wifi,
} from './surroundings.ts'

const day = 86_400_000
const at = start + 30 * day

type TestLab = Awaited<ReturnType<typeof startLab>>

const ask = ({ lab }: TestLab, operation: string) => lab.handle({ method: 'GET', url: `${scepUrl}?operation=${operation}`, headers: {} })
const offersNext = async (it: TestLab) => parseCapabilities(Buffer.from((await ask(it, 'GetCACaps')).body).toString()).has('GetNextCACert')
const same = (t: Test, one: Uint8Array | undefined, other: Uint8Array | undefined, name = 'the same') =>
  t.same(Buffer.from(one ?? []), Buffer.from(other ?? []), name)

/** The subjects in a GetNextCACert answer whose signature by that certificate openssl has verified. */
function opensslNext(t: Test, signer: Uint8Array, body: Uint8Array): string {
  const folder = t.testdir({ 'signer.pem': pem(signer) })
  const trust = ['-CAfile', join(folder, 'signer.pem'), '-partial_chain', '-purpose', 'any', '-attime', String(start / 1000)]
  const content = execFileSync('openssl', ['cms', '-verify', '-inform', 'DER', ...trust], { input: body, stdio: ['pipe', 'pipe', 'pipe'] })
  return execFileSync('openssl', ['pkcs7', '-inform', 'DER', '-print_certs', '-noout'], { input: content, encoding: 'utf8' })
}

t.test('scep.next-ca-type: a roll-over is announced, comes by the clock, and leaves the old certificates good', async (t) => {
  const it = await startLab({ approve: ({ attemptId }) => (attemptId === 'slow' && it.clock.now() < at ? 'pending' : 'issue') })
  const { lab, clock } = it
  const oldRoot = { rootCertificate: lab.rootCertificate, issuingCertificate: lab.issuingCertificate } as typeof lab
  const credential = await register(lab)
  const [early, late] = [await challengeFor(lab, credential), await challengeFor(lab, credential, 'slow')]
  const before = await enrolled(lab, { key: await testKey('a'), challenge: early })
  const beforehand = await caOf(lab)
  t.notOk(await offersNext(it))
  t.equal((await ask(it, 'GetNextCACert')).status, 404)

  const nextRoot = await lab.prepareRollOver(at)
  t.ok(await offersNext(it))
  const response = await ask(it, 'GetNextCACert')
  t.equal(response.headers['content-type'], 'application/x-x509-next-ca-cert')
  const next = parseNextCaCertificates(response.body, { signers: [beforehand.ca] })
  same(t, next.authorities[1]?.raw, nextRoot)
  t.equal(next.ca.notBefore, at - day)
  t.match(opensslNext(t, lab.issuingCertificate, response.body), /Lab Root CA[\s\S]*Lab/, 'openssl verifies and reads it')
  t.ok(next.ca.notAfter > beforehand.ca.notAfter)
  t.throws(() => parseNextCaCertificates(response.body, { signers: [next.ca] }), { code: 'ERR_CMS_INVALID' }, 'not vouched for by itself')
  await t.rejects(lab.prepareRollOver(at + day), { code: 'ERR_UNSUPPORTED' }, 'one at a time')
  same(t, (await caOf(lab)).ca.raw, beforehand.ca.raw, 'until then the present CA answers')
  const slow = await messageFor(lab, { key: await testKey('b'), content: await csrFor({ key: await testKey('b'), challenge: late }) })
  t.equal((await slow.read((await sendMessage(lab, slow.message)).body)).status, 'pending')

  await clock.advance(at - start - 1)
  same(t, lab.rootCertificate, oldRoot.rootCertificate, 'one millisecond before')
  await clock.advance(1)
  same(t, lab.rootCertificate, nextRoot)
  same(t, (await caOf(lab)).ca.raw, next.ca.raw)
  t.notOk(await offersNext(it))
  t.equal((await ask(it, 'GetNextCACert')).status, 404)
  t.match(opensslVerify(t, oldRoot, before, at), /OK/, 'the old root still verifies what it issued')

  t.test('what was encrypted to the old CA is read, and answered by whom the client knows', async (t) => {
    const reply = await slow.read((await sendMessage(lab, slow.message)).body)
    if (reply.status !== 'success') return t.fail(reply.status)
    t.match(opensslVerify(t, lab, reply.certificates[0] as Uint8Array, at), /OK/, 'and issued by the new one')
  })

  t.test('a RenewalReq signed by a certificate of the old CA is granted under the new one', async (t) => {
    const key = await testKey('c')
    const signer = { certificate: parseCertificate(before), key: await testKey('a') }
    const reply = await exchange(lab, { messageType: 'RenewalReq', key, signer, content: await csrFor({ key }) })
    if (reply.status !== 'success') return t.fail(JSON.stringify(reply))
    t.match(opensslVerify(t, lab, reply.certificates[0] as Uint8Array, at), /OK/)
  })
})

t.test('what is prepared outlives the lab that prepared it', async (t) => {
  const folder = t.testdir()
  const store = await lmdbLabStore(folder)
  const { lab } = await startLab({ store, keyBits: 1024 })
  const credential = await register(lab)
  const challenge = await challengeFor(lab, credential)
  const nextRoot = await lab.prepareRollOver(at)
  t.match(lab.audit().at(-1), { event: 'roll-over-prepared' })
  await store.close()
  const again = await lmdbLabStore(folder)
  t.teardown(() => again.close())
  const reopened = await startLab({ store: again })
  t.ok(await offersNext(reopened))
  t.ok(await enrolled(reopened.lab, { key: await testKey('a'), challenge }), 'challenges stay good')
  await reopened.clock.advance(at - start)
  same(t, reopened.lab.rootCertificate, nextRoot)
})

t.test('a roll-over of now takes place at once, and the next can be prepared', async (t) => {
  const { lab } = await startLab({ keyBits: 1024 })
  const first = await lab.prepareRollOver(start)
  same(t, lab.rootCertificate, first)
  const second = await lab.prepareRollOver(start + day)
  t.notSame(Buffer.from(second), Buffer.from(first))
})

t.test('a message that is for neither CA is one answer', async (t) => {
  const { lab } = await startLab({ keyBits: 1024 })
  await lab.prepareRollOver(start)
  const key = await testKey('a')
  const stranger = await buildRequestSigner({ subject: wifi.subject, key, hash: 'sha256', at: start })
  t.same(await exchange(lab, { key, content: await csrFor({ key }), recipient: stranger.certificate }), {
    status: 'failure',
    failInfo: 'badMessageCheck',
  })
})
