import type { AgentError } from '@certfleet/agent-core'
import {
  buildCertificatesOnly,
  buildEnvelopedData,
  buildSignedData,
  issuerAndSerialNumber,
  openSignedData,
} from '@certfleet/agent-core/cms'
import { octetString, printableString } from '@certfleet/agent-core/der'
import { createCsr, keyUsageExtension } from '@certfleet/agent-core/pki'
import {
  buildCertRep,
  buildNextCaCertificates,
  buildPkiRequest,
  buildRequestSigner,
  type CertRepAnswer,
  issuerAndSubject,
  openPkiRequest,
  type PkiRequest,
  parseCaCertificates,
  parseCertRep,
  parseNextCaCertificates,
  type RequestType,
  transactionIdFor,
  verifyPkiRequest,
} from '@certfleet/agent-core/scep/messages'
import t from 'tap'
import { caExtensions, identity, now, type TestIdentity } from '../cms/identities.ts'
import { openssl, writeIdentity } from '../cms/openssl.ts'

const ca = await identity('CN=Lab CA', { extensions: caExtensions })
const signing = await identity('CN=RA sign', { issuer: ca, extensions: [keyUsageExtension(['digitalSignature'])] })
const encryption = await identity('CN=RA encrypt', { issuer: ca, extensions: [keyUsageExtension(['keyEncipherment'])] })
const device = await identity('CN=device')
const attacker = await identity('CN=RA sign', { extensions: [keyUsageExtension(['digitalSignature'])] })

const contents = {
  subject: 'CN=device',
  subjectAltNames: [],
  keyUsages: [],
  extendedKeyUsages: [],
  key: device.key,
  hash: 'sha256',
} as const
const csr = await createCsr({ ...contents, challenge: 'x'.repeat(600) })
const requestSigner = await buildRequestSigner({ subject: 'CN=device', key: device.key, hash: 'sha256', at: now })
const transactionId = transactionIdFor(device.key.publicKey)

function request(messageType: RequestType = 'PKCSReq', content: Uint8Array = csr) {
  return buildPkiRequest({
    messageType,
    content,
    transactionId,
    recipient: encryption.certificate,
    signer: requestSigner,
    hash: 'sha256',
    cipher: 'aes-128-cbc',
  })
}

const { message, senderNonce } = await request()
const received = verifyPkiRequest(message)

t.test('transactionID', async (t) => {
  t.match(transactionId, /^[0-9A-F]{64}$/)
  t.equal(transactionIdFor(device.key.publicKey), transactionId, 'the same key has the same one')
  t.not(transactionIdFor(ca.key.publicKey), transactionId)
})

t.test('a request: what was put in comes out, and openssl reads it', async (t) => {
  t.match(received, { messageType: 'PKCSReq', transactionId, hash: 'sha256' })
  t.same(Buffer.from(received.senderNonce), Buffer.from(senderNonce))
  t.equal(senderNonce.length, 16)
  t.notSame((await request()).senderNonce, senderNonce, 'each has a nonce of its own')
  const opened = await openPkiRequest(received, { recipients: [encryption] })
  t.equal(opened.cipher, 'aes-128-cbc')
  t.ok('csr' in opened && opened.csr.challenge === 'x'.repeat(600))

  const folder = t.testdir()
  writeIdentity(folder, 'ra', encryption)
  const envelope = openssl(folder, ['cms', '-verify', '-inform', 'der', '-binary', '-noverify'], message)
  const decrypted = openssl(folder, ['cms', '-decrypt', '-inform', 'der', '-binary', '-recip', 'ra.pem', '-inkey', 'ra.key'], envelope)
  t.same(decrypted, Buffer.from(csr))
})

