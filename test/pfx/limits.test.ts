import { explicit, integer, nullValue, octetString, oid, primitive, sequence, tlv } from '@certfleet/agent-core/der'
import t from 'tap'
import { buildPfx, openPfx, pfxLimits } from '#agent-core/pfx/index.ts'
import { hmacData } from '#agent-core/pfx/mac.ts'
import { BagOid } from '#agent-core/pfx/oids.ts'
import { type PasswordOctets, spellings } from '#agent-core/pfx/password.ts'
import { bag, certificateBag, dataPart, encryptedPart, issued, password, pfxOfBags, pfxOver } from './files.ts'

// No clock is read here: each of these asks for minutes, or for more memory than there is, unless it is refused by its count.

const { certificate, privateKey } = await issued('CN=limits')
const salt = octetString(Buffer.alloc(8, 1))
const sha256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue)
const hmacSha256 = sequence(oid('1.2.840.113549.2.9'), nullValue)
const aes256 = sequence(oid('2.16.840.1.101.3.4.1.42'), octetString(new Uint8Array(16)))
const ciphertext = tlv(primitive(0), new Uint8Array(32))
const empty = sequence()

const pbkdf2 = (count: number, { length, saltTlv = salt }: { length?: number; saltTlv?: Uint8Array } = {}): Uint8Array =>
  sequence(oid('1.2.840.113549.1.5.12'), sequence(saltTlv, integer(count), ...(length === undefined ? [] : [integer(length)]), hmacSha256))
const pbes2 = (derivation: Uint8Array): Uint8Array => sequence(oid('1.2.840.113549.1.5.13'), sequence(derivation, aes256))
const pbe = (count: number): Uint8Array => sequence(oid('1.2.840.113549.1.12.1.3'), sequence(salt, integer(count)))
const hmac = (count: number, saltTlv = salt): Uint8Array =>
  sequence(sequence(sha256, octetString(new Uint8Array(32))), saltTlv, integer(count))
const pbmac1 = (derivation: Uint8Array): Uint8Array =>
  sequence(
    sequence(sequence(oid('1.2.840.113549.1.5.14'), sequence(derivation, hmacSha256)), octetString(new Uint8Array(32))),
    salt,
    integer(1),
  )
const sealedBy = (...algorithms: readonly Uint8Array[]): Promise<Uint8Array> =>
  pfxOver(sequence(...algorithms.map((algorithm) => encryptedPart(algorithm, ciphertext))))
const shroudedBy = (algorithm: Uint8Array): Promise<Uint8Array> =>
  pfxOfBags(bag(BagOid.ShroudedKey, sequence(algorithm, octetString(new Uint8Array(32)))))

function nested(levels: number): Uint8Array {
  let inner = certificateBag(certificate.raw)
  for (let level = 0; level < levels; level++) inner = bag(BagOid.SafeContents, sequence(inner))
  return inner
}

const many = (count: number, make: () => Uint8Array): readonly Uint8Array[] => Array.from({ length: count }, make)
const secretBag = bag(BagOid.Secret, nullValue)
const most = pfxLimits.iterations
const mostPkcs12 = pfxLimits.pkcs12Iterations
const limit = { code: 'ERR_LIMIT_EXCEEDED' }
const invalid = { code: 'ERR_PFX_INVALID' }
const wrong = { code: 'ERR_PFX_PASSWORD' }

