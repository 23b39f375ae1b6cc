import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KeySpec } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { clearVault, fileKeys, fileVault } from '#agent-core/keys/file-vault.ts'
import { encodeDocument } from '#agent-core/keys/key-documents.ts'
import { type Sealed, seal, secretKeyOf, unseal } from '#agent-core/keys/sealed.ts'
import { keyFileOf, removeStoredKey, storedKeys } from '#agent-core/keys/stored-keys.ts'

const secret = { key: randomBytes(32) }
const ecKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const otherKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const ec: KeySpec = { algorithm: 'ec', curve: 'P-256' }

const newFolder = (t: Test): string => join(t.testdir(), 'keys')
const contentsOf = (folder: string) => new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]))
const spkiOf = (key: KeyObject) => createPublicKey(key).export({ format: 'der', type: 'spki' })
const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8'))
const writeJson = (file: string, document: object) => writeFileSync(file, encodeDocument(document))

await t.test('a key outlives its vault', async (t) => {
  for (const [name, spec] of [
    ['RSA-1024', { algorithm: 'rsa', bits: 1024 }],
    ['RSA-2048', { algorithm: 'rsa', bits: 2048 }],
    ['RSA-3072', { algorithm: 'rsa', bits: 3072 }],
    ['P-256', { algorithm: 'ec', curve: 'P-256' }],
    ['P-384', { algorithm: 'ec', curve: 'P-384' }],
  ] as const) {
    await t.test(name, async (t) => {
      const folder = newFolder(t)
      const made = await (await fileKeys(folder, { secret })).generate(spec, 'device/../1 "a"')
      const keys = await fileKeys(folder, { secret })
      t.equal(keys.name, 'software KSP (disk)')
      t.same(await keys.list(), ['device/../1 "a"'])
      const opened = await keys.open('device/../1 "a"')
      t.match(opened, { label: 'device/../1 "a"', spec, protection: 'software' })
      t.same(opened?.publicKey, made.publicKey)
      t.equal(await keys.open(made.label), opened, 'the same handle for every caller')
      const signature = (await opened?.sign(Buffer.from('data'), 'sha256')) as Uint8Array
      const publicKey = createPublicKey({ key: Buffer.from(made.publicKey), format: 'der', type: 'spki' })
      t.ok(verify('sha256', Buffer.from('data'), publicKey, signature))
      await t.rejects(keys.generate(spec, made.label), { code: 'ERR_KEY_EXISTS' })
      await keys.destroy(made.label)
      await keys.destroy(made.label)
      t.same(await (await fileKeys(folder, { secret })).list(), [])
      t.same(readdirSync(folder), ['storage.json'])
    })
  }
})

await t.test('every octet counts', async (t) => {
  const codes = ['ERR_KEY_SECRET_REFUSED', 'ERR_STATE_INVALID']
  /** The codes that were met, each octet flipped three ways. */
  async function flipEach(t: Test, file: string, act: () => Promise<unknown>): Promise<Set<string>> {
    const original = readFileSync(file)
    const met = new Set<string>()
    for (let i = 0; i < original.length; i++) {
      for (const mask of [0x01, 0x20, 0x80]) {
        const changed = Buffer.from(original)
        changed[i] = (changed[i] as number) ^ mask
        writeFileSync(file, changed)
        const error = await act().then(
          () => undefined,
          (error) => error,
        )
        if (!codes.includes(error?.code)) t.fail(`octet ${i} ^ ${mask}: ${error?.code ?? 'not noticed'}`)
        if (!error?.message.includes(file)) t.fail(`octet ${i} ^ ${mask}: the file is not named`)
        if (!readFileSync(file).equals(changed)) t.fail(`octet ${i} ^ ${mask}: the file was changed`)
        met.add(error?.code)
      }
    }
    writeFileSync(file, original)
    await act()
    return met
  }

  await t.test('of a key file, when the key is opened', async (t) => {
    const folder = newFolder(t)
    const vault = await fileVault(folder, { secret })
    await vault.store('k', ecKey)
    const file = join(folder, keyFileOf('k'))
    const before = readdirSync(folder)
    t.same([...(await flipEach(t, file, () => vault.load('k')))].sort(), codes)
    t.same(readdirSync(folder), before)
  })
  await t.test('of storage.json, when the folder is opened', async (t) => {
    const folder = newFolder(t)
    await (await fileVault(folder, { secret })).store('k', ecKey)
    const file = join(folder, 'storage.json')
    const before = readdirSync(folder)
    t.same([...(await flipEach(t, file, () => fileVault(folder, { secret })))].sort(), codes)
    t.same(readdirSync(folder), before)
  })
})

