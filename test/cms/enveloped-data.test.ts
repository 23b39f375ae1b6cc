import { constants, createCipheriv, publicEncrypt } from 'node:crypto'
import type { AgentError, KeyHandle } from '@certfleet/agent-core'
import { buildEnvelopedData, CmsOid, type ContentCipher, issuerAndSerialNumber, openEnvelopedData } from '@certfleet/agent-core/cms'
import { explicit, integer, nullValue, octetString, oid, primitive, sequence, Tag, tlv } from '@certfleet/agent-core/der'
import t from 'tap'
import { identity, pem } from './identities.ts'
import { openssl, writeIdentity } from './openssl.ts'

const recipient = await identity('CN=Recipient')
const other = await identity('CN=Other')
const ec = await identity('CN=EC', { ec: true })
const content = Buffer.from('a certificate request')
const ciphers: readonly ContentCipher[] = ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc']
const undecryptable = { code: 'ERR_CMS_DECRYPT', message: 'the envelope could not be decrypted', cause: undefined }

t.test('what is built is opened, by us and by openssl', async (t) => {
  const folder = t.testdir()
  writeIdentity(folder, 'r', recipient)
  for (const cipher of ciphers) {
    for (const keyTransport of ['pkcs1', 'oaep-sha1', 'oaep-sha256'] as const) {
      const envelope = buildEnvelopedData({ content, recipient: recipient.certificate, cipher, keyTransport })
      const opened = await openEnvelopedData(envelope, { recipients: [other, recipient] })
      t.same(opened, { content, cipher }, `${cipher} ${keyTransport}`)
      const decrypted = openssl(folder, ['cms', '-decrypt', '-inform', 'der', '-binary', '-recip', 'r.pem', '-inkey', 'r.key'], envelope)
      t.same(decrypted, content, `${cipher} ${keyTransport}: openssl decrypts it`)
    }
  }
})

t.test('what openssl encrypts is opened', async (t) => {
  const folder = t.testdir()
  writeIdentity(folder, 'r', recipient)
  writeIdentity(folder, 'o', other)
  const rows = [
    ['AES-128', ['-aes128', '-recip', 'r.pem']],
    ['3DES', ['-des3', '-recip', 'r.pem']],
    ['OAEP with SHA-1', ['-aes256', '-recip', 'r.pem', '-keyopt', 'rsa_padding_mode:oaep']],
    [
      'OAEP with SHA-256',
      ['-aes256', '-recip', 'r.pem', '-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256', '-keyopt', 'rsa_mgf1_md:sha256'],
    ],
    ['two recipients', ['-aes128', '-recip', 'o.pem', '-recip', 'r.pem']],
    ['by key identifier', ['-aes128', '-keyid', '-recip', 'r.pem']],
    ['BER: indefinite length, content in segments', ['-aes128', '-indef', '-stream', '-recip', 'r.pem']],
  ] as const
  for (const [name, options] of rows) {
    const envelope = openssl(folder, ['cms', '-encrypt', '-binary', '-outform', 'der', ...options], content)
    t.same(Buffer.from((await openEnvelopedData(envelope, { recipients: [recipient] })).content), content, name)
  }
})

t.test('whatever keeps it closed is one error', async (t) => {
  const envelope = buildEnvelopedData({ content, recipient: recipient.certificate, cipher: 'aes-128-cbc' })
  const wrongKey = { certificate: recipient.certificate, key: other.key }
  // A key that is wrong, or random as implicit rejection makes it, finds a good padding once in 256 tries: then it is other content.
  const closed = async (bytes: Uint8Array, by: Pick<typeof recipient, 'certificate' | 'key'>, name: string) => {
    const outcome = await openEnvelopedData(bytes, { recipients: [by] }).catch((error: AgentError) => error)
    if (outcome instanceof Error) t.match(outcome, undecryptable, name)
    else t.notSame(Buffer.from(outcome.content), content, `${name}: other content`)
  }
  await t.rejects(openEnvelopedData(envelope, { recipients: [other] }), undecryptable, 'for somebody else')
  await closed(envelope, wrongKey, 'another key')
  for (const distance of [1, 17, 32]) {
    const mutant = Buffer.from(envelope)
    mutant[mutant.length - distance] = (mutant[mutant.length - distance] as number) ^ 0xff
    await closed(mutant, recipient, `octet ${distance} from the end`)
  }
  const oaep = buildEnvelopedData({ content, recipient: recipient.certificate, cipher: 'aes-128-cbc', keyTransport: 'oaep-sha256' })
  await t.rejects(openEnvelopedData(oaep, { recipients: [wrongKey] }), undecryptable, 'OAEP under another key')
})

