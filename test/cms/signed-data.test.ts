import { createHash } from 'node:crypto'
import type { AgentError } from '@certfleet/agent-core'
import { buildSignedData, CmsOid, openSignedData, signedAttribute } from '@certfleet/agent-core/cms'
import {
  constructed,
  expectTag,
  explicit,
  integer,
  nullValue,
  octetString,
  oid,
  printableString,
  readChildren,
  readDer,
  readText,
  sequence,
  setOf,
  Tag,
  type Tlv,
  tlv,
} from '@certfleet/agent-core/der'
import t from 'tap'
import { identity } from './identities.ts'
import { openssl, writeIdentity } from './openssl.ts'

const rsa = await identity('CN=RSA signer')
const ec = await identity('CN=EC signer', { ec: true })
const attacker = await identity('CN=Attacker')
const content = Buffer.from('We the people')
const custom = '2.16.840.1.113733.1.9.7'
const attributes = [{ oid: custom, value: printableString('id 1') }]

const codeOf = (action: () => unknown): string => {
  try {
    action()
    return 'accepted'
  } catch (error) {
    return (error as AgentError).code
  }
}

t.test('what is built is opened, by us and by openssl', async (t) => {
  const folder = t.testdir()
  writeIdentity(folder, 'rsa', rsa)
  writeIdentity(folder, 'ec', ec)
  for (const [name, signer] of [
    ['rsa', rsa],
    ['ec', ec],
  ] as const) {
    for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
      const message = await buildSignedData({ content, signer, hash, attributes, certificates: [signer.certificate.raw] })
      const opened = openSignedData(message, { signers: [signer.certificate] })
      t.same(Buffer.from(opened.content as Uint8Array), content, `${name} ${hash}: content`)
      t.equal(opened.hash, hash)
      t.equal(readText(signedAttribute(opened, custom)), 'id 1')
      t.equal(openSignedData(message, { signers: 'enclosed' }).signer.subject.length, signer.certificate.subject.length)
      const verified = openssl(
        folder,
        ['cms', '-verify', '-inform', 'der', '-binary', '-CAfile', `${name}.pem`, '-no_check_time', '-purpose', 'any'],
        message,
      )
      t.same(verified, content, `${name} ${hash}: openssl verifies it`)
    }
  }
})

t.test('a message without content has the digest of nothing', async (t) => {
  const message = await buildSignedData({ signer: rsa, hash: 'sha256', attributes, certificates: [] })
  t.equal(openSignedData(message, { signers: [rsa.certificate] }).content, undefined)
})

t.test('what openssl signs is opened, DER and BER', async (t) => {
  const folder = t.testdir()
  writeIdentity(folder, 'rsa', rsa)
  writeIdentity(folder, 'ec', ec)
  const rows = [
    ['rsa, DER', 'rsa', []],
    ['rsa, SHA-512', 'rsa', ['-md', 'sha512']],
    ['rsa, by key identifier', 'rsa', ['-keyid']],
    ['rsa, BER in indefinite length', 'rsa', ['-indef', '-stream']],
    ['ec', 'ec', []],
    ['rsa-pss', 'rsa', ['-keyopt', 'rsa_padding_mode:pss', '-md', 'sha256']],
  ] as const
  for (const [name, file, options] of rows) {
    const args = ['cms', '-sign', '-nodetach', '-binary', '-outform', 'der', '-signer', `${file}.pem`, '-inkey', `${file}.key`, ...options]
    const message = openssl(folder, args, content)
    const signer = file === 'rsa' ? rsa : ec
    t.same(Buffer.from(openSignedData(message, { signers: [signer.certificate] }).content as Uint8Array), content, name)
  }
  t.test('SHA-1 only by its switch', async (t) => {
    const args = ['cms', '-sign', '-nodetach', '-binary', '-md', 'sha1', '-outform', 'der', '-signer', 'rsa.pem', '-inkey', 'rsa.key']
    const message = openssl(folder, args, content)
    t.throws(() => openSignedData(message, { signers: [rsa.certificate] }), { code: 'ERR_ALGORITHM_REFUSED', message: /legacy-sha1/ })
    t.equal(openSignedData(message, { signers: [rsa.certificate], legacySha1: true }).hash, 'sha1')
  })
  t.test('no signed attributes: refused', async (t) => {
    const args = ['cms', '-sign', '-noattr', '-nodetach', '-binary', '-outform', 'der', '-signer', 'rsa.pem', '-inkey', 'rsa.key']
    t.throws(() => openSignedData(openssl(folder, args, content), { signers: [rsa.certificate] }), {
      code: 'ERR_CMS_INVALID',
      message: /no signed attributes/,
    })
  })
  t.test('two signers: refused', async (t) => {
    const args = [
      'cms',
      '-sign',
      '-nodetach',
      '-binary',
      '-outform',
      'der',
      '-signer',
      'rsa.pem',
      '-inkey',
      'rsa.key',
      '-signer',
      'ec.pem',
      '-inkey',
      'ec.key',
    ]
    t.throws(() => openSignedData(openssl(folder, args, content), { signers: [rsa.certificate] }), {
      code: 'ERR_CMS_INVALID',
      message: /2 signers/,
    })
  })
})

