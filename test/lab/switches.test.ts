import { execFileSync } from 'node:child_process'
import { type KeyHandle, softwareKeys } from '@certfleet/agent-core'
import { openSignedData } from '@certfleet/agent-core/cms'
import { bitString, constructed, integer, oid, sequence, setOf, Tag, tlv, utf8String } from '@certfleet/agent-core/der'
import { CsrAttributeOid, createCsr, nameDer, signatureAlgorithm } from '@certfleet/agent-core/pki'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { caOf, csrFor, exchange, messageFor, sendMessage, startLab } from './surroundings.ts'

/** A request in which nothing but the challenge and the version is out of the ordinary. */
async function rawCsr(key: KeyHandle, challenge: Uint8Array, version = 0): Promise<Uint8Array> {
  const attribute = sequence(oid(CsrAttributeOid.ChallengePassword), tlv(Tag.Set, challenge))
  const info = sequence(integer(version), nameDer('CN=device-1'), key.publicKey, setOf([attribute], constructed(0)))
  return sequence(info, signatureAlgorithm('rsa', 'sha256'), bitString(await key.sign(info, 'sha256')))
}

const bmp = (text: string) => tlv(Tag.BmpString, Buffer.from(text, 'utf16le').swap16())
const universal = (text: string) =>
  tlv(Tag.UniversalString, Buffer.from([...text].flatMap((c) => [0, 0, c.charCodeAt(0) >> 8, c.charCodeAt(0) & 0xff])))
const latin = (tag: number) => (text: string) => tlv(tag, Buffer.from(text, 'latin1'))

t.test('scep.challenge: a challenge may be any string type, and longer than the 255 characters of RFC 2985', async (t) => {
  const key = await testKey('a')
  const long = 'Challenge 0123456789 '.repeat(200)
  const types: [string, (text: string) => Uint8Array, string[]][] = [
    ['PrintableString', latin(Tag.PrintableString), [long]],
    ['IA5String', latin(Tag.Ia5String), [`${long}_@*`]],
    ['TeletexString', latin(Tag.TeletexString), [long, 'Grüße']],
    ['NumericString', latin(Tag.NumericString), ['0123456789'.repeat(30)]],
    ['UTF8String', utf8String, [long, 'Grüße, 世界', 'x'.repeat(255), 'x'.repeat(256)]],
    ['BMPString', bmp, [long, 'Grüße, 世界']],
    ['UniversalString', universal, [long, 'Grüße, 世界']],
  ]
  for (const [name, encode, challenges] of types) {
    for (const staticChallenge of challenges) {
      const { lab } = await startLab({ staticChallenge })
      const reply = await exchange(lab, { key, content: await rawCsr(key, encode(staticChallenge)) })
      t.equal(reply.status, 'success', `${name} of ${staticChallenge.length} characters`)
      const wrong = await exchange(lab, { key, transactionId: 'W', content: await rawCsr(key, encode(`${staticChallenge}0`)) })
      t.match(wrong, { failInfo: 'badRequest' }, `${name} with a character more`)
    }
  }
})

t.test('what the client writes is what openssl and the lab read', async (t) => {
  const key = await testKey('a')
  for (const challenge of ['a'.repeat(255), 'a'.repeat(256), 'b'.repeat(5000), `${'c'.repeat(300)}_@*`, `Grüße ${'ß'.repeat(300)}`]) {
    const { lab } = await startLab({ staticChallenge: challenge })
    const content = await csrFor({ key, challenge })
    t.equal((await exchange(lab, { key, content })).status, 'success', `${challenge.length} characters`)
    const asn1 = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: content, encoding: 'utf8' })
    const [, type, value] = /:challengePassword\n.*\n.*prim: (\w+)\s+:(.*)\n/.exec(asn1) ?? []
    t.equal(type, /[^a-zA-Z0-9]/.test(challenge) ? 'UTF8STRING' : 'PRINTABLESTRING')
    t.equal(value, challenge)
  }
})

t.test('allowBadCsrVersion: version 2, as Apple sends it, is read behind its switch', async (t) => {
  const key = await testKey('a')
  const ask = async (version: number, allowBadCsrVersion?: boolean) => {
    const { lab } = await startLab({ staticChallenge: 'secret', allowBadCsrVersion })
    const reply = await exchange(lab, { key, content: await rawCsr(key, utf8String('secret'), version) })
    return reply.status === 'failure' ? reply.failInfo : reply.status
  }
  t.equal(await ask(0), 'success')
  t.equal(await ask(2), 'badMessageCheck', 'off by default')
  t.equal(await ask(2, true), 'success')
  t.equal(await ask(0, true), 'success')
})

t.test('ndesFailures: the shape that NDES gives a failure', async (t) => {
  const key = await testKey('a')
  const ask = async (ndesFailures?: boolean) => {
    const { lab } = await startLab({ staticChallenge: 'secret', ndesFailures })
    const content = await createCsr({
      subject: 'CN=x',
      subjectAltNames: [],
      keyUsages: [],
      extendedKeyUsages: [],
      key,
      hash: 'sha256',
      challenge: 'wrong',
    })
    const { message, read } = await messageFor(lab, { key, content })
    const { body } = await sendMessage(lab, message)
    return { opened: openSignedData(body, { signers: (await caOf(lab)).signers }), reply: await read(body), body }
  }
  const standard = await ask()
  t.same(standard.reply, { status: 'failure', failInfo: 'badRequest' })
  t.equal(standard.opened.content, undefined, 'RFC 8894 3.3.2.2: no content')
  t.equal(standard.opened.certificates.length, 1)
  const ndes = await ask(true)
  t.same(ndes.reply, { status: 'failure', failInfo: 'badRequest', hresult: '0x80070057' })
  t.same([...(ndes.opened.content ?? [])], [0])
  t.equal(ndes.opened.certificates.length, 0)
  const asn1 = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: ndes.body, encoding: 'utf8' })
  t.match(asn1, /:1\.3\.6\.1\.4\.1\.311\.21\.33\n.*\n.*PRINTABLESTRING\s+:-2147024809\n/)
})

t.test('RSA-1024 is for profiles that ask for it: a static challenge gets none', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  for (const [bits, expected] of [
    [2040, 'failure'],
    [2048, 'success'],
  ] as const) {
    const key = await softwareKeys().generate({ algorithm: 'rsa', bits }, `rsa-${bits}`)
    t.equal((await exchange(lab, { key, content: await csrFor({ key, challenge: 'secret' }) })).status, expected, `RSA-${bits}`)
  }
  t.equal(lab.audit().find(({ event }) => event === 'refused')?.code, 'KeyLengthMismatch')
})
