import { constants, createPublicKey, KeyObject, publicEncrypt, randomBytes, verify } from 'node:crypto'
import type { KeyStorageProvider } from '@certfleet/agent-core'
import type { Test } from 'tap'

const spec = { algorithm: 'rsa', bits: 2048 } as const

/** What every `KeyStorageProvider` and `KeyHandle` promises (ports.ts). `make` may return one provider with keys of earlier tests gone. */
export async function keyStorageProviderContract(t: Test, make: () => Promise<KeyStorageProvider>): Promise<void> {
  const provider = await make()
  const key = await provider.generate(spec, 'k1')
  const publicKey = createPublicKey({ key: Buffer.from(key.publicKey), format: 'der', type: 'spki' })

  await t.test('a generated key is listed and opens under its label', async (t) => {
    t.same(await provider.list(), ['k1'])
    t.same((await provider.open('k1'))?.publicKey, key.publicKey)
    t.equal(key.protection, provider.protection)
    t.equal(publicKey.asymmetricKeyDetails?.modulusLength, 2048)
  })
  await t.test('an unknown label opens nothing', async (t) => {
    t.equal(await provider.open('k9'), undefined)
  })
  await t.test('generating under a label that exists fails with ERR_KEY_EXISTS, and the key stays', async (t) => {
    await t.rejects(provider.generate(spec, 'k1'), { code: 'ERR_KEY_EXISTS' })
    t.same((await provider.open('k1'))?.publicKey, key.publicKey)
  })
  await t.test('it signs', async (t) => {
    const data = Buffer.from('to be signed')
    for (const hash of ['sha256', 'sha384', 'sha512'] as const) t.ok(verify(hash, data, publicKey, await key.sign(data, hash)), hash)
  })
  await t.test('it unwraps PKCS#1 v1.5', async (t) => {
    const cek = randomBytes(32)
    const wrapped = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, cek)
    t.same(Buffer.from((await key.unwrapKey?.(wrapped, { padding: 'pkcs1', lengthBytes: 32 })) ?? []), cek)
  })
  await t.test('a padding or length error gives random bytes of that length, never an error', async (t) => {
    const short = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, randomBytes(16))
    const raw = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, Buffer.concat([Buffer.of(0), randomBytes(255)]))
    for (const wrapped of [short, raw]) t.equal((await key.unwrapKey?.(wrapped, { padding: 'pkcs1', lengthBytes: 32 }))?.length, 32)
  })
  await t.test('no member of provider or handle yields private bytes', async (t) => {
    const members = [key, provider].flatMap((object) => Object.values(object) as unknown[])
    t.notOk(
      members.some((member) => member instanceof KeyObject),
      'no key object to export',
    )
    t.same(
      members.filter((member) => member instanceof Uint8Array).map((bytes) => Buffer.from(bytes as Uint8Array)),
      [Buffer.from(key.publicKey)],
      'no bytes but the public key',
    )
    t.same(Object.keys(key).sort(), ['label', 'protection', 'publicKey', 'sign', 'spec', 'unwrapKey'], 'nothing else to call')
  })
  await t.test('destroying removes it; destroying what is gone is not an error', async (t) => {
    await provider.destroy('k1')
    await provider.destroy('k1')
    t.same(await provider.list(), [])
    t.equal(await provider.open('k1'), undefined)
  })
}
