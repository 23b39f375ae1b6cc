import {
  bitString,
  constructed,
  ia5String,
  integer,
  octetString,
  oid,
  sequence,
  setOf,
  Tag,
  tlv,
  utf8String,
} from '@certfleet/agent-core/der'
import {
  basicConstraintsExtension,
  type Certificate,
  CsrAttributeOid,
  crlDistributionPointsExtension,
  type ExtensionValue,
  encodeExtensions,
  extendedKeyUsageExtension,
  keyUsageExtension,
  nameDer,
  PurposeOid,
  parseCertificate,
  signatureAlgorithm,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { lmdbLabStore, memoryLabStore } from '@certfleet/emulator/lab'
import fc from 'fast-check'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { openCa, settlementFor } from './ca-world.ts'
import { challengeFor, enrolled, exchange, register, startLab, wifi } from './surroundings.ts'

for (const [name, open] of [
  ['memory', async () => memoryLabStore()],
  ['lmdb', async () => lmdbLabStore(t.testdir())],
] as const) {
  t.test(`1000 at once, with a generator that repeats itself: ${name}`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    let drawn = 0
    // Each number five times in a row, so that nearly every draw collides with one that is under way or on record.
    const freshSerialNumber = () => Buffer.from([0x40, 0, ...Buffer.from(Uint32Array.of(Math.floor(drawn++ / 5)).buffer)])
    const { settle } = await openCa({ store, freshSerialNumber })
    const { publicKey } = await testKey('a')
    const settled = await Promise.all(Array.from({ length: 1000 }, (_, i) => settle(settlementFor(`T${i}`, publicKey))))
    const serials = settled.map((one) =>
      one.status === 'issued' ? Buffer.from(parseCertificate(one.certificate).serialNumber).toString('hex') : '',
    )
    t.equal(new Set(serials).size, 1000)
    const records = [...store.list('issued')]
    t.same(new Set(records.map(({ serialNumber }) => serialNumber)), new Set(serials), 'and each is on record')
    t.equal(new Set(records.map(({ transactionId }) => transactionId)).size, 1000)
    t.ok(drawn >= 5 * 1000 - 4, `${drawn} draws`)
  })
}

t.test('a number that is drawn is 20 octets, positive', async (t) => {
  const { settle, store } = await openCa()
  for (let i = 0; i < 20; i++) await settle(settlementFor(`T${i}`, (await testKey('a')).publicKey))
  for (const { serialNumber } of store.list('issued')) t.match(serialNumber, /^[4-7][0-9a-f]{39}$/)
})

/** Stands in everything that a request carries and the profile does not. */
const canary = 'canary.example'

const odd: Record<string, ExtensionValue> = {
  'an extension nobody knows': { oid: '1.3.6.1.4.1.99999.1', value: utf8String(canary) },
  'a critical one': { oid: '1.3.6.1.4.1.99999.2', critical: true, value: utf8String(canary) },
  'where CRLs are': crlDistributionPointsExtension([`http://${canary}/crl`]),
  'whose key it is': { oid: '2.5.29.14', value: octetString(Buffer.from(canary)) },
  'certificate policies': { oid: '2.5.29.32', value: sequence(sequence(oid('1.3.6.1.4.1.99999.3'))) },
  'name constraints': { oid: '2.5.29.30', critical: true, value: sequence(tlv(constructed(0), sequence(tlv(0x82, Buffer.from(canary))))) },
  'a template name (Windows)': { oid: '1.3.6.1.4.1.311.20.2', value: utf8String(canary) },
  'a security identifier (Windows)': { oid: '1.3.6.1.4.1.311.25.2', value: sequence(tlv(constructed(0), utf8String(canary))) },
  'no CA': basicConstraintsExtension({ ca: false }),
  'a CA': basicConstraintsExtension({ ca: true }),
  'a CA of a path': basicConstraintsExtension({ ca: true, pathLength: 3 }),
}

const usages = ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'keyAgreement', 'keyCertSign', 'cRLSign'] as const
const purposes = [PurposeOid.ClientAuth, PurposeOid.ServerAuth, PurposeOid.SmartCardLogon, PurposeOid.Any, '1.3.6.1.4.1.99999.4']
const names = [
  { type: 'dns', value: canary },
  { type: 'upn', value: `root@${canary}` },
  { type: 'uri', value: `https://${canary}` },
] as const

interface Wish {
  readonly extensions: readonly string[]
  readonly usages: readonly (typeof usages)[number][]
  readonly purposes: readonly string[]
  readonly names: readonly (typeof names)[number][]
  readonly subject: string
  readonly attribute: boolean
}