t.test('every message type', async (t) => {
  const open = async (messageType: RequestType, content: Uint8Array) =>
    openPkiRequest(verifyPkiRequest((await request(messageType, content)).message), { recipients: [encryption] })
  const { issuer, subject, serialNumber } = signing.certificate
  t.match(await open('RenewalReq', csr), { messageType: 'RenewalReq', csr: Object })
  t.same(await open('CertPoll', issuerAndSubject(issuer, subject)), { messageType: 'CertPoll', cipher: 'aes-128-cbc', issuer, subject })
  for (const type of ['GetCert', 'GetCRL'] as const) {
    t.same(await open(type, issuerAndSerialNumber(signing.certificate)), { messageType: type, cipher: 'aes-128-cbc', issuer, serialNumber })
  }
})

t.test('a request that is not for us, or not what it says', async (t) => {
  await t.rejects(openPkiRequest(received, { recipients: [signing] }), { code: 'ERR_CMS_DECRYPT' })
  const garbage = await request('PKCSReq', Buffer.from('no DER at all'))
  await t.rejects(openPkiRequest(verifyPkiRequest(garbage.message), { recipients: [encryption] }), { code: 'ERR_CMS_DECRYPT' })
  const noCsr = await request('PKCSReq', issuerAndSerialNumber(signing.certificate))
  await t.rejects(openPkiRequest(verifyPkiRequest(noCsr.message), { recipients: [encryption] }), { code: 'ERR_DER_MALFORMED' })
  const stolen = Uint8Array.from(csr)
  stolen[stolen.length - 1] = (stolen[stolen.length - 1] as number) ^ 1
  const forged = await request('PKCSReq', stolen)
  await t.rejects(openPkiRequest(verifyPkiRequest(forged.message), { recipients: [encryption] }), { code: 'ERR_CERTIFICATE_REFUSED' })
  const reply = await answer({ status: 'pending' })
  t.throws(() => verifyPkiRequest(reply), { code: 'ERR_SCEP_MALFORMED' })
})

function answer(
  reply: CertRepAnswer,
  { to = received, by = signing }: { to?: Pick<PkiRequest, 'transactionId' | 'senderNonce' | 'signer'>; by?: TestIdentity } = {},
) {
  return buildCertRep({ request: to, answer: reply, signer: by, hash: 'sha256' })
}

const rules = { signers: [signing.certificate, ca.certificate], transactionId, senderNonce, recipient: requestSigner }
const success = { status: 'success', certificates: [device.certificate.raw, ca.certificate.raw], crls: [], cipher: 'aes-128-cbc' } as const

t.test('answers', async (t) => {
  const reply = await answer(success)
  const opened = await parseCertRep(reply, rules)
  t.equal(opened.status, 'success')
  t.same(
    'certificates' in opened && opened.certificates.map((der) => Buffer.from(der).toString('hex')).sort(),
    success.certificates.map((der) => Buffer.from(der).toString('hex')).sort(),
  )
  t.same(await parseCertRep(await answer({ status: 'pending' }), rules), { status: 'pending' })
  t.same(await parseCertRep(await answer({ status: 'failure', failInfo: 'badTime', failInfoText: 'too läte' }), rules), {
    status: 'failure',
    failInfo: 'badTime',
    failInfoText: 'too läte',
  })
  t.test('openssl reads the success', async (t) => {
    const folder = t.testdir()
    writeIdentity(folder, 'ca', ca)
    writeIdentity(folder, 'device', { ...device, certificate: requestSigner.certificate })
    const args = ['cms', '-verify', '-inform', 'der', '-binary', '-CAfile', 'ca.pem', '-no_check_time', '-purpose', 'any']
    const envelope = openssl(folder, args, reply)
    const certificates = openssl(
      folder,
      ['cms', '-decrypt', '-inform', 'der', '-binary', '-recip', 'device.pem', '-inkey', 'device.key'],
      envelope,
    )
    t.match(openssl(folder, ['pkcs7', '-inform', 'der', '-print_certs', '-noout'], certificates).toString(), /subject=CN = device/)
  })
})

