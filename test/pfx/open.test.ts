import { inspect } from 'node:util'
import { AgentError } from '@certfleet/agent-core'
import { explicit, integer, nullValue, octetString, oid, sequence, setOf, Tag, tlv, utf8String } from '@certfleet/agent-core/der'
import t from 'tap'
import { encryptWithPassword } from '#agent-core/pfx/encryption.ts'
import { buildPfx, identityOf, openPfx, type PfxContents, pfxLimits } from '#agent-core/pfx/index.ts'
import { hmacData } from '#agent-core/pfx/mac.ts'
import { BagOid, ContentOid, FriendlyNameOid, LocalKeyIdOid, X509CertificateOid } from '#agent-core/pfx/oids.ts'
import { type PasswordOctets, spellings } from '#agent-core/pfx/password.ts'
import { bag, certificateBag, dataPart, issued, issuers, keyBag, password, pfxOfBags, pfxOver } from './files.ts'

const one = await issued('CN=one')
const other = await issued('CN=other')
const contents: PfxContents = { privateKey: one.privateKey, certificates: [one.certificate.raw], password, iterations: 1 }
const pkcs8 = one.privateKey.export({ format: 'der', type: 'pkcs8' })
const bmp = (text: string): Uint8Array => tlv(Tag.BmpString, Buffer.from(text, 'utf16le').swap16())
const attribute = (type: string, ...values: readonly Uint8Array[]): Uint8Array => sequence(oid(type), setOf(values))

t.test('what is built opens again', async (t) => {
  const rows: readonly (readonly [string, Partial<PfxContents>])[] = [
    ['modern', {}],
    ['with PBMAC1', { mac: 'pbmac1' }],
    ['legacy', { algorithms: 'legacy' }],
    ['with as many iterations as are read of legacy', { algorithms: 'legacy', iterations: Math.floor(pfxLimits.pkcs12Iterations / 7) }],
    ['with the empty password', { password: '' }],
    ['with a password outside the plane', { password: '🔑'.repeat(40) }],
    ['with a name and its issuers', { friendlyName: 'ämt ☃', certificates: [one.certificate.raw, ...issuers.map(({ raw }) => raw)] }],
  ]
  for (const [name, own] of rows) {
    const given = { ...contents, ...own }
    const opened = await openPfx(await buildPfx(given), { password: given.password, legacy: given.algorithms === 'legacy' })
    const { key, certificate, chain } = identityOf(opened)
    t.ok(key.privateKey.equals(one.privateKey), name)
    t.strictSame([certificate, ...chain].map(Buffer.from), given.certificates.map(Buffer.from), name)
    t.equal(key.friendlyName, given.friendlyName, name)
    t.strictSame(opened.certificates[0]?.localKeyId, key.localKeyId, name)
  }
})

t.test('what cannot be built is refused', async (t) => {
  const rows: readonly (readonly [string, Partial<PfxContents>, string])[] = [
    ['no certificate', { certificates: [] }, 'ERR_CERTIFICATE_MISMATCH'],
    ['the certificate of another', { certificates: [other.certificate.raw, one.certificate.raw] }, 'ERR_CERTIFICATE_MISMATCH'],
    ['no iterations', { iterations: 0 }, 'ERR_PFX_INVALID'],
    ['half an iteration', { iterations: 1.5 }, 'ERR_PFX_INVALID'],
    ['more iterations than are read', { iterations: pfxLimits.pkcs12Iterations + 1 }, 'ERR_LIMIT_EXCEEDED'],
    ['more iterations than are read by PBMAC1', { mac: 'pbmac1', iterations: pfxLimits.iterations / 2 }, 'ERR_LIMIT_EXCEEDED'],
    ['more iterations than are read of legacy', { algorithms: 'legacy', iterations: pfxLimits.pkcs12Iterations / 5 }, 'ERR_LIMIT_EXCEEDED'],
  ]
  for (const [name, own, code] of rows) await t.rejects(buildPfx({ ...contents, ...own }), { code }, name)
})