/** Signs whatever attributes it is given, in their order: what an honest builder cannot be made to write. */
async function forge({
  attributes,
  eContent = content,
  eContentType = CmsOid.Data,
  tag = constructed(0),
}: {
  attributes: readonly Uint8Array[]
  eContent?: Uint8Array
  eContentType?: string
  tag?: number
}): Promise<Uint8Array> {
  const toSign = tlv(Tag.Set, ...attributes)
  const digestAlgorithm = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue)
  const signerInfo = sequence(
    integer(1),
    sequence(rsa.certificate.issuer, tlv(Tag.Integer, rsa.certificate.serialNumber)),
    digestAlgorithm,
    tlv(tag, ...attributes),
    sequence(oid('1.2.840.113549.1.1.11'), nullValue),
    octetString(await rsa.key.sign(toSign, 'sha256')),
  )
  const body = sequence(
    integer(1),
    setOf([digestAlgorithm]),
    sequence(oid(eContentType), explicit(0, octetString(eContent))),
    setOf([signerInfo]),
  )
  return sequence(oid(CmsOid.SignedData), explicit(0, body))
}

const attribute = (type: string, ...values: Uint8Array[]) => sequence(oid(type), tlv(Tag.Set, ...values))
const digest = octetString(new Uint8Array(32))

t.test('signed attributes that break the rules are refused, with a good signature over them', async (t) => {
  const right = octetString(createHash('sha256').update(content).digest())
  const type = attribute(CmsOid.ContentType, oid(CmsOid.Data))
  const hash = attribute(CmsOid.MessageDigest, right)
  const nonce = attribute(custom, printableString('a'))
  const rows: [string, readonly Uint8Array[], string][] = [
    ['in DER order', [type, hash], 'accepted'],
    ['in another order, as they were signed', [nonce, hash, type], 'accepted'],
    ['no messageDigest', [type], 'ERR_CMS_INVALID'],
    ['no contentType', [hash], 'ERR_CMS_INVALID'],
    ['none at all', [], 'ERR_CMS_INVALID'],
    ['another messageDigest', [type, attribute(CmsOid.MessageDigest, digest)], 'ERR_CMS_INVALID'],
    ['another contentType', [attribute(CmsOid.ContentType, oid(CmsOid.SignedData)), hash], 'ERR_CMS_INVALID'],
    ['messageDigest twice', [type, hash, attribute(CmsOid.MessageDigest, digest)], 'ERR_CMS_INVALID'],
    ['contentType twice', [type, type, hash], 'ERR_CMS_INVALID'],
    ['another attribute twice', [type, hash, nonce, attribute(custom, printableString('b'))], 'ERR_CMS_INVALID'],
    ['two digests in one', [type, attribute(CmsOid.MessageDigest, right, digest)], 'ERR_CMS_INVALID'],
    ['a messageDigest without value', [type, attribute(CmsOid.MessageDigest)], 'ERR_CMS_INVALID'],
  ]
  for (const [name, attributes, expected] of rows) {
    const message = await forge({ attributes })
    t.equal(
      codeOf(() => openSignedData(message, { signers: [rsa.certificate] })),
      expected,
      name,
    )
  }
  const asSet = await forge({ attributes: [type, hash], tag: Tag.Set })
  t.equal(
    codeOf(() => openSignedData(asSet, { signers: [rsa.certificate] })),
    'ERR_CMS_INVALID',
    'attributes without their [0]',
  )
})

