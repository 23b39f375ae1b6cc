import { constants, createHash, createPublicKey, publicEncrypt, randomBytes, verify } from 'node:crypto'
import type { UnwrapPadding } from '@certfleet/agent-core'
import t from 'tap'
import { CKA, CKF, CKM, CKO } from '#agent-core/keys/pkcs11/cryptoki.ts'
import type { KeyName } from '#agent-core/keys/pkcs11/key-name.ts'
import { type PublicHalf, tokenKeys } from '#agent-core/keys/pkcs11/keys.ts'
import { openToken } from '#agent-core/keys/pkcs11/token.ts'
import { type FakeToken, fakeToken, moduleOf, signedText } from './pkcs11-fake.ts'

const spec = { algorithm: 'rsa', bits: 1024 } as const
const k1: KeyName = { namespace: 'certfleet', label: 'k1' }
const rejectionSecret = randomBytes(32)

const keysOn = (token: FakeToken) => tokenKeys(openToken(moduleOf(token), 'fake', '1234'))
const keyObject = ({ publicKey }: PublicHalf) => createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })

function handlesOf(token: FakeToken, kind: number): number[] {
  return [...token.objects].filter(([, { attributes }]) => attributes.get(CKA.CLASS)?.[0] === kind).map(([handle]) => handle)
}

function remove(token: FakeToken, kind: number): void {
  for (const handle of handlesOf(token, kind)) token.objects.delete(handle)
}

t.test('a pair is made to stay inside, to sign and to decrypt', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  const made = keys.generate(k1, spec)
  t.strictSame(made.spec, spec)
  t.strictSame(keys.find(k1), made)
  const [handle = 0] = handlesOf(token, CKO.PRIVATE_KEY)
  const is = (type: number) => token.objects.get(handle)?.attributes.get(type)?.[0]
  const rows: [number, number][] = [
    [CKA.TOKEN, 1],
    [CKA.PRIVATE, 1],
    [CKA.SENSITIVE, 1],
    [CKA.EXTRACTABLE, 0],
    [CKA.SIGN, 1],
    [CKA.DECRYPT, 1],
  ]
  for (const [type, value] of rows) t.equal(is(type), value, `0x${type.toString(16)}`)
  t.throws(() => keys.generate(k1, spec), { code: 'ERR_KEY_EXISTS' })
})

t.test('a private key that could be read out is no key', async (t) => {
  const rows: [string, number, number | undefined][] = [
    ['not sensitive', CKA.SENSITIVE, 0],
    ['the token does not say that it is sensitive', CKA.SENSITIVE, undefined],
    ['extractable', CKA.EXTRACTABLE, 1],
    ['not made there', CKA.LOCAL, 0],
    ['once not sensitive', CKA.ALWAYS_SENSITIVE, 0],
    ['once extractable', CKA.NEVER_EXTRACTABLE, 0],
  ]
  for (const [name, type, value] of rows) {
    const token = fakeToken()
    const bend = (attributes: Map<number, Buffer>) =>
      value === undefined ? void attributes.delete(type) : void attributes.set(type, Buffer.of(value))
    token.bend = bend
    t.throws(() => keysOn(token).generate(k1, spec), { code: 'ERR_UNSUPPORTED', message: /it would give out/ }, name)
    t.equal(token.objects.size, 0, 'both halves are gone')

    token.bend = () => undefined
    keysOn(token).generate(k1, spec)
    bend(token.objects.get(handlesOf(token, CKO.PRIVATE_KEY)[0] as number)?.attributes as Map<number, Buffer>)
    t.equal(keysOn(token).find(k1), undefined, 'nor when it is found like that')
  }
  const token = fakeToken()
  token.bend = (attributes) => {
    for (const type of [CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE]) attributes.delete(type)
  }
  t.doesNotThrow(() => keysOn(token).generate(k1, spec), 'a token need not tell the history')
})

t.test('a login that somebody else ended does not make a key look lost', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  const made = keys.generate(k1, spec)
  for (const act of [
    () => keys.find(k1),
    () => keys.list('certfleet'),
    () => keys.sign({ ...k1, publicKey: made.publicKey }, Buffer.of(1)),
  ]) {
    token.logout()
    t.doesNotThrow(act)
  }
  token.logout()
  t.strictSame(keys.find(k1), made)
})

t.test('half a pair is no key, is listed, and gives way', async (t) => {
  for (const kind of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) {
    const token = fakeToken()
    const keys = keysOn(token)
    keys.generate(k1, spec)
    remove(token, kind)
    t.equal(keys.find(k1), undefined)
    t.strictSame(keys.list('certfleet'), ['k1'])
    const made = keys.generate(k1, spec)
    t.equal(token.objects.size, 2, 'no orphan is left')
    t.strictSame(keys.find(k1), made)
    remove(token, kind)
    keys.destroy(k1)
    t.equal(token.objects.size, 0)
    t.strictSame(keys.list('certfleet'), [])
  }
})

