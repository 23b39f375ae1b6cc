import { softwareKeyHandle } from '@certfleet/agent-core'
import { octetString, oid, sequence, setOf } from '@certfleet/agent-core/der'
import t from 'tap'
import { identityOf, openPfx } from '#agent-core/pfx/index.ts'
import { LocalKeyIdOid } from '#agent-core/pfx/oids.ts'
import { identity } from '../cms/identities.ts'
import { testCertificate } from '../fakes/certificates.ts'
import { certificateBag, issued, issuers, keyBag, password, pfxOfBags } from './files.ts'

const one = await issued('CN=one')
const other = await issued('CN=other')
const rsa = await issued('CN=rsa', { ec: false })
const stranger = (await identity('CN=Stranger', { ec: true })).certificate
const [issuing, root] = issuers.map(({ raw }) => raw) as [Uint8Array, Uint8Array]
const id = (text: string): Uint8Array => setOf([sequence(oid(LocalKeyIdOid), setOf([octetString(Buffer.from(text))]))])

/** Another certificate over the same key. */
function renewal(): Promise<Uint8Array> {
  return testCertificate({ subject: 'CN=one', key: softwareKeyHandle(one.privateKey, 'one') })
}

async function identityIn(...bags: readonly Uint8Array[]) {
  return identityOf(await openPfx(await pfxOfBags(...bags), { password }))
}

t.test('a key, its certificate, and its issuers in their order', async (t) => {
  const bags = [root, stranger.raw, issuing, rsa.certificate.raw, one.certificate.raw, root].map((der) => certificateBag(der))
  const { certificate, chain, key } = await identityIn(...bags, keyBag(one))
  t.ok(key.privateKey.equals(one.privateKey))
  t.strictSame(Buffer.from(certificate), Buffer.from(one.certificate.raw))
  t.strictSame(chain.map(Buffer.from), [issuing, root, stranger.raw, rsa.certificate.raw].map(Buffer.from))
})

t.test('the public key decides, whatever the localKeyIds say', async (t) => {
  const bags = [certificateBag(other.certificate.raw, id('1')), certificateBag(one.certificate.raw, id('2'))]
  const { certificate } = await identityIn(...bags, keyBag(one, id('1')))
  t.strictSame(Buffer.from(certificate), Buffer.from(one.certificate.raw))
})

t.test('of two certificates over the key, the one with its localKeyId, or the first', async (t) => {
  const again = (await identity('CN=again', { ec: true })).certificate
  const renewed = await renewal()
  const bags = (first: string, second: string) => [certificateBag(one.certificate.raw, id(first)), certificateBag(renewed, id(second))]
  const second = await identityIn(certificateBag(again.raw), ...bags('1', '2'), keyBag(one, id('2')))
  t.strictSame(Buffer.from(second.certificate), Buffer.from(renewed))
  const first = await identityIn(...bags('1', '2'), keyBag(one, id('3')))
  t.strictSame(Buffer.from(first.certificate), Buffer.from(one.certificate.raw))
})

t.test('what is no identity', async (t) => {
  const cert = certificateBag(one.certificate.raw)
  const rows: readonly (readonly [string, readonly Uint8Array[], RegExp])[] = [
    ['nothing', [], /holds no private key/],
    ['a certificate without a key', [cert], /holds no private key/],
    ['a key without a certificate', [keyBag(one)], /holds no certificate/],
    [
      'a key with the certificate of another',
      [keyBag(other, id('1')), certificateBag(one.certificate.raw, id('1'))],
      /without its certificate/,
    ],
    ['a key with a certificate of another kind', [keyBag(one), certificateBag(rsa.certificate.raw)], /without its certificate/],
    ['two keys', [keyBag(one), keyBag(other), cert], /holds 2 private keys/],
    ['a key twice', [keyBag(one), keyBag(one), cert], /holds 2 private keys/],
  ]
  for (const [name, bags, message] of rows) await t.rejects(identityIn(...bags), { code: 'ERR_PFX_INVALID', message }, name)
})

t.test('comparing keys of two kinds leaves nothing behind for the next import', async (t) => {
  await t.rejects(identityIn(keyBag(one), certificateBag(rsa.certificate.raw)))
  await t.resolves(identityIn(keyBag(one), certificateBag(one.certificate.raw)))
})