const refused: readonly (readonly [name: string, bytes: Uint8Array, error: { code: string }])[] = [
  ['2^31 iterations of the MAC', await pfxOver(empty, hmac(2 ** 31)), limit],
  ['2^31-1 iterations of the MAC', await pfxOver(empty, hmac(2 ** 31 - 1)), limit],
  ['2^80 iterations of the MAC', await pfxOver(empty, sequence(sequence(sha256, octetString(salt)), salt, integer(2n ** 80n))), limit],
  ['one iteration of the MAC too many', await pfxOver(empty, hmac(mostPkcs12 + 1)), limit],
  ['no iterations of the MAC', await pfxOver(empty, hmac(0)), invalid],
  ['negative iterations of the MAC', await pfxOver(empty, hmac(-1)), invalid],
  ['2^31 iterations of PBMAC1', await pfxOver(empty, pbmac1(pbkdf2(2 ** 31, { length: 32 }))), limit],
  ['PBMAC1 with a key of two digests, each paid for', await pfxOver(empty, pbmac1(pbkdf2(most / 2 + 1, { length: 64 }))), limit],
  ['PBMAC1 with a key of 2^20 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: 2 ** 20 }))), limit],
  ['PBMAC1 with a key of 65 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: 65 }))), limit],
  ['PBMAC1 with a key of 64 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: 64 }))), wrong],
  ['PBMAC1 with a key of 20 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: 20 }))), wrong],
  ['PBMAC1 with a key of 19 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: 19 }))), invalid],
  ['PBMAC1 with a key of 0 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: 0 }))), invalid],
  ['PBMAC1 with a key of -1 octets', await pfxOver(empty, pbmac1(pbkdf2(1, { length: -1 }))), invalid],
  ['PBMAC1 with a key of no told length', await pfxOver(empty, pbmac1(pbkdf2(1))), invalid],
  ['2^31 iterations of a content', await sealedBy(pbes2(pbkdf2(2 ** 31))), limit],
  ['2^31 iterations of an old content', await sealedBy(pbe(2 ** 31)), limit],
  ['2^31 iterations of a key', await shroudedBy(pbes2(pbkdf2(2 ** 31))), limit],
  ['2^31 iterations of an old key', await shroudedBy(pbe(2 ** 31)), limit],
  ['too many iterations in sum', await sealedBy(...many(6, () => pbes2(pbkdf2(most / 5)))), limit],
  ['too many iterations in sum, all of a key and its IV', await sealedBy(...many(7, () => pbe(mostPkcs12 / 20))), limit],
  ['AES-256 with a key of 2^20 octets', await sealedBy(pbes2(pbkdf2(1, { length: 2 ** 20 }))), limit],
  ['AES-256 with a key of 16 octets', await sealedBy(pbes2(pbkdf2(1, { length: 16 }))), invalid],
  ['a salt of 1025 octets', await sealedBy(pbes2(pbkdf2(1, { saltTlv: octetString(new Uint8Array(1025)) }))), limit],
  ['a salt of 1024 octets', await sealedBy(pbes2(pbkdf2(1, { saltTlv: octetString(new Uint8Array(1024)) }))), wrong],
  ['a MAC with a salt of half a MiB', await pfxOver(empty, hmac(1, octetString(new Uint8Array(2 ** 19)))), limit],
  ['a MAC with a salt of a MiB', await pfxOver(empty, hmac(1, octetString(new Uint8Array(2 ** 20)))), limit],
  ['33 parts', await pfxOver(sequence(...many(33, () => dataPart(empty)))), limit],
  ['101 bags', await pfxOfBags(...many(101, () => secretBag)), limit],
  ['10,000 bags', await pfxOfBags(...many(10_000, () => secretBag)), limit],
  ['101 bags in two parts', await pfxOver(sequence(...[50, 51].map((n) => dataPart(sequence(...many(n, () => secretBag)))))), limit],
  ['65 certificates', await pfxOfBags(...many(65, () => certificateBag(certificate.raw))), limit],
  ['bags 17 deep', await pfxOfBags(nested(16)), limit],
  ['bags 1,000 deep', await pfxOfBags(nested(1000)), limit],
]

t.test('what asks for too much is refused', async (t) => {
  for (const [name, bytes, error] of refused) await t.rejects(openPfx(bytes, { password, legacy: true }), error, name)
})

t.test('a file of more than a MiB is not looked at', async (t) => {
  await t.rejects(openPfx(new Uint8Array(pfxLimits.bytes), { password }), invalid)
  await t.rejects(openPfx(new Uint8Array(pfxLimits.bytes + 1), { password }), limit)
})

t.test('the caller lowers the sums, never raises them', async (t) => {
  const bytes = await buildPfx({ privateKey, certificates: [certificate.raw], password, iterations: 100 })
  await t.resolves(openPfx(bytes, { password, maxIterations: 200 }))
  await t.rejects(openPfx(bytes, { password, maxIterations: 199 }), limit)
  await t.rejects(openPfx(bytes, { password, maxIterations: 99 }), limit)
  await t.rejects(openPfx(await pfxOver(empty, hmac(mostPkcs12 + 1)), { password, maxIterations: 2 ** 40 }), limit)
})

t.test('both spellings of the empty password are paid for', async (t) => {
  const bytes = await pfxOver(empty, hmac(mostPkcs12 / 2 + 1))
  await t.rejects(openPfx(bytes, { password: '' }), limit)
})

t.test('what is just within the limits opens', async (t) => {
  const rows: readonly (readonly [string, Uint8Array, { certificates: number; ignored: number }])[] = [
    ['100 bags', await pfxOfBags(...many(100, () => secretBag)), { certificates: 0, ignored: 100 }],
    ['64 certificates', await pfxOfBags(...many(64, () => certificateBag(certificate.raw))), { certificates: 64, ignored: 0 }],
    ['bags 16 deep', await pfxOfBags(nested(15)), { certificates: 1, ignored: 0 }],
    ['32 parts', await pfxOver(sequence(...many(32, () => dataPart(empty)))), { certificates: 0, ignored: 0 }],
  ]
  for (const [name, bytes, expected] of rows) {
    const { certificates, ignored } = await openPfx(bytes, { password })
    t.strictSame({ certificates: certificates.length, ignored: ignored.length }, expected, name)
  }
})

t.test('the MAC is verified before anything that it covers is read', async (t) => {
  const [secret] = spellings('another') as [PasswordOctets]
  const bombs = sequence(encryptedPart(pbes2(pbkdf2(2 ** 31)), ciphertext), explicit(9, nullValue))
  const macData = await hmacData(bombs, secret, 'sha256', { salt: Buffer.alloc(8), iterations: 1 })
  await t.rejects(openPfx(await pfxOver(bombs, macData), { password }), wrong)
})
