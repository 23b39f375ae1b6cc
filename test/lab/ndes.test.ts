import { parseCertificate } from '@certfleet/agent-core/pki'
import { parseCapabilities } from '@certfleet/agent-core/scep/messages'
import { ndesFacts } from '@certfleet/platforms'
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
  opensslText,
  opensslVerify,
  register,
  scepUrl,
  sendMessage,
  start,
  startLab,
} from './surroundings.ts'

t.test('ndes.paths, ndes.probe, ndes.longest-url, ndes.too-long: what the endpoint answers to plain HTTP', async (t) => {
  const { lab } = await startLab()
  const path = '/certsrv/mscep/mscep.dll'
  const target = (length: number) => `${path}?operation=GetCACaps&x=`.padEnd(length, 'a')
  const rows: [string, 'GET' | 'POST', string, number, Uint8Array?][] = [
    ['a bare GET, as a health probe sends it (S57)', 'GET', path, 403],
    ['the same at pkiclient.exe', 'GET', `${path}/pkiclient.exe`, 403],
    ['the same at the alias', 'GET', '/scep', 403],
    ['capabilities', 'GET', `${path}?operation=GetCACaps`, 200],
    ['capabilities with a message', 'GET', `${path}/pkiclient.exe?operation=GetCACaps&message=default`, 200],
    ['the path in another case', 'GET', '/CertSrv/MSCEP/mscep.dll?operation=GetCACert', 200],
    ['an absolute URL', 'GET', `${scepUrl}?operation=GetCACaps`, 200],
    ['an unknown operation', 'GET', `${path}?operation=GetEverything`, 400],
    ['the next CA where none is prepared', 'GET', `${path}?operation=GetNextCACert`, 404],
    ['no operation, but a query', 'GET', `${path}?message=x`, 400],
    ['an operation in another case', 'GET', `${path}?operation=getcacaps`, 400],
    ['a POST without operation', 'POST', path, 400],
    ['capabilities by POST', 'POST', `${path}?operation=GetCACaps`, 405],
    ['PKIOperation by GET without message', 'GET', `${path}?operation=PKIOperation`, 400],
    ['PKIOperation with a message that is no base64', 'GET', `${path}?operation=PKIOperation&message=%25%25`, 400],
    ['PKIOperation without a body', 'POST', `${path}?operation=PKIOperation`, 400],
    ['PKIOperation with noise', 'POST', `${path}?operation=PKIOperation`, 400, Buffer.from('noise')],
    ['65534 characters (S56)', 'GET', target(65_534), 200],
    ['65535 characters', 'GET', target(65_535), 414],
    ['a body of 1 MiB', 'POST', `${path}?operation=PKIOperation`, 400, new Uint8Array(1024 * 1024)],
    ['a body of 1 MiB and an octet', 'POST', `${path}?operation=PKIOperation`, 413, new Uint8Array(1024 * 1024 + 1)],
    ['another path', 'GET', '/certsrv', 404],
    ['no URL at all', 'GET', 'http://', 400],
  ]
  for (const [name, method, url, status, body] of rows) {
    t.equal((await lab.handle({ method, url, headers: {}, ...(body && { body }) })).status, status, name)
  }
})

t.test('capabilities say what is really taken', async (t) => {
  const caps = async (options: object) => {
    const { lab } = await startLab(options)
    const response = await lab.handle({ method: 'GET', url: `${scepUrl}?operation=GetCACaps`, headers: {} })
    t.equal(response.headers['content-type'], 'text/plain')
    return [...parseCapabilities(Buffer.from(response.body).toString())].sort()
  }
  const modern = ['AES', 'DES3', 'POSTPKIOperation', 'Renewal', 'SCEPStandard', 'SHA-256', 'SHA-512']
  t.same(await caps({}), modern)
  t.same(await caps({ legacySha1: true }), [...modern, 'SHA-1'].sort())
})

t.test('ndes.registration-authority, scep.content-types: GetCACert brings both RA certificates, the issuing CA and the root', async (t) => {
  const { lab } = await startLab()
  const response = await lab.handle({ method: 'GET', url: `${scepUrl}?operation=GetCACert`, headers: {} })
  t.equal(response.headers['content-type'], 'application/x-x509-ca-ra-cert')
  const { ca, authorities, signers, recipient } = await caOf(lab)
  t.same(Buffer.from(ca.raw), Buffer.from(lab.issuingCertificate))
  t.same(Buffer.from(authorities[1]?.raw ?? []), Buffer.from(lab.rootCertificate))
  const usages = [...(signers[0]?.keyUsage ?? []), ...(recipient.keyUsage ?? [])]
  t.same(usages, ndesFacts.registrationAuthority.value)
  t.same(usages, ['digitalSignature', 'keyEncipherment'])
  for (const certificate of [recipient, signers[0]]) t.match(opensslVerify(t, lab, certificate?.raw ?? new Uint8Array(), start), /OK/)
  t.match(opensslText(lab.issuingCertificate), /CA:TRUE, pathlen:0/)
})

