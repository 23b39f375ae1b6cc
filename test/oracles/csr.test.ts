import 'reflect-metadata'
import { createCsr } from '@certfleet/agent-core'
import { Crypto } from '@peculiar/webcrypto'
import * as x509 from '@peculiar/x509'
import forge from 'node-forge'
import * as pkijs from 'pkijs'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'

// Lab and agent share one codec, so what they say of each other proves nothing. These four libraries share none of it.
const key = await testKey('device')
const challenge = 'test-only-challenge'
const csr = await createCsr({
  subject: 'CN=Zoë,O=Lab,C=DE',
  subjectAltNames: [
    { type: 'email', value: 'zoe@lab.example' },
    { type: 'dns', value: 'dev.lab.example' },
    { type: 'uri', value: 'urn:x:1' },
    { type: 'upn', value: 'zoe@lab.example' },
  ],
  keyUsages: ['digitalSignature', 'keyEncipherment'],
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
  key,
  hash: 'sha256',
  challenge,
})

t.test('@peculiar/x509 over @peculiar/webcrypto verifies the request and reads its names', async (t) => {
  const request = new x509.Pkcs10CertificateRequest(Uint8Array.from(csr))
  t.ok(await request.verify(new Crypto()))
  t.equal(request.subject, 'CN=Zoë, O=Lab, C=DE')
  const extension = <T>(type: new (raw: ArrayBuffer) => T, oid: string) =>
    new type(request.getExtension(oid)?.rawData ?? new ArrayBuffer(0))
  const names = extension(x509.SubjectAlternativeNameExtension, '2.5.29.17')
  t.same(names.names.toJSON(), [
    { type: 'email', value: 'zoe@lab.example' },
    { type: 'dns', value: 'dev.lab.example' },
    { type: 'url', value: 'urn:x:1' },
    { type: 'upn', value: 'zoe@lab.example' },
  ])
  t.same(extension(x509.ExtendedKeyUsageExtension, '2.5.29.37').usages, ['1.3.6.1.5.5.7.3.2'])
})

t.test('pkijs verifies the request and finds challenge and extensions among its attributes', async (t) => {
  const request = pkijs.CertificationRequest.fromBER(Uint8Array.from(csr))
  t.ok(await request.verify(new pkijs.CryptoEngine({ name: 'node', crypto: globalThis.crypto })))
  t.same(request.attributes?.map(({ type }) => type).sort(), ['1.2.840.113549.1.9.14', '1.2.840.113549.1.9.7'])
  const attribute = request.attributes?.find(({ type }) => type === '1.2.840.113549.1.9.7')
  t.match(attribute?.values[0], { valueBlock: { value: challenge } })
})

t.test('node-forge reads the request', async (t) => {
  const request = forge.pki.certificationRequestFromPem(
    `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(csr).toString('base64')}\n-----END CERTIFICATE REQUEST-----`,
  )
  t.ok(request.verify())
  t.equal(request.getAttribute({ name: 'challengePassword' })?.value, challenge)
})

t.test('@peculiar/x509 verifies a certificate that we built', async (t) => {
  const der = await testCertificate({ subject: 'CN=Root', key, ca: true })
  const certificate = new x509.X509Certificate(Uint8Array.from(der))
  t.ok(await certificate.verify({ date: new Date(1_800_000_000_000) }, new Crypto()))
  t.ok(certificate.getExtension(x509.BasicConstraintsExtension)?.ca)
  t.ok(await certificate.isSelfSigned(new Crypto()))
})