t.test('every kind of bag', async (t) => {
  const bytes = await pfxOfBags(
    keyBag(one, setOf([attribute(FriendlyNameOid, bmp('a key')), attribute('1.2.3', nullValue)])),
    bag(BagOid.SafeContents, sequence(certificateBag(one.certificate.raw, setOf([attribute(LocalKeyIdOid, octetString(pkcs8))])))),
    bag(BagOid.Crl, sequence()),
    bag(BagOid.Secret, sequence()),
    bag('1.2.3.4', sequence()),
    bag(BagOid.Certificate, sequence(oid('1.2.840.113549.1.9.22.2'), explicit(0, octetString(pkcs8)))),
  )
  const { keys, certificates, ignored } = await openPfx(bytes, { password })
  t.strictSame(
    keys.map(({ friendlyName }) => friendlyName),
    ['a key'],
  )
  t.strictSame(
    certificates.map(({ localKeyId }) => Buffer.from(localKeyId ?? [])),
    [pkcs8],
  )
  t.strictSame(ignored, ['crlBag', 'secretBag', '1.2.3.4', 'certBag of 1.2.840.113549.1.9.22.2'])
})

const ber = (tag: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat([Uint8Array.of(tag, 0x80), ...parts, new Uint8Array(2)])

/** An OCTET STRING in segments of 100 octets, under that tag. */
function segments(bytes: Uint8Array, tag: number = Tag.OctetString | 0x20): Uint8Array {
  const count = Math.ceil(bytes.length / 100)
  return ber(tag, ...Array.from({ length: count }, (_, i) => octetString(bytes.subarray(100 * i, 100 * i + 100))))
}

t.test('BER at every level', async (t) => {
  const [secret] = spellings(password) as [PasswordOctets]
  const part = (type: string, content: Uint8Array) => ber(Tag.Sequence, oid(type), ber(0xa0, content))
  const { algorithm, encrypted } = await encryptWithPassword(ber(Tag.Sequence, certificateBag(one.certificate.raw)), secret, 'modern', 1)
  const info = ber(Tag.Sequence, oid(ContentOid.Data), algorithm, segments(encrypted, 0xa0))
  const keys = part(ContentOid.Data, segments(ber(Tag.Sequence, ber(Tag.Sequence, oid(BagOid.Key), ber(0xa0, pkcs8)))))
  const safe = ber(Tag.Sequence, keys, part(ContentOid.EncryptedData, ber(Tag.Sequence, integer(0), info)))
  const macData = await hmacData(safe, secret, 'sha256', { salt: Buffer.alloc(8), iterations: 1 })
  const bytes = ber(Tag.Sequence, integer(3), part(ContentOid.Data, segments(safe)), macData)
  const { key, certificate } = identityOf(await openPfx(bytes, { password }))
  t.ok(key.privateKey.equals(one.privateKey))
  t.strictSame(Buffer.from(certificate), Buffer.from(one.certificate.raw))
})

const certBag = (...parts: readonly Uint8Array[]) => bag(BagOid.Certificate, sequence(...parts))
const names = (...attributes: readonly Uint8Array[]) => pfxOfBags(certificateBag(one.certificate.raw, setOf(attributes)))
const trailing = [nullValue, nullValue] as const

const malformed: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['nothing', new Uint8Array()],
  ['text', Buffer.from('-----BEGIN PKCS12-----')],
  ['version 2', sequence(integer(2), dataPart(sequence()), sequence())],
  ['no MAC', await pfxOver(sequence(), null)],
  ['values behind the MAC', sequence(integer(3), dataPart(sequence()), sequence(), nullValue)],
  ['a signature in place of a MAC', sequence(integer(3), sequence(oid('1.2.840.113549.1.7.2'), explicit(0, sequence())), sequence())],
  ['content that is not there', sequence(integer(3), sequence(oid('1.2.840.113549.1.7.1')), sequence())],
  ['enveloped data', await pfxOver(sequence(sequence(oid('1.2.840.113549.1.7.3'), explicit(0, sequence()))))],
  ['an AuthenticatedSafe that is none', await pfxOver(nullValue)],
  ['values behind a bag', await pfxOfBags(sequence(oid(BagOid.Crl), explicit(0, nullValue), setOf([]), nullValue))],
  ['a bag of two values', await pfxOfBags(sequence(oid(BagOid.Crl), explicit(0, ...trailing)))],
  ['an empty bag', await pfxOfBags(sequence(oid(BagOid.Crl), explicit(0)))],
  ['a key that is none', await pfxOfBags(bag(BagOid.Key, sequence(integer(0))))],
  ['a certificate that is none', await pfxOfBags(certificateBag(sequence()))],
  [
    'values behind a certificate',
    await pfxOfBags(certBag(oid(X509CertificateOid), explicit(0, octetString(one.certificate.raw)), nullValue)),
  ],
  ['two friendlyNames', await names(attribute(FriendlyNameOid, bmp('a')), attribute(FriendlyNameOid, bmp('b')))],
  ['a friendlyName of two values', await names(attribute(FriendlyNameOid, bmp('a'), bmp('b')))],
  ['a friendlyName in UTF-8', await names(attribute(FriendlyNameOid, utf8String('a')))],
  ['a friendlyName of an odd length', await names(attribute(FriendlyNameOid, tlv(Tag.BmpString, Buffer.from('abc'))))],
]

