import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import {
  bitString,
  boolean,
  explicit,
  integer,
  nullValue,
  octetString,
  oid,
  readChildren,
  readDer,
  sequence,
  setOf,
  Tag,
  time,
  tlv,
  utf8String,
} from '@certfleet/agent-core/der'
import { fingerprintOf, isSelfSigned, parseCertificate, publicKeyOf, serialNumberHex } from '@certfleet/agent-core/pki'
import fc from 'fast-check'
import t from 'tap'
import { caExtensions, leafExtensions, OpensslAuthority } from './path-fixtures.ts'

const authority = new OpensslAuthority(t.testdir())
const root = authority.issue({
  subject: '/O=Example/CN=Root',
  extensions: ['basicConstraints=critical,CA:TRUE,pathlen:3', ...caExtensions.slice(1)],
})
const names = [
  'email:a@example.com',
  'DNS:a.example.com',
  'URI:urn:uuid:1',
  'IP:192.0.2.1',
  'otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@example.com',
  'otherName:1.2.3.4;UTF8:b',
  'RID:1.2.3.5',
].join(',')
const leaf = authority.issue({
  subject: '/CN=leaf',
  issuer: root,
  extensions: [...leafExtensions, 'extendedKeyUsage=clientAuth,1.3.6.1.4.1.311.20.2.2', `subjectAltName=${names}`],
})
const { raw } = leaf.certificate

t.test('what openssl wrote is what is read', (t) => {
  const { certificate } = leaf
  t.equal(certificate.version, 3)
  t.equal(serialNumberHex(certificate).toUpperCase(), shown('-serial').replace('serial=', ''))
  t.equal(new Date(certificate.notBefore).getTime(), Date.parse(shown('-startdate').replace('notBefore=', '')))
  t.equal(new Date(certificate.notAfter).getTime(), Date.parse(shown('-enddate').replace('notAfter=', '')))
  t.equal(fingerprintOf(raw), createHash('sha256').update(raw).digest('hex'))
  t.equal(fingerprintOf(raw).toUpperCase(), shown('-fingerprint', '-sha256').replace(/^.*=|:/g, ''))
  t.equal(publicKeyOf(certificate).export({ type: 'spki', format: 'pem' }).toString().trim(), shown('-pubkey'))
  t.strictSame([...certificate.issuer], [...root.certificate.subject])
  t.equal(certificate.signatureAlgorithm.oid, '1.2.840.10045.4.3.2')
  t.end()
})