await t.test('what is swapped is noticed', async (t) => {
  const at = (folder: string, label: string) => join(folder, keyFileOf(label))
  const other = newFolder(t)
  await (await fileVault(other, { secret })).store('a', otherKey)
  for (const [name, change, code] of [
    ['two files’ names', (folder: string) => renameSync(at(folder, 'b'), at(folder, 'a')), 'ERR_STATE_INVALID'],
    [
      'the label, and the file’s name with it',
      (folder: string) => writeJson(at(folder, 'a'), { ...readJson(at(folder, 'b')), label: 'a' }),
      'ERR_KEY_SECRET_REFUSED',
    ],
    [
      'the public key',
      (folder: string) => writeJson(at(folder, 'a'), { ...readJson(at(folder, 'a')), publicKey: readJson(at(folder, 'b')).publicKey }),
      'ERR_KEY_SECRET_REFUSED',
    ],
    [
      'what the key is',
      (folder: string) => writeJson(at(folder, 'a'), { ...readJson(at(folder, 'a')), spec: { algorithm: 'ec', curve: 'P-384' } }),
      'ERR_KEY_SECRET_REFUSED',
    ],
    [
      'the sealed part',
      (folder: string) => {
        const { nonce, sealed } = readJson(at(folder, 'b'))
        writeJson(at(folder, 'a'), { ...readJson(at(folder, 'a')), nonce, sealed })
      },
      'ERR_KEY_SECRET_REFUSED',
    ],
    [
      'the sealed part for nothing',
      (folder: string) => writeJson(at(folder, 'a'), { ...readJson(at(folder, 'a')), sealed: '' }),
      'ERR_KEY_SECRET_REFUSED',
    ],
    ['the file of another folder', (folder: string) => writeJson(at(folder, 'a'), readJson(at(other, 'a'))), 'ERR_KEY_SECRET_REFUSED'],
    [
      'the storage of another folder',
      (folder: string) => writeJson(join(folder, 'storage.json'), readJson(join(other, 'storage.json'))),
      'ERR_KEY_SECRET_REFUSED',
    ],
  ] as const) {
    await t.test(name, async (t) => {
      const folder = newFolder(t)
      const first = await fileVault(folder, { secret })
      await first.store('a', ecKey)
      await first.store('b', otherKey)
      change(folder)
      const before = contentsOf(folder)
      const vault = await fileVault(folder, { secret })
      await t.rejects(vault.load('a'), { code, message: new RegExp(keyFileOf('a')) })
      t.same(contentsOf(folder), before)
    })
  }
  await t.test('a public key that its maker sealed to another’s private key', async (t) => {
    const folder = newFolder(t)
    const vault = await fileVault(folder, { secret })
    await vault.store('a', ecKey)
    const master = unseal(secretKeyOf(Buffer.from(secret.key)), readJson(join(folder, 'storage.json')) as Sealed) as Buffer
    const { nonce, sealed, ...header } = readJson(at(folder, 'a'))
    const pkcs8 = otherKey.export({ format: 'der', type: 'pkcs8' })
    writeJson(at(folder, 'a'), seal(secretKeyOf(master), pkcs8, header))
    await t.rejects(vault.load('a'), { code: 'ERR_KEY_SECRET_REFUSED' })
  })
})

