import { constants, createPublicKey, generateKeyPairSync, publicEncrypt, verify } from 'node:crypto'
import { inspect } from 'node:util'
import { type KeyHandle, type KeySpec, softwareKeyHandle, softwareKeys } from '@certfleet/agent-core'
import t from 'tap'

const rsaSpec: KeySpec = { algorithm: 'rsa', bits: 2048 }

function publicKeyOf({ publicKey }: KeyHandle) {
  return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
}

t.test('generated keys sign, and say what they are', async (t) => {
  const keys = softwareKeys()
  for (const spec of [rsaSpec, { algorithm: 'ec', curve: 'P-256' }, { algorithm: 'ec', curve: 'P-384' }] as const) {
    const key = await keys.generate(spec, JSON.stringify(spec))
    t.match(key, { label: JSON.stringify(spec), spec, protection: 'software' })
    for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
      const signature = await key.sign(Buffer.from('data'), hash)
      t.ok(verify(hash, Buffer.from('data'), publicKeyOf(key), signature), `${JSON.stringify(spec)} ${hash}`)
    }
    t.equal(key.unwrapKey !== undefined, spec.algorithm === 'rsa', 'RSA keys unwrap')
  }
})

t.test('labels', async (t) => {
  const keys = softwareKeys()
  const ec = { algorithm: 'ec', curve: 'P-256' } as const
  const [first, second] = await Promise.allSettled([keys.generate(ec, 'a'), keys.generate(ec, 'a')])
  t.equal(first.status, 'fulfilled')
  t.match(second, { status: 'rejected', reason: { code: 'ERR_KEY_EXISTS' } }, 'a label is taken from the moment it is asked for')
  t.equal(await keys.open('a'), (first as PromiseFulfilledResult<KeyHandle>).value)
  t.same(await keys.list(), ['a'])
  await keys.destroy('a')
  await keys.destroy('a')
  t.equal(await keys.open('a'), undefined)
  t.same(await keys.list(), [])
})

t.test('which keys it makes', async (t) => {
  const keys = softwareKeys()
  const rows: [KeySpec, boolean][] = [
    [{ algorithm: 'rsa', bits: 1016 }, false],
    [{ algorithm: 'rsa', bits: 1024 }, true],
    [{ algorithm: 'rsa', bits: 8192 }, true],
    [{ algorithm: 'rsa', bits: 8200 }, false],
    [{ algorithm: 'rsa', bits: 2049 }, false],
    [{ algorithm: 'ec', curve: 'P-384' }, true],
    [{ algorithm: 'ec', curve: 'P-521' as 'P-384' }, false],
  ]
  for (const [spec, expected] of rows) {
    const { state } = await keys.readiness({ spec, hash: 'sha256', multiFactor: false })
    t.equal(state, expected ? 'ready' : 'unsupported', JSON.stringify(spec))
  }
  await t.rejects(keys.generate({ algorithm: 'rsa', bits: 512 }, 'x'), { code: 'ERR_UNSUPPORTED' })
  t.same(await keys.list(), [], 'a refused key takes no label')
  const { privateKey } = generateKeyPairSync('ed25519')
  t.throws(() => softwareKeyHandle(privateKey, 'x'), { code: 'ERR_UNSUPPORTED' })
})

t.test('nothing that a handle shows holds the private key', async (t) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const key = softwareKeyHandle(privateKey, 'x')
  const { d, p } = privateKey.export({ format: 'jwk' })
  const shown = [
    JSON.stringify(key),
    inspect(key, { depth: null, showHidden: true, maxArrayLength: null }),
    Object.values(key).map(String).join(),
  ].join()
  t.notMatch(shown, String(d))
  t.notMatch(shown, String(p))
  for (const value of Object.values(key)) t.not((value as object)?.constructor?.name, 'PrivateKeyObject')
  t.same(Object.keys(key).sort(), ['label', 'protection', 'publicKey', 'sign', 'spec', 'unwrapKey'], 'there is nothing else to ask')
})

t.test('unwrapping', async (t) => {
  const key = await softwareKeys().generate(rsaSpec, 'x')
  const secret = Buffer.from('0123456789abcdef')
  const wrap = (padding: number, oaepHash?: string) =>
    publicEncrypt({ key: publicKeyOf(key), padding, ...(oaepHash && { oaepHash }) }, secret)
  const unwrap = (wrapped: Uint8Array, padding: 'pkcs1' | 'oaep-sha1' | 'oaep-sha256', lengthBytes = 16) =>
    (key.unwrapKey as NonNullable<KeyHandle['unwrapKey']>)(wrapped, { padding, lengthBytes })
  const pkcs1 = wrap(constants.RSA_PKCS1_PADDING)
  const oaep = wrap(constants.RSA_PKCS1_OAEP_PADDING, 'sha256')

  t.same(Buffer.from(await unwrap(pkcs1, 'pkcs1')), secret)
  t.same(Buffer.from(await unwrap(wrap(constants.RSA_PKCS1_OAEP_PADDING, 'sha1'), 'oaep-sha1')), secret)
  t.same(Buffer.from(await unwrap(oaep, 'oaep-sha256')), secret)
  for (const [name, wrapped, lengthBytes] of [
    ['another length', pkcs1, 24],
    ['no padding', oaep, 16],
    ['too short', pkcs1.subarray(1), 16],
    ['too long', Buffer.concat([pkcs1, pkcs1]), 16],
    ['empty', Buffer.alloc(0), 16],
    ['above the modulus', Buffer.alloc(256, 0xff), 32],
    ['zero', Buffer.alloc(256), 16],
  ] as const) {
    const substitute = await unwrap(wrapped, 'pkcs1', lengthBytes)
    t.equal(substitute.length, lengthBytes, `PKCS#1, ${name}: octets of the length that was asked for`)
    t.notSame(Buffer.from(substitute), secret)
    t.same(substitute, await unwrap(wrapped, 'pkcs1', lengthBytes), 'and the same ones again')
  }
  await t.rejects(unwrap(oaep, 'oaep-sha256', 24), { code: 'ERR_CMS_DECRYPT' }, 'OAEP, another length')
  await t.rejects(unwrap(pkcs1, 'oaep-sha1'), { code: 'ERR_CMS_DECRYPT' }, 'OAEP, no padding')

  const twin = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'y')
  const elsewhere = await (twin.unwrapKey as NonNullable<KeyHandle['unwrapKey']>)(Buffer.alloc(256), { padding: 'pkcs1', lengthBytes: 16 })
  t.notSame(elsewhere, await unwrap(Buffer.alloc(256), 'pkcs1'), 'every key has substitutes of its own')
})
