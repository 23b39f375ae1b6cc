import { type KeyHandle, softwareKeys, verifyIssued } from '@certfleet/agent-core'
import t from 'tap'
import { type TestCertificate, testCertificate, testKey } from '../fakes/certificates.ts'

const day = 86_400_000
const now = 1_800_000_000_000
const [rootKey, issuingKey, ours, theirs] = (await Promise.all(['root', 'issuing', 'ours', 'theirs'].map(testKey))) as [
  KeyHandle,
  KeyHandle,
  KeyHandle,
  KeyHandle,
]
const rootBy = { subject: 'CN=Root', key: rootKey }
const by = { subject: 'CN=Issuing', key: issuingKey }
const root = await testCertificate({ ...rootBy, ca: true })
const issuing = await testCertificate({ ...by, issuer: rootBy, ca: true })
const otherRoot = await testCertificate({ subject: 'CN=Other', key: theirs, ca: true })

const request = {
  keySpec: { algorithm: 'rsa', bits: 2048 },
  subject: 'CN=dev,O=Lab',
  subjectAltNames: [
    { type: 'upn', value: 'dev@lab.example' },
    { type: 'email', value: 'dev@lab.example' },
  ],
} as const
const asAsked: TestCertificate = {
  subject: request.subject,
  key: ours,
  issuer: by,
  subjectAltNames: request.subjectAltNames,
  notBefore: now - day,
  notAfter: now + day,
}

const judge = async (
  change: Partial<TestCertificate>,
  { trusted = root, also = [issuing] }: { trusted?: Uint8Array; also?: Uint8Array[] } = {},
) => {
  const leaf = await testCertificate({ ...asAsked, ...change })
  return () => verifyIssued({ issued: [Uint8Array.of(0x30, 0), ...also, leaf], request, key: ours, root: trusted, at: now })
}

t.test('what was asked for is taken, with its path, wherever it stands in the reply', async (t) => {
  const { chain } = (await judge({}))()
  t.same(chain.slice(1), [issuing, root])
})

const mismatch = 'ERR_CERTIFICATE_MISMATCH'
const rows: [name: string, change: Partial<TestCertificate>, code: string | undefined][] = [
  ['as asked', {}, undefined],
  ['its RDNs in the order of Go', { subject: 'O=Lab,CN=dev' }, undefined],
  ['an RDN twice', { subject: 'CN=dev,O=Lab,O=Lab' }, mismatch],
  ['for another key', { key: theirs }, mismatch],
  ['for another subject', { subject: 'CN=other,O=Lab' }, mismatch],
  ['for less than the subject', { subject: 'CN=dev' }, mismatch],
  ['without the SANs', { subjectAltNames: [{ type: 'dns', value: 'x.example' }] }, mismatch],
  ['with one SAN of two', { subjectAltNames: request.subjectAltNames.slice(0, 1) }, mismatch],
  ['with a SAN more', { subjectAltNames: [...request.subjectAltNames, { type: 'dns', value: 'dev.lab.example' }] }, undefined],
  ['a CA certificate', { ca: true }, mismatch],
  ['expired a millisecond ago', { notAfter: now - 1000 }, mismatch],
  ['expiring now', { notAfter: now }, undefined],
  ['valid five minutes from now: clocks differ', { notBefore: now + 300_000 }, undefined],
  ['valid from later on', { notBefore: now + 301_000 }, mismatch],
  ['signed by nobody we trust', { issuer: { subject: 'CN=Issuing', key: theirs } }, 'ERR_CERTIFICATE_UNTRUSTED'],
]

t.test('the issued certificate is judged before it is stored', async (t) => {
  for (const [name, change, code] of rows) {
    const check = await judge(change)
    if (code) t.throws(check, { code }, name)
    else t.doesNotThrow(check, name)
  }
})

t.test('a path to another root is no path', async (t) => {
  t.throws(await judge({}, { trusted: otherRoot }), { code: 'ERR_CERTIFICATE_UNTRUSTED' })
  t.throws(await judge({}, { also: [] }), { code: 'ERR_CERTIFICATE_UNTRUSTED' }, 'nor is one with the issuing CA missing')
})

t.test('RSA-1024 passes in the leaf of a profile that asks for it, and never in a CA', async (t) => {
  const keys = softwareKeys()
  const weak = await keys.generate({ algorithm: 'rsa', bits: 1024 }, 'weak')
  const weakCa = await keys.generate({ algorithm: 'rsa', bits: 1024 }, 'weak-ca')
  const weakBy = { subject: 'CN=Weak issuing', key: weakCa }
  const also = [issuing, await testCertificate({ ...weakBy, issuer: rootBy, ca: true })]
  const check = async (issuer: typeof by, bits: number) => {
    const leaf = await testCertificate({ ...asAsked, key: weak, issuer })
    const asked = { ...request, keySpec: { algorithm: 'rsa', bits } } as const
    return () => verifyIssued({ issued: [leaf, ...also], request: asked, key: weak, root, at: now })
  }
  t.doesNotThrow(await check(by, 1024))
  t.throws(await check(by, 2048), { code: 'ERR_CERTIFICATE_UNTRUSTED', message: /1024 bits/ }, 'not asked for')
  t.throws(await check(weakBy, 1024), { code: 'ERR_CERTIFICATE_UNTRUSTED', message: /1024 bits/ }, 'a CA of RSA-1024')
})
