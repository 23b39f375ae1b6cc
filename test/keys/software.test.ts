import { constants, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes, verify } from 'node:crypto'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { AgentError, type KeyHandle, type KeySpec, softwareKeyHandle, softwareKeys } from '@certfleet/agent-core'
import t from 'tap'
import { fileKeys } from '#agent-core/keys/file-vault.ts'
import { memoryVault } from '#agent-core/keys/vault.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'

const rsaSpec: KeySpec = { algorithm: 'rsa', bits: 2048 }
const ec: KeySpec = { algorithm: 'ec', curve: 'P-256' }

function refuse(): never {
  throw new AgentError('ERR_STATE_IO', 'not now')
}

function publicKeyOf({ publicKey }: KeyHandle) {
  return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
}

t.test('it keeps the contract', async (t) => {
  await t.test('in memory', (t) => keyStorageProviderContract(t, async () => softwareKeys()))
  await t.test('on disk', async (t) => {
    let folders = 0
    const parent = t.testdir()
    await keyStorageProviderContract(t, () => fileKeys(join(parent, `keys${folders++}`), { secret: { key: randomBytes(32) } }))
  })
})

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

t.test('a label', async (t) => {
  await t.test('is taken from the moment it is asked for', async (t) => {
    const keys = softwareKeys()
    const [first, second] = await Promise.allSettled([keys.generate(ec, 'a'), keys.generate(ec, 'a')])
    t.match(second, { status: 'rejected', reason: { code: 'ERR_KEY_EXISTS' } })
    t.equal(await keys.open('a'), (first as PromiseFulfilledResult<KeyHandle>).value, 'the same handle for every caller')
    t.same(await keys.list(), ['a'])
  })
  await t.test('is taken by a key of the vault that was never opened here', async (t) => {
    const vault = memoryVault()
    const made = await softwareKeys(vault).generate(ec, 'a')
    const keys = softwareKeys({ ...vault, store: async () => void t.fail('no key is made for it') })
    await t.rejects(keys.generate(ec, 'a'), { code: 'ERR_KEY_EXISTS', message: 'a key with label "a" exists' })
    t.same((await keys.open('a'))?.publicKey, made.publicKey)
    await t.rejects(vault.store('a', generateKeyPairSync('ed25519').privateKey), { code: 'ERR_KEY_EXISTS' })
  })
  await t.test('opens what another provider put in the vault after it was asked for in vain', async (t) => {
    const vault = memoryVault()
    const keys = softwareKeys(vault)
    t.equal(await keys.open('a'), undefined)
    const made = await softwareKeys(vault).generate(ec, 'a')
    t.same((await keys.open('a'))?.publicKey, made.publicKey)
  })
  await t.test('is free again after a key that could not be kept', async (t) => {
    const vault = memoryVault()
    let refusals = 1
    const full = { ...vault, store: async (...key: Parameters<typeof vault.store>) => (refusals-- > 0 ? refuse() : vault.store(...key)) }
    const keys = softwareKeys(full)
    const [failed, opened] = await Promise.allSettled([keys.generate(ec, 'a'), keys.open('a')])
    t.match(failed, { status: 'rejected', reason: { code: 'ERR_STATE_IO' } })
    t.match(opened, { status: 'fulfilled', value: undefined }, 'who only opened it hears of no key')
    t.same(await keys.list(), [])
    t.equal((await keys.generate(ec, 'a')).label, 'a')
  })
  await t.test('is opened and destroyed once its key is made', async (t) => {
    const keys = softwareKeys()
    const made = keys.generate(ec, 'a')
    t.equal(await keys.open('a'), await made)
    const next = keys.generate(ec, 'b')
    await keys.destroy('b')
    t.equal((await next).label, 'b')
    t.same(await keys.list(), ['a'])
    t.equal(await keys.open('b'), undefined)
  })
  await t.test('that a vault cannot read now is read at the next call', async (t) => {
    const vault = memoryVault()
    await softwareKeys(vault).generate(ec, 'a')
    let refusals = 1
    const keys = softwareKeys({ ...vault, load: async (label) => (refusals-- > 0 ? refuse() : vault.load(label)) })
    await t.rejects(keys.open('a'), { code: 'ERR_STATE_IO' })
    t.equal((await keys.open('a'))?.label, 'a')
  })
  for (const [name, label, isLabel] of [
    ['empty', '', false],
    ['one space', ' ', true],
    ['128 characters', '~'.repeat(128), true],
    ['129 characters', 'a'.repeat(129), false],
    ['a control character', 'a\x1f', false],
    ['a line end', 'a\n', false],
    ['DEL', 'a\x7f', false],
    ['not ASCII', 'schlüssel', false],
    ['a path', '../../etc/passwd', true],
    ['quotes', '"\\', true],
  ] as const) {
    await t.test(`${name}: ${isLabel ? 'is one' : 'is none'}`, async (t) => {
      const vault = memoryVault()
      const keys = softwareKeys(isLabel ? vault : { ...vault, store: async () => void t.fail('no key is made for it') })
      if (isLabel) t.equal((await keys.generate(ec, label)).label, label)
      else await t.rejects(keys.generate(ec, label), { code: 'ERR_UNSUPPORTED', message: /1 to 128 printable ASCII/ })
      t.same(await keys.list(), isLabel ? [label] : [])
      t.equal((await keys.open(label))?.label, isLabel ? label : undefined)
      await keys.destroy(label)
      t.same(await keys.list(), [])
    })
  }
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
    const readiness = await keys.readiness({ spec, hash: 'sha256', multiFactor: true })
    t.equal(readiness.state, expected ? 'ready' : 'unsupported', JSON.stringify(spec))
  }
  await t.rejects(keys.generate({ algorithm: 'rsa', bits: 512 }, 'x'), {
    code: 'ERR_UNSUPPORTED',
    message: 'the software KSP makes no RSA-512 keys',
  })
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