t.test('signed attributes taken off and put in as the content: refused', async (t) => {
  const message = await buildSignedData({ content, signer: rsa, hash: 'sha256', attributes, certificates: [rsa.certificate.raw] })
  const body = readChildren((readChildren(readDer(message).value)[1] as Tlv).value)[0] as Tlv
  const [version, algorithms, , certificates, signerInfos] = readChildren(body.value) as [Tlv, Tlv, Tlv, Tlv, Tlv]
  const [v, sid, hash, signedAttributes, algorithm, signature] = readChildren(
    expectTag(readChildren(signerInfos.value)[0], Tag.Sequence, 'x').value,
  ) as Tlv[]
  const stripped = sequence(...[v, sid, hash, algorithm, signature].map((part) => (part as Tlv).raw))
  const asContent = tlv(Tag.Set, (signedAttributes as Tlv).value)
  const forged = sequence(
    oid(CmsOid.SignedData),
    explicit(
      0,
      sequence(
        version.raw,
        algorithms.raw,
        sequence(oid(CmsOid.Data), explicit(0, octetString(asContent))),
        certificates.raw,
        setOf([stripped]),
      ),
    ),
  )
  const folder = t.testdir()
  writeIdentity(folder, 'rsa', rsa)
  const byOpenssl = openssl(folder, ['cms', '-verify', '-inform', 'der', '-binary', '-noverify', '-certfile', 'rsa.pem'], forged)
  t.same(byOpenssl, Buffer.from(asContent), 'the forgery is a good one: openssl verifies it')
  t.equal(
    codeOf(() => openSignedData(forged, { signers: [rsa.certificate] })),
    'ERR_CMS_INVALID',
  )
})

t.test('only a pinned certificate may have signed', async (t) => {
  const byAttacker = await buildSignedData({
    content,
    signer: attacker,
    hash: 'sha256',
    attributes,
    certificates: [rsa.certificate.raw, attacker.certificate.raw],
  })
  t.equal(
    codeOf(() => openSignedData(byAttacker, { signers: [rsa.certificate, ec.certificate] })),
    'ERR_CMS_INVALID',
  )
  const inTheNameOfAnother = await buildSignedData({
    content,
    signer: { certificate: rsa.certificate, key: attacker.key },
    hash: 'sha256',
    attributes,
    certificates: [rsa.certificate.raw],
  })
  t.equal(
    codeOf(() => openSignedData(inTheNameOfAnother, { signers: [rsa.certificate] })),
    'ERR_CMS_INVALID',
  )
  t.equal(
    codeOf(() => openSignedData(byAttacker, { signers: 'enclosed' })),
    'accepted',
    'a request may be signed by anyone: its signer is judged later',
  )
  const withoutSigner = await buildSignedData({ content, signer: rsa, hash: 'sha256', attributes, certificates: [ec.certificate.raw] })
  t.equal(
    codeOf(() => openSignedData(withoutSigner, { signers: 'enclosed' })),
    'ERR_CMS_INVALID',
  )
})

t.test('every octet counts: a flip is refused or changes nothing that was signed', async (t) => {
  const message = await buildSignedData({ content, signer: ec, hash: 'sha256', attributes, certificates: [ec.certificate.raw] })
  const outcomes = new Set<string>()
  for (let i = 0; i < message.length; i++) {
    const mutant = Uint8Array.from(message)
    mutant[i] = (mutant[i] as number) ^ 0x01
    try {
      const opened = openSignedData(mutant, { signers: [ec.certificate] })
      outcomes.add(
        Buffer.compare(opened.content as Uint8Array, content) === 0 && readText(signedAttribute(opened, custom)) === 'id 1'
          ? 'same'
          : `other at ${i}`,
      )
    } catch (error) {
      outcomes.add((error as AgentError).code ?? `${error} at ${i}`)
    }
  }
  for (const outcome of outcomes) t.match(outcome, /^(same|ERR_(DER_MALFORMED|CMS_INVALID|ALGORITHM_REFUSED|LIMIT_EXCEEDED))$/)
})

t.test('more certificates than a message can need: refused', async (t) => {
  const many = Array.from({ length: 101 }, () => rsa.certificate.raw)
  const message = await buildSignedData({ content, signer: rsa, hash: 'sha256', attributes, certificates: many })
  t.equal(
    codeOf(() => openSignedData(message, { signers: [rsa.certificate] })),
    'ERR_LIMIT_EXCEEDED',
  )
})