t.test('a request with a bound challenge gets the certificate that its profile describes', async (t) => {
  const { lab } = await startLab()
  const key = await testKey('a')
  const certificate = await enrolled(lab, { key, challenge: await challengeFor(lab, await register(lab)) })
  t.match(opensslVerify(t, lab, certificate, start), /OK/)
  const text = opensslText(certificate)
  t.match(text, /Subject: CN = device-1, O = Example/)
  t.match(text, /DNS:device-1\.example/)
  t.match(text, /X509v3 Key Usage: critical\s+Digital Signature, Key Encipherment\n/)
  t.match(text, /X509v3 Extended Key Usage:\s+TLS Web Client Authentication\n/)
  t.notMatch(text, /CA:TRUE/)
  const { publicKey, serialNumber, notBefore, notAfter } = parseCertificate(certificate)
  t.same(Buffer.from(publicKey), Buffer.from(key.publicKey))
  t.equal(serialNumber.length, 20)
  t.equal(notAfter - notBefore, 365 * 86_400_000)
  const [record, ...others] = lab.issued()
  t.same(others, [])
  t.match(record, {
    deviceId: 'device-1',
    profileId: 'wifi',
    attemptId: 'attempt-1',
    at: start,
    serialNumber: Buffer.from(serialNumber).toString('hex'),
  })
})

t.test('scep.get-encoding: ways to bring a message', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const content = await csrFor({ key, challenge: 'secret' })
  const { message, read } = await messageFor(lab, { key, content })
  const base64 = Buffer.from(message).toString('base64')
  const get = async (text: string) =>
    (await lab.handle({ method: 'GET', url: `${scepUrl}/pkiclient.exe?operation=PKIOperation&message=${text}`, headers: {} })).body
  const rows: [string, Uint8Array][] = [
    ['POST', (await sendMessage(lab, message)).body],
    ['GET, escaped', await get(encodeURIComponent(base64))],
    ['GET, "+" not escaped', await get(base64)],
    ['GET, base64url without padding', await get(Buffer.from(message).toString('base64url'))],
    ['GET, in lines', await get(encodeURIComponent(base64.replace(/.{64}/g, '$&\r\n')))],
  ]
  t.match(base64, /\+/, 'the rows differ')
  for (const [name, body] of rows) t.equal((await read(body)).status, 'success', name)
  for (const cipher of ['aes-256-cbc', 'des-ede3-cbc'] as const)
    t.equal((await exchange(lab, { key, content, cipher })).status, 'success', cipher)
  t.equal((await exchange(lab, { key, content, keyTransport: 'oaep-sha256' })).status, 'success', 'OAEP')
})

t.test('SHA-1 is read behind its switch, and answered in SHA-256', async (t) => {
  const key = await testKey('a')
  const ask = async (legacySha1: boolean) =>
    enroll((await startLab({ staticChallenge: 'secret', legacySha1 })).lab, { key, challenge: 'secret' }, { hash: 'sha1' })
  t.equal(await ask(false), 'badAlg')
  t.ok((await ask(true)) instanceof Uint8Array)
})

t.test('whatever is wrong with signature or encryption is one answer', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const content = await csrFor({ key, challenge: 'secret' })
  const { message, read } = await messageFor(lab, { key, content })
  const brokenSignature = Uint8Array.from(message)
  brokenSignature[message.length - 1] = (brokenSignature[message.length - 1] as number) ^ 1
  const foreign = await messageFor(lab, { key, content, recipient: parseCertificate(lab.issuingCertificate) })
  const noCsr = await messageFor(lab, { key, content: Buffer.from('garbage, not a request') })
  const brokenCsr = Uint8Array.from(content)
  brokenCsr[content.length - 1] = (brokenCsr[content.length - 1] as number) ^ 1
  const unsigned = await messageFor(lab, { key, content: brokenCsr })
  const rows: [string, Uint8Array, typeof read][] = [
    ['a signature that is not right', brokenSignature, read],
    ['an envelope for another certificate', foreign.message, foreign.read],
    ['an envelope with noise', noCsr.message, noCsr.read],
    ['a CSR whose signature is not right', unsigned.message, unsigned.read],
  ]
  for (const [name, bytes, readAnswer] of rows) {
    t.same(await readAnswer((await sendMessage(lab, bytes)).body), { status: 'failure', failInfo: 'badMessageCheck' }, name)
    t.match(lab.audit().at(-1), { event: 'refused', failInfo: 'badMessageCheck', code: 'CertificateRequestDecodingFailed' }, name)
  }
  t.same([...lab.issued()], [])
})

t.test('a mutated message is answered or refused, and what was signed in it stays what it was', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const { message } = await messageFor(lab, { key, content: await csrFor({ key, challenge: 'secret' }) })
  for (let at = 0; at < message.length; at += 37) {
    const mutated = Uint8Array.from(message)
    mutated[at] = (mutated[at] as number) ^ 0x41
    const { status } = await sendMessage(lab, mutated)
    if (status !== 200 && status !== 400) t.fail(`octet ${at}: status ${status}`)
  }
  for (let length = 0; length < message.length; length += 61) {
    const { status } = await sendMessage(lab, message.subarray(0, length))
    if (status !== 400) t.fail(`cut at ${length}: status ${status}`)
  }
  // Some octets, like the version of the SignedData, are under no signature.
  const publicKeys = [...lab.issued()].map(({ certificate }) => Buffer.from(parseCertificate(certificate).publicKey).toString('hex'))
  t.ok(publicKeys.length <= 1, 'one transaction, one certificate')
  for (const publicKey of publicKeys) t.equal(publicKey, Buffer.from(key.publicKey).toString('hex'))
})
