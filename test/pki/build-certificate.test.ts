import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  crlDistributionPointsExtension,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  readSubjectAltNames,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import t from 'tap'
import { caExtensions, identity, now, pem } from '../cms/identities.ts'
import { openssl, writeIdentity } from '../cms/openssl.ts'

const ca = await identity('CN=Test CA,O=certfleet', { extensions: caExtensions, ec: true })
const leafKey = (await identity('CN=x', { ec: true })).key

const leaf = parseCertificate(
  await buildCertificate({
    serialNumber: Uint8Array.of(0, 0x9f, 1),
    issuer: ca.certificate.subject,
    subject: 'CN=device,E=a@example.com',
    publicKey: leafKey.publicKey,
    notBefore: now,
    notAfter: Date.UTC(2060, 5, 1, 12, 30, 15),
    extensions: [
      basicConstraintsExtension({ ca: false }),
      keyUsageExtension(['digitalSignature', 'keyEncipherment']),
      extendedKeyUsageExtension(['1.3.6.1.5.5.7.3.2']),
      subjectAltNameExtension([{ type: 'upn', value: 'a@example.com' }]),
      subjectKeyIdentifierExtension(leafKey.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(ca.key.publicKey)),
      crlDistributionPointsExtension(['http://pki.example.com/ca.crl']),
    ],
    signer: ca.key,
    hash: 'sha384',
  }),
)

t.test('openssl verifies it and reads what was put in', async (t) => {
  const folder = t.testdir()
  writeIdentity(folder, 'ca', ca)
  writeFileSync(join(folder, 'leaf.pem'), pem(leaf))
  const verified = openssl(folder, [
    'verify',
    '-x509_strict',
    '-CAfile',
    'ca.pem',
    '-purpose',
    'sslclient',
    '-attime',
    String(now / 1000 + 60),
    'leaf.pem',
  ])
  t.match(verified.toString(), /leaf.pem: OK/)
  const text = openssl(folder, ['x509', '-in', 'leaf.pem', '-noout', '-text']).toString()
  for (const expected of [
    /Serial Number: 40705 /,
    /ecdsa-with-SHA384/,
    /Not After : Jun +1 12:30:15 2060 GMT/,
    /Digital Signature, Key Encipherment/,
    /TLS Web Client Authentication/,
    /othername: UPN::a@example.com/,
    /URI:http:\/\/pki.example.com\/ca.crl/,
    /CA:FALSE/,
  ]) {
    t.match(text, expected)
  }
})

t.test('our own reader finds the same', async (t) => {
  t.same(leaf.issuer, ca.certificate.subject)
  t.equal(leaf.notAfter, Date.UTC(2060, 5, 1, 12, 30, 15))
  t.same(readSubjectAltNames(leaf), [{ type: 'upn', value: 'a@example.com' }])
  t.same(leaf.authorityKeyIdentifier?.keyIdentifier, Uint8Array.from(ca.certificate.subjectKeyIdentifier as Uint8Array))
  t.same(ca.certificate.basicConstraints, { ca: true })
})

t.test('key usage bits', async (t) => {
  const rows = [
    [['digitalSignature'], '03020780'],
    [['keyEncipherment'], '03020520'],
    [['digitalSignature', 'keyEncipherment'], '030205a0'],
    [['keyCertSign', 'cRLSign'], '03020106'],
    [['decipherOnly'], '0303070080'],
    [['digitalSignature', 'decipherOnly'], '0303078080'],
    [['encipherOnly'], '03020001'],
  ] as const
  for (const [usages, expected] of rows) t.equal(Buffer.from(keyUsageExtension(usages).value).toString('hex'), expected, usages.join())
})

t.test('path lengths', async (t) => {
  const rows = [
    [{ ca: true }, '30030101ff'],
    [{ ca: true, pathLength: 0 }, '30060101ff020100'],
    [{ ca: false }, '3000'],
  ] as const
  for (const [constraints, expected] of rows) t.equal(Buffer.from(basicConstraintsExtension(constraints).value).toString('hex'), expected)
})