/** Half of them ask for what the profile gives and something odd besides, so that some are issued. */
const wishes: fc.Arbitrary<Wish> = fc.record({
  extensions: fc.uniqueArray(fc.constantFrom(...Object.keys(odd)), { maxLength: 4, selector: (name) => odd[name]?.oid }),
  usages: fc.oneof({ weight: 3, arbitrary: fc.constant([...wifi.keyUsages]) }, fc.subarray([...usages], { minLength: 1 })),
  purposes: fc.oneof({ weight: 3, arbitrary: fc.constant([...wifi.extendedKeyUsages]) }, fc.subarray(purposes, { minLength: 1 })),
  names: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray([...names])),
  subject: fc.oneof({ weight: 4, arbitrary: fc.constant(wifi.subject) }, fc.constant(`CN=${canary}`)),
  attribute: fc.boolean(),
})

async function csrOf(wish: Wish, challenge: string): Promise<Uint8Array> {
  const key = await testKey('a')
  const extensions = [
    subjectAltNameExtension([...wifi.subjectAltNames, ...wish.names]),
    keyUsageExtension(wish.usages),
    extendedKeyUsageExtension(wish.purposes),
    ...wish.extensions.flatMap((name) => odd[name] ?? []),
  ]
  const attribute = (type: string, value: Uint8Array) => sequence(oid(type), tlv(Tag.Set, value))
  const attributes = [
    attribute(CsrAttributeOid.ChallengePassword, utf8String(challenge)),
    attribute(CsrAttributeOid.ExtensionRequest, encodeExtensions(extensions)),
    ...(wish.attribute ? [attribute('1.2.840.113549.1.9.2', ia5String(canary))] : []),
  ]
  const info = sequence(integer(0), nameDer(wish.subject), key.publicKey, setOf(attributes, constructed(0)))
  return sequence(info, signatureAlgorithm('rsa', 'sha256'), bitString(await key.sign(info, 'sha256')))
}

const contentsOf = ({ issuer, subject, publicKey, notBefore, notAfter, version, extensions }: Certificate) => ({
  version,
  notBefore,
  notAfter,
  parts: [issuer, subject, publicKey].map((part) => Buffer.from(part).toString('hex')),
  extensions: [...extensions].map(([type, { critical, value }]) => [type, critical, Buffer.from(value).toString('hex')]),
})

t.test('ca.template-subject: of a request nothing but its key reaches the certificate (S48)', async (t) => {
  const key = await testKey('a')
  const reference = await startLab()
  const credential = await register(reference.lab)
  const expected = contentsOf(
    parseCertificate(await enrolled(reference.lab, { key, challenge: await challengeFor(reference.lab, credential) })),
  )
  t.same(
    expected.extensions.map(([type]) => type),
    ['2.5.29.15', '2.5.29.37', '2.5.29.17', '2.5.29.14', '2.5.29.35'],
  )
  const outcomes = { success: 0, failure: 0, pending: 0 }
  let run = 0
  await fc.assert(
    fc.asyncProperty(wishes, async (wish) => {
      const { lab } = await startLab()
      const content = await csrOf(wish, await challengeFor(lab, await register(lab)))
      const reply = await exchange(lab, { key, transactionId: `T${run++}`, content })
      outcomes[reply.status]++
      if (reply.status !== 'success') return
      const raw = reply.certificates[0] as Uint8Array
      t.same(contentsOf(parseCertificate(raw)), expected)
      t.notOk(Buffer.from(raw).includes(canary))
    }),
    { numRuns: 100, seed: 5 },
  )
  t.ok(outcomes.success >= 10 && outcomes.failure >= 10, JSON.stringify(outcomes))
  t.same(
    expected.extensions.find(([type]) => type === '2.5.29.14')?.[2],
    Buffer.from(subjectKeyIdentifierExtension(key.publicKey).value).toString('hex'),
  )
})

t.test('under a static challenge, behind which no profile stands, odd extensions reach it no more', async (t) => {
  const key = await testKey('a')
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const plain = contentsOf(parseCertificate(await enrolled(lab, { key, challenge: 'secret' }, { transactionId: 'plain' })))
  const { keyUsages, extendedKeyUsages, subject } = wifi
  for (const name of Object.keys(odd)) {
    const content = await csrOf(
      { extensions: [name], usages: keyUsages, purposes: extendedKeyUsages, names: [], subject, attribute: true },
      'secret',
    )
    const reply = await exchange(lab, { key, transactionId: name, content })
    if (name.startsWith('a CA')) t.match(reply, { failInfo: 'badRequest' }, name)
    else t.same(reply.status === 'success' && contentsOf(parseCertificate(reply.certificates[0] as Uint8Array)), plain, name)
  }
})

t.test('a certificate is on record before its reply leaves', async (t) => {
  const { store, settle } = await openCa()
  const settled = await settle(settlementFor('T', (await testKey('a')).publicKey))
  const certificate = settled.status === 'issued' ? settled.certificate : new Uint8Array()
  t.same(
    [...store.list('issued')].map((record) => Buffer.from(record.certificate)),
    [Buffer.from(certificate)],
  )
  const { store: failing, all } = await openCa()
  const broken = { ...failing, transaction: () => Promise.reject(new Error('the disk is full')) }
  const { settle: raw } = await import('#emulator/lab/issuance.ts')
  await t.rejects(raw(settlementFor('T', (await testKey('a')).publicKey), { ...all, store: broken }), /disk is full/)
})
