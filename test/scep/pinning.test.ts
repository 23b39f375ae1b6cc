import { createHash } from 'node:crypto'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import t from 'tap'
import { pinCaCertificates } from '#agent-core/scep/pinning.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'

const [rootKey, issuingKey, raKey] = [await testKey('root'), await testKey('issuing'), await testKey('ra')]
const day = 86_400_000
const at = 20_000 * day
const issuer = { subject: 'CN=Root', key: rootKey }
const root = await testCertificate({ ...issuer, ca: true })
const issuing = await testCertificate({ subject: 'CN=Issuing', key: issuingKey, issuer, ca: true, notAfter: at + 20 * day })
const ra = await testCertificate({
  subject: 'CN=RA',
  key: raKey,
  issuer: { subject: 'CN=Issuing', key: issuingKey },
  keyUsage: ['digitalSignature'],
  notBefore: at - day,
  notAfter: at + day,
})
const body = buildCertificatesOnly({ certificates: [root, issuing, ra], crls: [] })
const trust = { root }

t.test('the same answer under the same rules is judged once', async (t) => {
  const first = pinCaCertificates(body, { trust, at })
  t.equal(pinCaCertificates(Uint8Array.from(body), { trust, at: at + 1000 }), first)
  t.not(pinCaCertificates(body, { trust: { fingerprint: fingerprintOf(root) }, at }), first)
  const thumbprint = createHash('sha1').update(root).digest('hex')
  t.not(pinCaCertificates(body, { trust: { thumbprint }, at }), first)
  t.not(pinCaCertificates(body, { trust, at, legacySha1: true }), first)
})

t.test('what was found before does not outlive a date', async (t) => {
  const rows: [string, number, number][] = [
    ['before the RA certificate', at - day - 1000, 1],
    ['from its first moment', at - day, 2],
    ['to its last', at + day, 2],
    ['after it', at + day + 1000, 1],
  ]
  for (const [name, moment, signers] of rows) {
    pinCaCertificates(body, { trust, at })
    t.equal(pinCaCertificates(body, { trust, at: moment }).signers.length, signers, name)
    t.equal(pinCaCertificates(body, { trust, at }).signers.length, 2, `${name}, and back`)
  }
  t.throws(() => pinCaCertificates(body, { trust, at: at + 21 * day }), { code: 'ERR_CA_UNTRUSTED' }, 'the CA expired')
})

t.test('an answer that passed under one root does not pass under another', async (t) => {
  const other = await testCertificate({ subject: 'CN=Root', key: raKey, ca: true })
  pinCaCertificates(body, { trust, at })
  t.throws(() => pinCaCertificates(body, { trust: { root: other }, at }), { code: 'ERR_CA_UNTRUSTED' })
  t.throws(() => pinCaCertificates(body, { trust: { fingerprint: fingerprintOf(other) }, at }), { code: 'ERR_CA_UNTRUSTED' })
})

t.test('what is kept is not changed through the bytes that it came in', async (t) => {
  const bytes = buildCertificatesOnly({ certificates: [root, issuing, ra, issuing], crls: [] })
  const { ca } = pinCaCertificates(bytes, { trust, at })
  bytes.fill(0)
  t.equal(fingerprintOf(ca.raw), fingerprintOf(issuing))
})
