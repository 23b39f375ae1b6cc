import {
  createCsr,
  type EnrollmentRequest,
  getCertificate,
  getCrl,
  handlerTransport,
  type KeyHandle,
  nextCaCertificates,
  type ScepHabits,
  type ScepProtocolOptions,
  scepProtocol,
  softwareKeys,
  verifyIssued,
  verifyPath,
} from '@certfleet/agent-core'
import { parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import { transactionIdFor } from '@certfleet/agent-core/scep/messages'
import type { Lab } from '@certfleet/emulator/lab'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { opensslVerify, scepUrl, start, startLab, wifi } from '../lab/surroundings.ts'

const day = 86_400_000
const signal = new AbortController().signal
const challenge = 'secret'
const habits: ScepHabits = {
  order: 'caps-first',
  urlSuffix: '',
  userAgent: 'test/1',
  signerSubject: 'random-uuid',
  renewal: 'RenewalReq',
  urls: 'first',
}

type TestLab = Awaited<ReturnType<typeof startLab>>

function clientOf({ lab, clock }: TestLab, options: Partial<ScepProtocolOptions> = {}): ScepProtocolOptions {
  const transport = handlerTransport(lab.handle)
  const jitter = { between: (minMs: number) => minMs }
  return { urls: [scepUrl], habits, transport, trust: { root: lab.rootCertificate }, clock, jitter, ...options }
}

const requestOf = async (key: KeyHandle, withChallenge = true): Promise<EnrollmentRequest> => {
  const { subject, subjectAltNames, keyUsages, extendedKeyUsages } = wifi
  const names = { subject, subjectAltNames, keyUsages, extendedKeyUsages }
  return { key, csr: await createCsr({ ...names, key, hash: 'sha256', ...(withChallenge && { challenge }) }) }
}

/** Enrols and judges what came as the agent does. */
async function obtain(it: TestLab, request: EnrollmentRequest, options: Partial<ScepProtocolOptions> = {}) {
  const outcome = await scepProtocol(clientOf(it, options)).request(request, signal)
  if (outcome.status !== 'issued') throw new Error(JSON.stringify(outcome))
  return accept(it.lab, request, outcome.chain, it.clock.now())
}

function accept(lab: Lab, { key }: EnrollmentRequest, issued: readonly Uint8Array[], at: number) {
  const request = { subject: wifi.subject, subjectAltNames: wifi.subjectAltNames, keySpec: key.spec }
  return verifyIssued({ issued, request, key, root: lab.rootCertificate, at })
}

t.test('enrol, roll over, renew: the renewal lands under the root that the policy carries by then', async (t) => {
  const it = await startLab({ staticChallenge: challenge })
  const oldRoot = it.lab.rootCertificate
  const key = await testKey('a')
  const before = await obtain(it, await requestOf(key))
  t.equal(await nextCaCertificates(clientOf(it), signal), undefined, 'none is prepared')

  const at = start + 30 * day
  const nextRoot = await it.lab.prepareRollOver(at)
  const next = await nextCaCertificates(clientOf(it), signal)
  t.same(Buffer.from(next?.authorities[1]?.raw ?? []), Buffer.from(nextRoot))

  await it.clock.advance(at - start)
  t.equal(await nextCaCertificates(clientOf(it), signal), undefined, 'it has come about')
  const renewed = await requestOf(await testKey('b'), false)
  const request = { ...renewed, current: { certificate: before.leaf.raw, key } }
  await t.rejects(obtain(it, request, { trust: { root: oldRoot } }), { code: 'ERR_CA_UNTRUSTED' }, 'the policy still has the old root')
  const after = await obtain(it, request)
  t.same(Buffer.from(after.chain.at(-1) ?? []), Buffer.from(nextRoot))
  t.match(opensslVerify(t, it.lab, after.leaf.raw, at), /OK/)
})

t.test('a next CA that somebody else vouches for is refused', async (t) => {
  const it = await startLab({ keyBits: 1024 })
  const other = await startLab({ keyBits: 1024 })
  await it.lab.prepareRollOver(start + day)
  await other.lab.prepareRollOver(start)
  await other.lab.prepareRollOver(start + day)
  const transport = handlerTransport((request) => (request.url.includes('GetNextCACert') ? other.lab : it.lab).handle(request))
  await t.rejects(nextCaCertificates(clientOf(it, { transport }), signal), { code: 'ERR_CMS_INVALID' })
  const failing = handlerTransport(async (request) =>
    request.url.includes('GetNextCACert') ? { status: 500, headers: {}, body: new Uint8Array() } : it.lab.handle(request),
  )
  await t.rejects(nextCaCertificates(clientOf(it, { transport: failing }), signal), { code: 'ERR_HTTP_STATUS' })
})

t.test('GetCert and GetCRL', async (t) => {
  const it = await startLab({ staticChallenge: challenge })
  const key = await testKey('a')
  const { leaf } = await obtain(it, await requestOf(key))
  const asker = { certificate: leaf.raw, key }
  const client = clientOf(it)

  const answer = await getCertificate(client, leaf, asker, signal)
  t.same(answer.status === 'found' && Buffer.from(answer.found.raw), Buffer.from(leaf.raw))
  const unknown = { issuer: leaf.issuer, serialNumber: Uint8Array.of(5) }
  t.same(await getCertificate(client, unknown, asker, signal), { status: 'rejected', failInfo: 'badCertId' })

  const issuing = parseCertificate(it.lab.issuingCertificate)
  const verdict = async () => {
    const crl = await getCrl(client, leaf, asker, signal)
    if (crl.status !== 'found') return crl.failInfo
    const verified = verifyPath({ leaf, intermediates: [], roots: [issuing], at: start, crls: [crl.found] })
    return verified.ok ? 'ok' : verified.code
  }
  t.equal(await verdict(), 'ok')
  await it.lab.revoke(serialNumberHex(leaf), 'superseded')
  t.equal(await verdict(), 'revoked', 'its own revocation can still be learnt')
  t.same(await getCrl(client, { ...leaf, issuer: leaf.subject }, asker, signal), { status: 'rejected', failInfo: 'badCertId' })
  const ec = await softwareKeys().generate({ algorithm: 'ec', curve: 'P-256' }, 'ec')
  await t.rejects(getCrl(client, leaf, { certificate: leaf.raw, key: ec }, signal), { code: 'ERR_UNSUPPORTED' })
})

t.test('an EC key is enrolled in the envelope of a throwaway RSA key', async (t) => {
  for (const curve of ['P-256', 'P-384'] as const) {
    let isApproved = false
    const it = await startLab({ staticChallenge: challenge, approve: () => (isApproved ? 'issue' : 'pending') })
    const key = await softwareKeys().generate({ algorithm: 'ec', curve }, `device-${curve}`)
    const request = await requestOf(key)
    const protocol = scepProtocol(clientOf(it))
    t.same(await protocol.request(request, signal), { status: 'pending', transactionId: transactionIdFor(key.publicKey) }, curve)
    isApproved = true
    const polled = await scepProtocol(clientOf(it)).poll(request, signal)
    if (polled.status !== 'issued') return t.fail(`the poll has the same signer: ${JSON.stringify(polled)}`)
    const { leaf } = accept(it.lab, request, polled.chain, start)
    t.same(Buffer.from(leaf.publicKey), Buffer.from(key.publicKey))
    t.match(opensslVerify(t, it.lab, leaf.raw, start), /OK/)

    const renewal = await requestOf(await softwareKeys().generate({ algorithm: 'ec', curve }, 'renewed'))
    const renewed = await obtain(it, { ...renewal, current: { certificate: leaf.raw, key } })
    t.notSame(Buffer.from(renewed.leaf.serialNumber), Buffer.from(leaf.serialNumber), 'renewed by a new challenge')
  }
})

t.test('a stand-in vouches for nothing by itself', async (t) => {
  const it = await startLab({ staticChallenge: challenge })
  const key = await softwareKeys().generate({ algorithm: 'ec', curve: 'P-256' }, 'device')
  const without = await scepProtocol(clientOf(it)).request(await requestOf(key, false), signal)
  t.same(without, { status: 'rejected', failInfo: 'badRequest' }, 'no challenge')
  const { unwrapKey: _, ...signOnly } = await testKey('a')
  const refused = await scepProtocol(clientOf(it)).request(await requestOf(signOnly), signal)
  t.same(refused, { status: 'rejected', failInfo: 'badRequest' }, 'an RSA key, which could sign itself')
  t.equal(it.lab.audit().at(-1)?.code, 'RegisteredKeyMismatch')
})

t.test('the failures that NDES sends are understood', async (t) => {
  const it = await startLab({ staticChallenge: challenge, ndesFailures: true })
  const wrong = await createCsr({ ...wifi, key: await testKey('a'), hash: 'sha256', challenge: 'wrong' })
  t.same(await scepProtocol(clientOf(it)).request({ key: await testKey('a'), csr: wrong }, signal), {
    status: 'rejected',
    failInfo: 'badRequest',
    text: '0x80070057',
  })
  const short = await softwareKeys().generate({ algorithm: 'rsa', bits: 1024 }, 'short')
  t.same(await scepProtocol(clientOf(it)).request(await requestOf(short), signal), {
    status: 'rejected',
    failInfo: 'badRequest',
    text: '0x80094811',
  })
})