t.test('a generation that fails half way leaves nothing', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  token.refusals.set('C_GetAttributeValue', ['GENERAL_ERROR', 'GENERAL_ERROR'])
  t.throws(() => keys.generate(k1, spec), { code: 'ERR_KEY_STORAGE_BUSY' })
  t.equal(token.objects.size, 0)
  token.refusals.set('C_GenerateKeyPair', ['DEVICE_MEMORY'])
  t.throws(() => keys.generate(k1, spec), { code: 'ERR_KEY_STORAGE_FULL' })
  token.refusals.set('C_GenerateKeyPair', ['GENERAL_ERROR'])
  t.throws(() => keys.generate(k1, spec), { code: 'ERR_KEY_STORAGE_BUSY' })
  t.doesNotThrow(() => keys.generate(k1, spec))
})

t.test('a library that gives two objects one handle is started anew before the handle is used', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  const other = keys.generate({ namespace: 'other', label: 'precious' }, spec)
  token.confusion = handlesOf(token, CKO.PRIVATE_KEY)[0]
  const made = keys.generate(k1, spec)
  t.equal(token.confusion, undefined, 'it was')
  t.strictSame(keys.find(k1), made)
  token.confusion = handlesOf(token, CKO.PRIVATE_KEY)[0]
  keys.destroy(k1)
  t.strictSame(keys.find({ namespace: 'other', label: 'precious' }), other, 'and nothing else was destroyed')
  t.equal(token.objects.size, 2)
})

t.test('what is not ours is not seen', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  keys.generate(k1, spec)
  keys.generate({ namespace: 'other', label: 'k1' }, spec)
  for (const { attributes } of [...token.objects.values()].slice(0, 2)) {
    const copy = new Map(attributes).set(CKA.LABEL, Buffer.from('certfleet/k2'))
    token.objects.set(1000 + token.objects.size, { attributes: copy })
    token.objects.set(1000 + token.objects.size, { attributes: new Map(copy).set(CKA.ID, Buffer.of(1)) })
    copy.delete(CKA.ID)
  }
  t.equal(token.objects.size, 8)
  t.strictSame(keys.list('certfleet'), ['k1'], 'a label alone makes no key of ours')
  t.strictSame(keys.list('other'), ['k1'])
  t.equal(keys.find({ namespace: 'certfleet', label: 'k2' }), undefined)
  keys.destroy({ namespace: 'certfleet', label: 'k2' })
  keys.destroy(k1)
  t.equal(token.objects.size, 6)
  t.strictSame(keys.list('other'), ['k1'])
})

t.test('namespace and label are not taken for each other', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  keys.generate({ namespace: 'a', label: 'b/c' }, spec)
  t.strictSame(keys.list('a'), ['b/c'])
  t.strictSame(keys.list('a/b'), [])
  t.equal(keys.find({ namespace: 'a/b', label: 'c' }), undefined)
})

t.test('signing', async (t) => {
  const keys = keysOn(fakeToken())
  for (const curve of ['P-256', 'P-384'] as const) {
    const name = { namespace: 'certfleet', label: curve }
    const made = keys.generate(name, { algorithm: 'ec', curve })
    t.strictSame(made.spec, { algorithm: 'ec', curve })
    const digest = createHash('sha256').update(signedText).digest()
    const signature = keys.sign({ ...name, publicKey: made.publicKey }, digest)
    t.ok(verify('sha256', signedText, { key: keyObject(made), dsaEncoding: 'ieee-p1363' }, signature), curve)
  }
})

t.test('a handle means one key, wherever that is by now', async (t) => {
  const token = fakeToken()
  const keys = keysOn(token)
  const made = keys.generate(k1, spec)
  const key = { ...k1, publicKey: made.publicKey }
  const sign = () => keys.sign(key, Buffer.from('digest'))
  const first = sign()
  for (const handle of [...token.objects.keys()]) {
    token.objects.set(handle + 5000, token.objects.get(handle) as never)
    token.objects.delete(handle)
  }
  t.strictSame(sign(), first, 'another handle on the token, found again by its name')
  token.pull()
  t.strictSame(sign(), first, 'another session')

  token.objects.clear()
  t.throws(sign, { code: 'ERR_KEY_UNAVAILABLE', message: 'the key "k1" is not on its token any more' })
  keys.generate(k1, spec)
  t.throws(sign, { code: 'ERR_KEY_UNAVAILABLE' }, 'nor is another key that has its name')
})

