import { createPrivateKey, webcrypto } from 'node:crypto'
import type { OctetString } from 'asn1js'
import forge from 'node-forge'
import * as pkijs from 'pkijs'
import t from 'tap'
import { buildPfx, identityOf, openPfx } from '#agent-core/pfx/index.ts'
import { identity } from '../cms/identities.ts'
import { issuers, password } from './files.ts'

// Reader and writer share one codec; these two libraries share none of it.
// forge reads no certificate that an EC key signed.
const rsa = await identity('CN=rsa')
const privateKey = createPrivateKey(rsa.keyPem)
const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
const alone = [rsa.certificate.raw]
const ascii = 'canary password'

t.test('forge reads a legacy file', async (t) => {
  const bytes = await buildPfx({ privateKey, certificates: alone, password: ascii, algorithms: 'legacy', friendlyName: 'device 7' })
  const asn1 = forge.asn1.fromDer(Buffer.from(bytes).toString('latin1'))
  const p12 = forge.pkcs12.pkcs12FromAsn1(asn1, ascii)
  const [keyBag] = p12.getBags({ friendlyName: 'device 7', bagType: forge.pki.oids.pkcs8ShroudedKeyBag as string }).friendlyName ?? []
  const [certBag] = p12.getBags({ friendlyName: 'device 7', bagType: forge.pki.oids.certBag as string }).friendlyName ?? []
  const key = forge.asn1.toDer(forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(keyBag?.key as forge.pki.PrivateKey)))
  t.strictSame(Buffer.from(key.getBytes(), 'latin1'), pkcs8)
  const certificate = forge.asn1.toDer(forge.pki.certificateToAsn1(certBag?.cert as forge.pki.Certificate))
  t.strictSame(Buffer.from(certificate.getBytes(), 'latin1'), Buffer.from(rsa.certificate.raw))
  t.throws(() => forge.pkcs12.pkcs12FromAsn1(asn1, 'another'))
})

t.test('what forge writes opens', async (t) => {
  const key = forge.pki.privateKeyFromPem(rsa.keyPem)
  const certificate = forge.pki.certificateFromAsn1(forge.asn1.fromDer(Buffer.from(rsa.certificate.raw).toString('latin1')))
  for (const algorithm of ['3des', 'aes128', 'aes256'] as const) {
    const asn1 = forge.pkcs12.toPkcs12Asn1(key, [certificate], ascii, { algorithm, count: 100, friendlyName: 'forge' })
    const bytes = Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1')
    const found = identityOf(await openPfx(bytes, { password: ascii, legacy: algorithm === '3des' }))
    t.strictSame(found.key.privateKey.export({ format: 'der', type: 'pkcs8' }), pkcs8, algorithm)
    t.strictSame(Buffer.from(found.certificate), Buffer.from(rsa.certificate.raw), algorithm)
    t.equal(found.key.friendlyName, 'forge', algorithm)
  }
})

t.test('pkijs reads a modern file', async (t) => {
  const crypto = webcrypto as Crypto
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto }))
  const certificates = [rsa.certificate.raw, ...issuers.map(({ raw }) => raw)]
  const bytes = await buildPfx({ privateKey, certificates, password, iterations: 2048 })
  const secret = Uint8Array.from(Buffer.from(password)).buffer
  const pfx = pkijs.PFX.fromBER(Uint8Array.from(bytes).buffer)
  await pfx.parseInternalValues({ password: secret, checkIntegrity: false })
  const safe = pfx.parsedValue?.authenticatedSafe as pkijs.AuthenticatedSafe
  await safe.parseInternalValues({ safeContents: [{ password: secret }, {}] })
  const [certBags, keyBags] = safe.parsedValue.safeContents.map(({ value }: { value: pkijs.SafeContents }) => value.safeBags)
  const found = certBags.map(({ bagValue }: pkijs.SafeBag) =>
    Buffer.from(((bagValue as pkijs.CertBag).certValue as OctetString).valueBlock.valueHexView),
  )
  t.strictSame(found, certificates.map(Buffer.from))
  const shrouded = keyBags[0].bagValue as pkijs.PKCS8ShroudedKeyBag
  // The method that decrypts is not in its types.
  await (shrouded as unknown as { parseInternalValues(options: { password: ArrayBuffer }): Promise<void> }).parseInternalValues({
    password: secret,
  })
  t.strictSame(Buffer.from((shrouded.parsedValue as pkijs.PrivateKeyInfo).toSchema().toBER()), pkcs8)
})
