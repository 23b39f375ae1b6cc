import t from 'tap'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { emptyKeys, isTpm, noToken, openKeys } from './token.ts'

t.test('RSA keys', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('contract')
  await keyStorageProviderContract(t, () => emptyKeys('contract'), { restart: () => openKeys({ namespace: 'contract' }) })
  await keys.close()
})

for (const curve of ['P-256', 'P-384'] as const) {
  t.test(`${curve} keys`, { skip: noToken }, async (t) => {
    const spec = { algorithm: 'ec', curve } as const
    await keyStorageProviderContract(t, () => emptyKeys(curve), { spec, restart: () => openKeys({ namespace: curve }) })
  })
}

t.test('what the token is', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('contract')
  t.equal(keys.protection, isTpm ? 'tpm' : 'pkcs11')
  t.equal(keys.name, isTpm ? 'PKCS#11 token "tpm0" (IBM)' : 'PKCS#11 token "dev0" (SoftHSM project)')
  await keys.close()
})

t.test('key sizes at the bounds', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('sizes')
  const wish = (bits: number) => ({ spec: { algorithm: 'rsa', bits } as const, hash: 'sha256' as const, multiFactor: false })
  const largest = isTpm ? 3072 : 8192
  const rows: [number, 'ready' | 'unsupported'][] = [
    [1023, 'unsupported'],
    [1024, 'ready'],
    [1025, 'unsupported'],
    [3072, 'ready'],
    [largest, 'ready'],
    [largest + 1024, 'unsupported'],
  ]
  for (const [bits, state] of rows) {
    t.equal((await keys.readiness(wish(bits))).state, state, `RSA-${bits} is ${state}`)
    if (state === 'unsupported') await t.rejects(keys.generate(wish(bits).spec, 'x'), { code: 'ERR_UNSUPPORTED' })
  }
  t.strictSame(await keys.list(), [], 'a refused key leaves nothing')
  for (const bits of [1024, 3072]) {
    const key = await keys.generate(wish(bits).spec, `rsa-${bits}`)
    t.strictSame(key.spec, wish(bits).spec)
    await keys.destroy(key.label)
  }
  await keys.close()
})