t.test('the failure that NDES sends', async (t) => {
  const reply = await answer({ status: 'failure', failInfo: 'badRequest', ndesHresult: 0x80070057 })
  const signed = openSignedData(reply, { signers: [signing.certificate] })
  t.same(signed.content, Uint8Array.of(0))
  t.same(signed.certificates, [])
  t.same(await parseCertRep(reply, rules), { status: 'failure', failInfo: 'badRequest', hresult: '0x80070057' })
  t.equal(Buffer.from(reply).includes('-2147024809'), true, 'the code is a signed decimal on the wire')
})

t.test('an answer that is not the answer is refused', async (t) => {
  const rows: [string, Uint8Array, string][] = [
    ['for another transaction', await answer(success, { to: { ...received, transactionId: 'ANOTHER' } }), 'ERR_SCEP_REPLY_MISMATCH'],
    ['to an old nonce', await answer(success, { to: { ...received, senderNonce: new Uint8Array(16) } }), 'ERR_SCEP_REPLY_MISMATCH'],
    [
      'to half of the nonce',
      await answer(success, { to: { ...received, senderNonce: senderNonce.subarray(8) } }),
      'ERR_SCEP_REPLY_MISMATCH',
    ],
    ['by an attacker of the same name', await answer(success, { by: attacker }), 'ERR_CMS_INVALID'],
    ['by an RA that may not sign', await answer(success, { by: encryption }), 'ERR_CMS_INVALID'],
    ['by the attacker in the name of the RA', await answer(success, { by: { ...signing, key: attacker.key } }), 'ERR_CMS_INVALID'],
    ['encrypted to somebody else', await answer(success, { to: { ...received, signer: encryption.certificate } }), 'ERR_CMS_DECRYPT'],
    ['a request', message, 'ERR_CMS_INVALID'],
    ['a success that carries nothing', await answer({ ...success, certificates: [] }), 'ERR_SCEP_MALFORMED'],
    ['nothing at all', new Uint8Array(), 'ERR_DER_MALFORMED'],
  ]
  for (const [name, reply, code] of rows) await t.rejects(parseCertRep(reply, rules), { code }, name)
})

const scep = (n: number) => `2.16.840.1.113733.1.9.${n}`
const attributes = [
  { oid: scep(2), value: printableString('3') },
  { oid: scep(3), value: printableString('2') },
  { oid: scep(4), value: printableString('2') },
  { oid: scep(6), value: octetString(senderNonce) },
  { oid: scep(7), value: printableString(transactionId) },
]

t.test('scep.attributes, scep.fail-infos: attributes that are missing or wrong', async (t) => {
  const without = (n: number) => attributes.filter(({ oid }) => oid !== scep(n))
  const rows: [string, typeof attributes, string][] = [
    ['complete', attributes, 'failure badRequest'],
    ['no messageType', without(2), 'ERR_SCEP_MALFORMED'],
    ['another messageType', [...without(2), { oid: scep(2), value: printableString('19') }], 'ERR_SCEP_MALFORMED'],
    ['messageType 99', [...without(2), { oid: scep(2), value: printableString('99') }], 'ERR_SCEP_MALFORMED'],
    ['messageType __proto__', [...without(2), { oid: scep(2), value: printableString('constructor') }], 'ERR_SCEP_MALFORMED'],
    ['no pkiStatus', without(3), 'ERR_SCEP_MALFORMED'],
    ['pkiStatus 1', [...without(3), { oid: scep(3), value: printableString('1') }], 'ERR_SCEP_MALFORMED'],
    ['no failInfo', without(4), 'failure badRequest'],
    ['failInfo 9', [...without(4), { oid: scep(4), value: printableString('9') }], 'failure badRequest'],
    ['failInfo 0', [...without(4), { oid: scep(4), value: printableString('0') }], 'failure badAlg'],
    ['no recipientNonce', without(6), 'ERR_SCEP_REPLY_MISMATCH'],
    ['an empty recipientNonce', [...without(6), { oid: scep(6), value: octetString(new Uint8Array()) }], 'ERR_SCEP_MALFORMED'],
    ['a text for a recipientNonce', [...without(6), { oid: scep(6), value: printableString('x') }], 'ERR_DER_MALFORMED'],
    ['no transactionID', without(7), 'ERR_SCEP_MALFORMED'],
    ['a success without an envelope', [...without(3), { oid: scep(3), value: printableString('0') }], 'ERR_SCEP_MALFORMED'],
    ['transactionID twice', [...attributes, { oid: scep(7), value: printableString('other') }], 'ERR_CMS_INVALID'],
  ]
  for (const [name, list, expected] of rows) {
    const reply = await buildSignedData({ signer: signing, hash: 'sha256', attributes: list, certificates: [] })
    const outcome = await parseCertRep(reply, rules).then(
      (rep) => `${rep.status} ${'failInfo' in rep ? rep.failInfo : ''}`.trim(),
      (error: AgentError) => error.code,
    )
    t.equal(outcome, expected, name)
  }
})