t.test('keys that cannot take part say so', async (t) => {
  t.throws(() => buildEnvelopedData({ content, recipient: ec.certificate, cipher: 'aes-128-cbc' }), { code: 'ERR_UNSUPPORTED' })
  const envelope = buildEnvelopedData({ content, recipient: recipient.certificate, cipher: 'aes-128-cbc' })
  const { unwrapKey: _, ...signsOnly } = recipient.key
  await t.rejects(openEnvelopedData(envelope, { recipients: [{ certificate: recipient.certificate, key: signsOnly as KeyHandle }] }), {
    code: 'ERR_KEY_UNAVAILABLE',
  })
})

/** An envelope with the key, cipher and IV of the test's choice. */
function envelopeWith({ key, algorithm, encrypted }: { key: Buffer; algorithm: Uint8Array; encrypted: Uint8Array }): Uint8Array {
  const wrapped = publicEncrypt({ key: pem(recipient.certificate), padding: constants.RSA_PKCS1_PADDING }, key)
  const transport = sequence(oid('1.2.840.113549.1.1.1'), nullValue)
  const info = sequence(integer(0), issuerAndSerialNumber(recipient.certificate), transport, octetString(wrapped))
  const body = sequence(integer(0), tlv(Tag.Set, info), sequence(oid(CmsOid.Data), algorithm, tlv(primitive(0), encrypted)))
  return sequence(oid(CmsOid.EnvelopedData), explicit(0, body))
}

t.test('single DES is read only by its switch, and answered in 3DES', async (t) => {
  const key = Buffer.from('0123456789abcdef', 'hex')
  const iv = Buffer.alloc(8, 7)
  const encryptor = createCipheriv('des-ede3-cbc', Buffer.concat([key, key, key]), iv)
  const encrypted = Buffer.concat([encryptor.update(content), encryptor.final()])
  const envelope = envelopeWith({ key, algorithm: sequence(oid('1.3.14.3.2.7'), octetString(iv)), encrypted })
  await t.rejects(openEnvelopedData(envelope, { recipients: [recipient] }), { code: 'ERR_ALGORITHM_REFUSED', message: /legacy-des/ })
  t.same(await openEnvelopedData(envelope, { recipients: [recipient], legacyDes: true }), { content, cipher: 'des-ede3-cbc' })
})

t.test('ciphers and IVs that are none are refused before a key is touched', async (t) => {
  const key = Buffer.alloc(16)
  const untouched = { certificate: recipient.certificate, key: { ...recipient.key, unwrapKey: () => t.fail('the key was used') as never } }
  const aes = oid('2.16.840.1.101.3.4.1.2')
  const rows = [
    ['RC2', sequence(oid('1.2.840.113549.3.2'), octetString(new Uint8Array(8))), 'ERR_ALGORITHM_REFUSED'],
    ['no IV', sequence(aes), 'ERR_DER_MALFORMED'],
    ['an IV too short', sequence(aes, octetString(new Uint8Array(15))), 'ERR_DER_MALFORMED'],
    ['an IV too long', sequence(aes, octetString(new Uint8Array(17))), 'ERR_DER_MALFORMED'],
    ['NULL for an IV', sequence(aes, nullValue), 'ERR_DER_MALFORMED'],
  ] as const
  for (const [name, algorithm, code] of rows) {
    await t.rejects(
      openEnvelopedData(envelopeWith({ key, algorithm, encrypted: new Uint8Array(16) }), { recipients: [untouched] }),
      { code },
      name,
    )
  }
})

t.test('content that is not whole blocks is undecryptable, not an exception of the cipher', async (t) => {
  const algorithm = sequence(oid('2.16.840.1.101.3.4.1.2'), octetString(new Uint8Array(16)))
  for (const length of [0, 15, 17]) {
    const envelope = envelopeWith({ key: Buffer.alloc(16), algorithm, encrypted: new Uint8Array(length) })
    await t.rejects(openEnvelopedData(envelope, { recipients: [recipient] }), undecryptable, `${length} octets`)
  }
})