await t.test('a file that is torn, foreign or of another version is ERR_STATE_INVALID, named and left alone', async (t) => {
  const rows = [
    ['empty', () => '', /unexpected content/],
    ['torn', (text: string) => text.slice(0, -5), /unexpected content/],
    ['not UTF-8', () => Buffer.from([0xff, 0xfe]), /unexpected content/],
    ['foreign', () => '{"name":"hidden"}', /unexpected content at "kind"/],
    ['of a later version', (text: string) => text.replace('"version":1', '"version":2'), /it has version 2, expected 1/],
    ['with a member more', (text: string) => text.replace('{', '{"password":"hidden",'), /unexpected content at ""/],
    ['in another spelling', (text: string) => text.replace(':', ': '), /written by something else/],
    ['with a member twice', (text: string) => text.replace('{', '{"version":1,'), /written by something else/],
    ['with a nonce of 11 octets', (text: string) => text.replace(/"nonce":"..../, '"nonce":"'), /"nonce"/],
    ['with base64 that has another spelling', (text: string) => text.replace(/"nonce":"/, '"nonce":" '), /"nonce"/],
  ] as const
  for (const [name, change, message] of rows) {
    await t.test(name, async (t) => {
      const folder = newFolder(t)
      const vault = await fileVault(folder, { secret })
      await vault.store('k', ecKey)
      for (const [file, act] of [
        [keyFileOf('k'), () => vault.load('k')],
        [keyFileOf('k'), () => storedKeys(folder)],
        ['storage.json', () => fileVault(folder, { secret })],
      ] as const) {
        const path = join(folder, file)
        const original = readFileSync(path, 'utf8')
        writeFileSync(path, change(original))
        const before = contentsOf(folder)
        const error = await act().catch((error) => error)
        t.match(error, { code: 'ERR_STATE_INVALID', message })
        t.ok(error.message.includes(path))
        t.notMatch(error.message, /hidden/)
        t.same(contentsOf(folder), before)
        writeFileSync(path, original)
      }
    })
  }
  await t.test('storage.json that is gone is not made again while there are keys', async (t) => {
    const folder = newFolder(t)
    await (await fileVault(folder, { secret })).store('k', ecKey)
    renameSync(join(folder, 'storage.json'), join(folder, '..', 'elsewhere'))
    const before = contentsOf(folder)
    await t.rejects(fileVault(folder, { secret }), { code: 'ERR_STATE_INVALID', message: /storage\.json.*is gone, and keys are there/ })
    t.same(contentsOf(folder), before)
  })
})

await t.test('without the secret', async (t) => {
  await t.test('keys are told', async (t) => {
    const folder = newFolder(t)
    const vault = await fileVault(folder, { secret })
    await vault.store('k', ecKey)
    const file = join(folder, keyFileOf('k'))
    t.same(await storedKeys(folder), [{ label: 'k', spec: ec, publicKey: new Uint8Array(spkiOf(ecKey)), file }])
  })
  await t.test('one is removed, and one that is not there too', async (t) => {
    const folder = newFolder(t)
    const vault = await fileVault(folder, { secret })
    await vault.store('a', ecKey)
    await vault.store('b', otherKey)
    for (const label of ['a', 'a', '../storage.json', 'storage.json', '']) await removeStoredKey(folder, label)
    t.same(await vault.list(), ['b'])
    t.equal(await vault.load('a'), undefined)
    t.same(readdirSync(folder).sort(), [keyFileOf('b'), 'storage.json'].sort())
  })
  await t.test('one whose file nobody can read any more is removed by its label', async (t) => {
    const folder = newFolder(t)
    await (await fileVault(folder, { secret })).store('a', ecKey)
    writeFileSync(join(folder, keyFileOf('a')), 'torn')
    await removeStoredKey(folder, 'a')
    t.same(await storedKeys(folder), [])
  })
  await t.test('a folder that is not there holds none, and is not made', async (t) => {
    const folder = newFolder(t)
    t.same(await storedKeys(folder), [])
    await removeStoredKey(folder, 'a')
    t.notOk(existsSync(folder))
  })
})

await t.test('a vault is cleared of what is its own, torn or not, and of nothing else', async (t) => {
  const folder = newFolder(t)
  await clearVault(folder)
  t.notOk(existsSync(folder))
  await (await fileVault(folder, { secret })).store('k', ecKey)
  for (const name of [keyFileOf('torn'), `${keyFileOf('k')}.tmp`, 'notes.tmp']) writeFileSync(join(folder, name), 'torn')
  await clearVault(folder)
  t.same(readdirSync(folder), ['notes.tmp'])
  t.same(await (await fileVault(folder, { secret: { key: randomBytes(32) } })).list(), [])
})

await t.test('files of others are passed over', async (t) => {
  const folder = newFolder(t)
  mkdirSync(join(folder, 'sub'), { recursive: true })
  const names = ['README', 'x.key', `${'A'.repeat(64)}.key`, `${keyFileOf('k')}.bak`, 'notes.tmp', '.hidden']
  for (const name of names) writeFileSync(join(folder, name), 'mine')
  const keys = await fileKeys(folder, { secret })
  await keys.generate(ec, 'k')
  t.same(await (await fileKeys(folder, { secret })).list(), ['k'])
  await keys.destroy('k')
  for (const name of names) t.equal(readFileSync(join(folder, name), 'utf8'), 'mine', name)
  t.same(readdirSync(folder).sort(), [...names, 'storage.json', 'sub'].sort())
})

await t.test('the folder and its files are their owner’s alone', async (t) => {
  const folder = newFolder(t)
  const vault = await fileVault(folder, { secret })
  writeFileSync(join(folder, `${keyFileOf('k')}.tmp`), 'half a key')
  chmodSync(join(folder, `${keyFileOf('k')}.tmp`), 0o644)
  await vault.store('k', ecKey)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.same(readdirSync(folder).sort(), [keyFileOf('k'), 'storage.json'].sort())
  for (const name of readdirSync(folder)) t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
})

await t.test('a disk that refuses is ERR_STATE_IO', async (t) => {
  const folder = t.testdir({ file: 'a file' })
  await t.rejects(fileVault(join(folder, 'none', 'keys'), { secret }), { code: 'ERR_STATE_IO', message: /ENOENT/ }, 'no folder to be in')
  await t.rejects(fileVault(join(folder, 'file'), { secret }), { code: 'ERR_STATE_IO', message: /ENOTDIR/ }, 'a file for a folder')
  await t.rejects(storedKeys(join(folder, 'file')), { code: 'ERR_STATE_IO', message: /ENOTDIR/ })
  const vault = await fileVault(join(folder, 'keys'), { secret })
  mkdirSync(join(folder, 'keys', keyFileOf('k')))
  await t.rejects(vault.load('k'), { code: 'ERR_STATE_IO', message: /EISDIR/ })
  await t.rejects(vault.store('k', ecKey), { code: 'ERR_STATE_IO' })
  await t.rejects(vault.remove('k'), { code: 'ERR_STATE_IO' })
})

await t.test('of many that store under one label, one does; a key that cannot be kept leaves nothing', async (t) => {
  const folder = newFolder(t)
  const vault = await fileVault(folder, { secret })
  const keys = Array.from({ length: 8 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  const stored = await Promise.allSettled(keys.map((key) => vault.store('k', key)))
  t.same(
    stored.map(({ status }) => status),
    keys.map((_, i) => (i === 0 ? 'fulfilled' : 'rejected')),
  )
  for (const result of stored.slice(1)) t.match(result, { reason: { code: 'ERR_KEY_EXISTS' } })
  t.same((await vault.load('k'))?.export({ format: 'jwk' }), keys[0]?.export({ format: 'jwk' }))
  await Promise.all([vault.remove('k'), vault.store('k', ecKey), vault.remove('k'), vault.store('k', otherKey)])
  t.same(spkiOf((await vault.load('k')) as KeyObject), spkiOf(otherKey))
  await t.rejects(vault.store('e', generateKeyPairSync('ed25519').privateKey), { code: 'ERR_UNSUPPORTED' })
  await t.rejects(vault.store('a\n', ecKey), { code: 'ERR_UNSUPPORTED' })
  t.same(await vault.list(), ['k'])
})