t.test('the extensions that enrolment asks for are decoded', (t) => {
  const { certificate } = leaf
  t.strictSame([...(certificate.keyUsage ?? [])], ['digitalSignature'])
  t.strictSame([...(root.certificate.keyUsage ?? [])], ['keyCertSign', 'cRLSign'])
  t.strictSame(certificate.basicConstraints, { ca: false })
  t.strictSame(root.certificate.basicConstraints, { ca: true, pathLength: 3 })
  t.strictSame(certificate.extendedKeyUsage, ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.20.2.2'])
  t.strictSame([...(certificate.authorityKeyIdentifier?.keyIdentifier ?? [])], [...(root.certificate.subjectKeyIdentifier ?? [])])
  t.equal(certificate.extensions.get('2.5.29.15')?.critical, true)
  t.equal(certificate.extensions.get('2.5.29.37')?.critical, false)
  t.strictSame(
    certificate.subjectAltNames?.map((name) => [
      name.type,
      typeof name.value === 'string' ? name.value : Buffer.from(name.value).toString('hex'),
    ]),
    [
      ['email', 'a@example.com'],
      ['dns', 'a.example.com'],
      ['uri', 'urn:uuid:1'],
      ['ip', 'c0000201'],
      ['upn', 'a@example.com'],
      ['other', '0c0162'],
      ['registeredId', '1.2.3.5'],
    ],
  )
  t.end()
})

t.test('self-signed means the key made the signature', (t) => {
  const forged = Uint8Array.from(root.certificate.raw)
  forged[forged.length - 1] = (forged.at(-1) as number) ^ 1
  const selfIssued = authority.issue({ subject: root.subject, issuer: root, extensions: caExtensions })
  t.equal(isSelfSigned(root.certificate), true, 'a root')
  t.equal(isSelfSigned(parseCertificate(forged)), false, 'one bit of the signature changed')
  t.equal(isSelfSigned(selfIssued.certificate), false, 'self-issued by another key')
  t.equal(isSelfSigned(leaf.certificate), false, 'issued by another name')
  t.end()
})

/** The parts of the leaf, to be put together again with one of them changed. */
const [tbsTlv, outerAlgorithm, signature] = readChildren(readDer(raw).value).map((part) => part.raw) as [Uint8Array, Uint8Array, Uint8Array]
const [version, serial, algorithm, issuer, validity, subject, spki, extensions] = readChildren(readDer(tbsTlv).value).map(
  (part) => part.raw,
) as Uint8Array[] & { length: 8 }
const good = {
  version,
  serial,
  algorithm,
  issuer,
  validity,
  subject,
  spki,
  extra: undefined,
  extensions,
  outerAlgorithm,
  signature,
  tail: undefined,
}
type Parts = { readonly [K in keyof typeof good]: Uint8Array | undefined }

function assembled(changes: Partial<Parts>): Uint8Array {
  const parts: Parts = { ...good, ...changes }
  const present = (list: readonly (Uint8Array | undefined)[]) => list.filter((part) => part !== undefined)
  const tbs = sequence(
    ...present([
      parts.version,
      parts.serial,
      parts.algorithm,
      parts.issuer,
      parts.validity,
      parts.subject,
      parts.spki,
      parts.extra,
      parts.extensions,
    ]),
  )
  return sequence(...present([tbs, parts.outerAlgorithm, parts.signature, parts.tail]))
}

const extension = (dotted: string, value: Uint8Array, ...critical: Uint8Array[]) => sequence(oid(dotted), ...critical, octetString(value))
const withExtensions = (...list: Uint8Array[]) => ({ extensions: explicit(3, sequence(...list)) })
const odd = extension('1.2.3', nullValue)
const dates = (from: Uint8Array, to: Uint8Array, ...more: Uint8Array[]) => ({ validity: sequence(from, to, ...more) })
const utc = (text: string) => tlv(Tag.UtcTime, Buffer.from(text))
const later = time(Date.UTC(2040, 0))

const accepted: readonly (readonly [string, Partial<Parts>])[] = [
  ['nothing changed', {}],
  ['version 1 without extensions', { version: undefined, extensions: undefined }],
  [
    'version 2 with a unique identifier',
    { version: explicit(0, integer(1)), extra: tlv(0x81, Uint8Array.of(0, 1)), extensions: undefined },
  ],
  ['no extensions', { extensions: undefined }],
  ['a serial number of 20 octets', { serial: tlv(Tag.Integer, new Uint8Array(20).fill(0x7f)) }],
  ['serial number 0 in a self-issued certificate', { serial: integer(0), subject: issuer }],
  ['an unknown extension', withExtensions(odd)],
  ['cA FALSE written out', withExtensions(extension('2.5.29.19', sequence(boolean(false))))],
  ['GeneralizedTime before 2050', dates(tlv(Tag.GeneralizedTime, Buffer.from('20240101000000Z')), later)],
  ['an empty subject', { subject: sequence() }],
]

t.test('accepted', (t) => {
  for (const [name, changes] of accepted) t.doesNotThrow(() => parseCertificate(assembled(changes)), name)
  t.end()
})

const refused: readonly (readonly [string, Partial<Parts>])[] = [
  ['a negative serial number', { serial: tlv(Tag.Integer, Uint8Array.of(0xff)) }],
  ['serial number 0', { serial: integer(0) }],
  ['a serial number of 21 octets', { serial: tlv(Tag.Integer, new Uint8Array(21).fill(0x7f)) }],
  ['a padded serial number', { serial: tlv(Tag.Integer, Uint8Array.of(0, 1)) }],
  ['version 1 written out', { version: explicit(0, integer(0)), extensions: undefined }],
  ['version 4', { version: explicit(0, integer(3)) }],
  ['extensions in version 1', { version: undefined }],
  ['extensions in version 2', { version: explicit(0, integer(1)) }],
  ['a unique identifier in version 1', { version: undefined, extra: tlv(0x81, Uint8Array.of(0, 1)), extensions: undefined }],
  ['something behind the key', { extra: nullValue }],
  ['two signature algorithms', { outerAlgorithm: sequence(oid('1.2.840.10045.4.3.3')) }],
  ['the same algorithm with other parameters', { outerAlgorithm: sequence(oid('1.2.840.10045.4.3.2'), nullValue) }],
  ['an extension twice', withExtensions(odd, odd)],
  ['an empty list of extensions', withExtensions()],
  ['critical FALSE written out', withExtensions(extension('1.2.3', nullValue, boolean(false)))],
  ['critical that is neither 00 nor ff', withExtensions(extension('1.2.3', nullValue, tlv(Tag.Boolean, Uint8Array.of(1))))],
  ['keyUsage without a bit', withExtensions(extension('2.5.29.15', bitString(Uint8Array.of(0))))],
  ['an empty extendedKeyUsage', withExtensions(extension('2.5.29.37', sequence()))],
  ['an empty subjectAltName', withExtensions(extension('2.5.29.17', sequence()))],
  ['a subjectAltName that is text', withExtensions(extension('2.5.29.17', Buffer.from('example.com')))],
  ['a dNSName outside ASCII', withExtensions(extension('2.5.29.17', sequence(tlv(0x82, Buffer.from('é.com')))))],
  ['a negative pathLenConstraint', withExtensions(extension('2.5.29.19', sequence(boolean(true), tlv(Tag.Integer, Uint8Array.of(0xff)))))],
  ['an extension with bytes behind its value', withExtensions(extension('2.5.29.19', Buffer.concat([sequence(), nullValue])))],
  ['UTCTime without seconds', dates(utc('2401010000Z'), later)],
  ['UTCTime with an offset', dates(utc('240101000000+0100'), later)],
  ['the 30th of February', dates(utc('240230000000Z'), later)],
  ['three times', dates(later, later, later)],
  ['a relative name without attributes', { subject: sequence(setOf([])) }],
  ['an attribute without a value', { subject: sequence(setOf([sequence(oid('2.5.4.3'))])) }],
  ['a subject that is a string', { subject: utf8String('x') }],
  ['a signature of 7 bits', { signature: bitString(Uint8Array.of(0x80), 1) }],
  ['something behind the signature', { tail: nullValue }],
]

t.test('refused', (t) => {
  for (const [name, changes] of refused)
    t.throws(() => parseCertificate(assembled(changes)), { name: 'AgentError', code: 'ERR_DER_MALFORMED' }, name)
  t.throws(() => parseCertificate(Buffer.concat([raw, Uint8Array.of(0)])), { code: 'ERR_DER_MALFORMED' }, 'a byte behind the certificate')
  t.throws(() => parseCertificate(new Uint8Array(256 * 1024 + 1)), { code: 'ERR_LIMIT_EXCEEDED' }, 'too many bytes')
  t.end()
})

t.test('a key that cannot be used is no crash', (t) => {
  const broken = parseCertificate(assembled({ spki: sequence(sequence(oid('1.2.3')), bitString(Uint8Array.of(1))) }))
  t.throws(() => publicKeyOf(broken), { code: 'ERR_CERTIFICATE_REFUSED' })
  t.end()
})

t.test('a CA certificate is read once, and what somebody does to its octets reaches nobody else', (t) => {
  const der = Uint8Array.from(root.certificate.raw)
  const known = parseCertificate(der)
  t.not(known.raw, der, 'it holds a copy')
  t.equal(parseCertificate(Uint8Array.from(der)), known)
  t.not(parseCertificate(Uint8Array.from(raw)), parseCertificate(Uint8Array.from(raw)), 'one of an end entity is not kept')
  const before = known.subject[2] as number
  known.subject[2] = before ^ 1
  const again = parseCertificate(der)
  t.not(again, known)
  t.equal(again.subject[2], before)
  const last = der.length - 1
  der[last] = (der[last] as number) ^ 1
  t.ok(isSelfSigned(again))
  t.notOk(isSelfSigned(parseCertificate(der)), 'another signature is another certificate')
  t.end()
})

t.test('whatever bytes come, the outcome is a certificate or an AgentError', (t) => {
  const octet = fc.tuple(fc.nat(raw.length - 1), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(fc.array(octet, { minLength: 1, maxLength: 4 }), fc.nat(raw.length), (changes, cut) => {
      const bytes = Uint8Array.from(raw)
      for (const [at, value] of changes) bytes[at] = value
      return isCertificateOrAgentError(bytes) && isCertificateOrAgentError(bytes.subarray(0, cut))
    }),
    { numRuns: 2000, seed: 7 },
  )
  t.end()
})

function isCertificateOrAgentError(bytes: Uint8Array): boolean {
  try {
    return parseCertificate(bytes).raw === bytes
  } catch (error) {
    return error instanceof AgentError
  }
}

function shown(...args: readonly string[]): string {
  return execFileSync('openssl', ['x509', '-in', leaf.certFile, '-noout', ...args])
    .toString()
    .trim()
}