t.test('what is no PFX of this kind', async (t) => {
  for (const [name, bytes] of malformed)
    await t.rejects(openPfx(bytes, { password }), { code: 'ERR_PFX_INVALID', name: 'AgentError' }, name)
  await t.rejects(openPfx(malformed[3]?.[1] as Uint8Array, { password }), { message: /has no MAC/ })
})

t.test('every cryptographic failure is the same error', async (t) => {
  const built = Buffer.from(await buildPfx(contents))
  const mac = built.subarray(-13 - 32, -13)
  const changed = Buffer.from(built)
  changed[100] = (changed[100] as number) ^ 1
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    ['another password', built, 'another'],
    ['another case', built, password.toLowerCase()],
    ['no password', built, ''],
    ['another octet', changed, password],
    ['another MAC', Buffer.concat([built.subarray(0, -13 - 32), mac.map((octet) => octet ^ 255), built.subarray(-13)]), password],
  ]
  for (const [name, bytes, secret] of rows) {
    const error = await openPfx(bytes, { password: secret }).then(
      () => t.fail(name),
      (found: unknown) => found,
    )
    t.match(error, { code: 'ERR_PFX_PASSWORD', message: 'the password is wrong, or the file was changed' }, name)
    t.notOk((error as Error).cause, name)
  }
})

t.test('no error and no result shows a password or a private key', async (t) => {
  const inputs = [...malformed.map(([, bytes]) => bytes), await buildPfx(contents), await buildPfx({ ...contents, algorithms: 'legacy' })]
  const shown: string[] = []
  for (const bytes of inputs) {
    for (const secret of [password, `not ${password}`])
      shown.push(inspect(await openPfx(bytes, { password: secret }).catch((error: unknown) => error), { depth: 10, showHidden: true }))
  }
  const needles = [
    'canary',
    password,
    pkcs8
      .subarray(36, 44)
      .toString('hex')
      .replace(/..(?=.)/g, '$& '),
  ]
  for (const needle of needles)
    t.notOk(
      shown.some((text) => text.includes(needle)),
      `${needle.length} characters`,
    )
})

t.test('an octet that changed never gives another identity, and no error but a foreseen one', async (t) => {
  for (const mac of ['hmac', 'pbmac1'] as const) {
    const built = await buildPfx({ ...contents, mac, friendlyName: 'n' })
    const original = identityOf(await openPfx(built, { password }))
    let opened = 0
    for (let bit = 0; bit < built.length * 8; bit++) {
      const mutant = Uint8Array.from(built)
      mutant[bit >> 3] = (mutant[bit >> 3] as number) ^ (1 << (bit & 7))
      const found = await openPfx(mutant, { password, legacy: true }).then(identityOf, (error: unknown) => error)
      if (found instanceof AgentError) continue
      if (found instanceof Error) t.fail(`bit ${bit}: ${found}`)
      opened++
      t.strictSame(identityFacts(found as typeof original), identityFacts(original), `bit ${bit}`)
    }
    // Of PBMAC1 the old salt and iterations say nothing, of the other MAC the NULL behind the digest's OID.
    t.ok(opened <= (mac === 'hmac' ? 24 : 100), `${mac}: ${opened} mutants open as the same`)
  }
})

function identityFacts({ key, certificate, chain }: ReturnType<typeof identityOf>) {
  const { privateKey, friendlyName, localKeyId } = key
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  return [der, certificate, localKeyId ?? [], ...chain].map((bytes) => Buffer.from(bytes).toString('hex')).concat(friendlyName ?? '')
}