t.test('unwrapping, where the token does raw RSA and where it reads the padding', async (t) => {
  for (const how of ['raw', 'padded'] as const) {
    const token = fakeToken()
    if (how === 'padded') token.mechanisms.set(CKM.RSA_X_509, { minKeySize: 1, maxKeySize: 1, flags: 0 })
    const keys = keysOn(token)
    const made = keys.generate(k1, spec)
    const publicKey = keyObject(made)
    const unwrap = (wrapped: Uint8Array, lengthBytes = 16, padding: UnwrapPadding = 'pkcs1') =>
      Buffer.from(keys.unwrap({ ...k1, publicKey: made.publicKey }, { wrapped, lengthBytes, padding, rejectionSecret }))
    const secret = randomBytes(16)
    const wrap = (padding: number, oaepHash = 'sha1') => publicEncrypt({ key: publicKey, padding, oaepHash }, secret)
    const pkcs1 = wrap(constants.RSA_PKCS1_PADDING)
    t.strictSame(unwrap(pkcs1), secret, how)

    const noPadding = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, Buffer.concat([Buffer.of(0), randomBytes(127)]))
    const rows: [string, Buffer, number][] = [
      ['another length', pkcs1, 24],
      ['no padding', noPadding, 16],
      ['too short', pkcs1.subarray(1), 16],
      ['too long', Buffer.concat([pkcs1, pkcs1]), 16],
      ['empty', Buffer.alloc(0), 16],
      ['above the modulus', Buffer.alloc(128, 0xff), 32],
      ['longer than the modulus has room for', pkcs1, 126],
    ]
    for (const [name, wrapped, lengthBytes] of rows) {
      const substitute = unwrap(wrapped, lengthBytes)
      t.equal(substitute.length, lengthBytes, `${how}, ${name}`)
      t.notSame(substitute, secret)
      t.strictSame(unwrap(wrapped, lengthBytes), substitute, 'and the same again')
    }

    const oaep = wrap(constants.RSA_PKCS1_OAEP_PADDING)
    t.strictSame(unwrap(oaep, 16, 'oaep-sha1'), secret)
    for (const [name, wrapped, lengthBytes] of [
      ['length', oaep, 24],
      ['padding', pkcs1, 16],
      ['size', oaep.subarray(1), 16],
    ] as const)
      t.throws(() => unwrap(wrapped, lengthBytes, 'oaep-sha1'), { code: 'ERR_CMS_DECRYPT' }, `OAEP, another ${name}`)
    t.throws(() => unwrap(oaep, 16, 'oaep-sha256'), { code: 'ERR_UNSUPPORTED' }, 'a digest that the token does not have')
  }
})

t.test('trouble of the hardware is not taken for a bad ciphertext', async (t) => {
  const token = fakeToken()
  token.mechanisms.set(CKM.RSA_X_509, { minKeySize: 1, maxKeySize: 1, flags: CKF.DECRYPT ^ CKF.DECRYPT })
  const keys = keysOn(token)
  const { publicKey } = keys.generate(k1, spec)
  const wrapped = publicEncrypt({ key: keyObject({ spec, publicKey }), padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(16, 7))
  const unwrap = () => keys.unwrap({ ...k1, publicKey }, { wrapped, lengthBytes: 16, padding: 'pkcs1', rejectionSecret })
  token.refusals.set('C_DecryptInit', ['SESSION_COUNT'])
  t.throws(unwrap, { code: 'ERR_KEY_STORAGE_BUSY' })
  token.refusals.set('C_Decrypt', ['SESSION_HANDLE_INVALID'])
  t.strictSame(Buffer.from(unwrap()), Buffer.alloc(16, 7), 'a session that went away is made again')

  const raw = fakeToken()
  const rawKeys = keysOn(raw)
  const made = rawKeys.generate(k1, spec)
  const sealed = publicEncrypt({ key: keyObject(made), padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(16, 8))
  const request = { wrapped: sealed, lengthBytes: 16, padding: 'pkcs1', rejectionSecret } as const
  raw.refusals.set('C_Decrypt', ['GENERAL_ERROR'])
  const unwrapped = () => Buffer.from(rawKeys.unwrap({ ...k1, publicKey: made.publicKey }, request))
  t.strictSame(unwrapped(), Buffer.alloc(16, 8), 'the raw operation, which has nothing to reject, is done again')
  raw.refusals.set('C_Decrypt', ['GENERAL_ERROR', 'GENERAL_ERROR'])
  t.throws(unwrapped, { code: 'ERR_KEY_STORAGE_BUSY' })
})
