import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AgentError, softwareKeyHandle } from '@certfleet/agent-core'
import { openCertificatesOnly, openSignedData } from '@certfleet/agent-core/cms'
import { formatName, parseCertificate, parseCsr, verifyCsr } from '@certfleet/agent-core/pki'
import { openPkiRequest, parseCertRep, verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import t from 'tap'

const folder = join(process.env.CERTFLEET_VECTORS ?? join('..', 'shared', 'vectors'), 'scep-messages')
const skip = existsSync(folder) ? false : 'CERTFLEET_VECTORS names no folder with recorded messages'
const read = (...path: string[]) => readFileSync(join(folder, ...path))
const certificate = (...path: string[]) =>
  parseCertificate(
    Buffer.from(
      read(...path)
        .toString()
        .replace(/^.*-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----.*$/gs, ''),
      'base64',
    ),
  )
const transactionId = 'A13090761A30F66664F85D37433D2065E1112BA1'

t.test('an Apple device asks micromdm', { skip }, async (t) => {
  const ca = certificate('micromdm-scep', 'testdata', 'testca', 'ca.pem')
  const key = softwareKeyHandle(createPrivateKey({ key: read('micromdm-scep', 'testdata', 'testca', 'ca.key'), passphrase: '' }), 'ca')
  const message = read('micromdm-scep', 'testdata', 'PKCSReq.der')
  t.throws(() => verifyPkiRequest(message), { code: 'ERR_ALGORITHM_REFUSED' })
  const request = verifyPkiRequest(message, { legacySha1: true })
  t.match(request, { messageType: 'PKCSReq', transactionId })
  const legacy = { recipients: [{ certificate: ca, key }], legacySha1: true }
  await t.rejects(openPkiRequest(request, legacy), { code: 'ERR_DER_MALFORMED', message: /version/ }, 'its CSR has version 2')
  const opened = await openPkiRequest(request, { ...legacy, allowBadVersion: true })
  t.match('csr' in opened && formatName(opened.csr.subject), /^CN=com\.apple\.security\.scep\./)
})

t.test('smallstep answers', { skip }, async (t) => {
  const ca = certificate('smallstep-scep', 'testdata', 'testca', 'ca.pem')
  const reply = read('smallstep-scep', 'testdata', 'CertRep.der')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { signer, senderNonce } = verifyPkiRequest(read('smallstep-scep', 'testdata', 'PKCSReq.der'), { legacySha1: true })
  // The key of the recording is lost: an answer that is verified gets as far as its decryption.
  const rules = {
    signers: [ca],
    transactionId,
    senderNonce,
    recipient: { certificate: signer, key: softwareKeyHandle(privateKey, 'lost') },
    legacySha1: true,
  }
  await t.rejects(parseCertRep(reply, { ...rules, legacyDes: true }), { code: 'ERR_CMS_DECRYPT' })
  await t.rejects(parseCertRep(reply, rules), { code: 'ERR_ALGORITHM_REFUSED', message: /legacy-des/ })
  await t.rejects(parseCertRep(reply, { ...rules, signers: [signer] }), { code: 'ERR_CMS_INVALID' })
  const envelope = Buffer.from(openSignedData(reply, rules).content as Uint8Array)
  const seen = new Set<string>()
  for (let i = 0; i < reply.length; i++) {
    const mutant = Buffer.from(reply)
    mutant[i] = (mutant[i] as number) ^ 0x01
    try {
      seen.add(envelope.equals(openSignedData(mutant, rules).content as Uint8Array) ? 'same' : `other at ${i}`)
    } catch (error) {
      seen.add((error as AgentError).code ?? `${error} at ${i}`)
    }
  }
  for (const outcome of seen)
    t.match(outcome, /^(same|ERR_(DER_MALFORMED|CMS_INVALID|ALGORITHM_REFUSED))$/, 'each flipped bit is refused or changes nothing')
})

t.test('NDES answers without certificates', { skip }, async (t) => {
  const reply = read('smallstep-scep', 'testdata', 'testca2', 'CertRep_NoCertificatesForSigners.der')
  const ca = certificate('smallstep-scep', 'testdata', 'testca2', 'ca2.pem')
  t.throws(() => openSignedData(reply, { signers: 'enclosed', legacySha1: true }), { code: 'ERR_CMS_INVALID' })
  t.throws(() => openSignedData(reply, { signers: [], legacySha1: true }), { code: 'ERR_CMS_INVALID' })
  t.ok(openSignedData(reply, { signers: [ca], legacySha1: true }).content)
})

t.test('jscep asks and is answered', { skip }, async (t) => {
  const sample = (name: string) => read('jscep', 'src', 'samples', name)
  verifyCsr(parseCsr(sample('scep_req0.der')), { legacySha1: true })
  t.equal(openCertificatesOnly(sample('scep_resp0.der')).certificates.length, 1)
  const request = verifyPkiRequest(sample('scep_req2.der'))
  t.match(request, { messageType: 'PKCSReq', transactionId: '7XXEY-ERLPU-2JDR9' })
  const ca = openSignedData(sample('scep_resp2.der'), { signers: 'enclosed' }).signer
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1536 })
  const rules = { ...request, signers: [ca], recipient: { certificate: request.signer, key: softwareKeyHandle(privateKey, 'lost') } }
  await t.rejects(
    parseCertRep(sample('scep_resp2.der'), rules),
    { code: 'ERR_CMS_DECRYPT' },
    'transactionID and nonce are those of the request',
  )
  await t.rejects(parseCertRep(sample('scep_resp2.der'), { ...rules, senderNonce: new Uint8Array(16) }), {
    code: 'ERR_SCEP_REPLY_MISMATCH',
  })
  await t.rejects(parseCertRep(sample('scep_resp2.der'), { ...rules, transactionId }), { code: 'ERR_SCEP_REPLY_MISMATCH' })
})