t.test('every flipped octet of a success is refused or changes nothing', async (t) => {
  const reply = await answer({ ...success, certificates: [device.certificate.raw] })
  const certificate = Buffer.from(device.certificate.raw)
  const seen = new Set<string>()
  for (let i = 0; i < reply.length; i++) {
    const mutant = Uint8Array.from(reply)
    mutant[i] = (mutant[i] as number) ^ 0x80
    const outcome = await parseCertRep(mutant, rules).then(
      (rep) => ('certificates' in rep && Buffer.compare(rep.certificates[0] as Uint8Array, certificate) === 0 ? 'same' : `other at ${i}`),
      (error: AgentError) => error.code ?? `${error} at ${i}`,
    )
    seen.add(outcome)
  }
  for (const outcome of seen) t.match(outcome, /^(same|ERR_(DER_MALFORMED|CMS_INVALID|CMS_DECRYPT|ALGORITHM_REFUSED|SCEP_MALFORMED))$/)
})

t.test('an EC subject key is enrolled through a throwaway RSA key', async (t) => {
  const ec = await identity('CN=ec device', { ec: true })
  const ecCsr = await createCsr({ ...contents, subject: 'CN=ec device', key: ec.key })
  const throwaway = await buildRequestSigner({ subject: 'CN=ec device', key: device.key, hash: 'sha256', at: now })
  const id = transactionIdFor(ec.key.publicKey)
  const sent = await buildPkiRequest({
    messageType: 'PKCSReq',
    content: ecCsr,
    transactionId: id,
    recipient: encryption.certificate,
    signer: throwaway,
    hash: 'sha256',
    cipher: 'aes-256-cbc',
    keyTransport: 'oaep-sha256',
  })
  const arrived = verifyPkiRequest(sent.message)
  t.match(await openPkiRequest(arrived, { recipients: [encryption] }), { csr: { publicKey: Uint8Array }, cipher: 'aes-256-cbc' })
  const reply = await answer({ ...success, certificates: [ec.certificate.raw] }, { to: arrived })
  t.match(await parseCertRep(reply, { ...rules, transactionId: id, senderNonce: sent.senderNonce, recipient: throwaway }), {
    status: 'success',
  })
})

t.test('scep.registration-authority: GetCACert', async (t) => {
  const root = await identity('CN=Root', { extensions: caExtensions, ec: true })
  const issuing = await identity('CN=Issuing', { issuer: root, extensions: caExtensions, ec: true })
  const both = await identity('CN=RA both', { issuer: issuing, ec: true })
  const rows: [string, readonly TestIdentity[], TestIdentity, readonly TestIdentity[], TestIdentity][] = [
    ['a CA alone', [ca], ca, [ca], ca],
    ['NDES: CA and two RA certificates', [ca, signing, encryption], ca, [signing, ca], encryption],
    ['in another order', [encryption, signing, ca], ca, [signing, ca], encryption],
    ['a chain without RA', [root, issuing], issuing, [issuing], issuing],
    ['a chain, issuing CA first', [issuing, root], issuing, [issuing], issuing],
    ['one RA for both, under a chain', [both, root, issuing], issuing, [both, issuing], both],
    ['only an RA that signs', [ca, signing], ca, [signing, ca], ca],
  ]
  for (const [name, sent, issuer, signers, recipient] of rows) {
    const [alone] = sent.length === 1 ? sent : []
    const body = alone
      ? alone.certificate.raw
      : buildCertificatesOnly({ certificates: sent.map(({ certificate }) => certificate.raw), crls: [] })
    const found = parseCaCertificates(body)
    t.same(found.ca.raw, issuer.certificate.raw, `${name}: CA`)
    t.same(
      found.signers.map(({ subject }) => Buffer.from(subject)),
      signers.map(({ certificate }) => Buffer.from(certificate.subject)),
      `${name}: signers`,
    )
    t.same(found.recipient.raw, recipient.certificate.raw, `${name}: recipient`)
    t.same(found.authorities[0]?.raw, issuer.certificate.raw, `${name}: the issuing CA is the first authority`)
  }
  const noCa = buildCertificatesOnly({ certificates: [signing.certificate.raw, encryption.certificate.raw], crls: [] })
  t.throws(() => parseCaCertificates(noCa), { code: 'ERR_SCEP_MALFORMED' })
  t.throws(() => parseCaCertificates(buildCertificatesOnly({ certificates: [], crls: [] })), { code: 'ERR_SCEP_MALFORMED' })
  t.throws(() => parseCaCertificates(Buffer.from('<html>')), { code: 'ERR_DER_MALFORMED' })
  const alone = openssl(writeAll(t.testdir()), [
    'crl2pkcs7',
    '-nocrl',
    '-certfile',
    'ca.pem',
    '-certfile',
    's.pem',
    '-certfile',
    'e.pem',
    '-outform',
    'der',
  ])
  t.same(parseCaCertificates(alone).recipient.serialNumber, Buffer.from(encryption.certificate.serialNumber), 'made by openssl')
})

function writeAll(folder: string): string {
  writeIdentity(folder, 'ca', ca)
  writeIdentity(folder, 's', signing)
  writeIdentity(folder, 'e', encryption)
  return folder
}

t.test('GetNextCACert: only what the present CA signed', async (t) => {
  const next = await identity('CN=Next CA', { extensions: caExtensions, ec: true })
  const body = await buildNextCaCertificates({ certificates: [next.certificate.raw], signer: ca, hash: 'sha256' })
  t.same(parseNextCaCertificates(body, { signers: [ca.certificate] }).ca.raw, next.certificate.raw)
  t.throws(() => parseNextCaCertificates(body, { signers: [next.certificate] }), { code: 'ERR_CMS_INVALID' })
  const bare = buildCertificatesOnly({ certificates: [next.certificate.raw], crls: [] })
  t.throws(() => parseNextCaCertificates(bare, { signers: [ca.certificate] }), { code: 'ERR_CMS_INVALID' })
  const empty = await buildSignedData({ signer: ca, hash: 'sha256', attributes: [], certificates: [next.certificate.raw] })
  t.throws(() => parseNextCaCertificates(empty, { signers: [ca.certificate] }), { code: 'ERR_SCEP_MALFORMED' })
})

t.test('an envelope in a request from a peer that writes 3DES is answered alike', async (t) => {
  const content = buildEnvelopedData({ content: csr, recipient: encryption.certificate, cipher: 'des-ede3-cbc' })
  const opened = await openPkiRequest({ ...received, envelope: content }, { recipients: [encryption] })
  t.equal(opened.cipher, 'des-ede3-cbc')
})
