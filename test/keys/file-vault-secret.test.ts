import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type KeySpec, softwareKeys } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { fileVault } from '#agent-core/keys/file-vault.ts'
import { encodeDocument } from '#agent-core/keys/key-documents.ts'
import { keyFileOf, storedKeys } from '#agent-core/keys/stored-keys.ts'
import { softwareFolderBefore } from '../fakes/key-folders.ts'

const secret = { key: randomBytes(32) }
const passphrase = 'Zebra-7 crosses the ångström bridge'
const ecKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const ec: KeySpec = { algorithm: 'ec', curve: 'P-256' }

const newFolder = (t: Test): string => join(t.testdir(), 'keys')
const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8'))
const writeJson = (file: string, document: object) => writeFileSync(file, encodeDocument(document))

function contentsOf(folder: string): Map<string, Buffer> {
  const files = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(files.map((name) => [name, readFileSync(join(folder, name))]))
}

await t.test('the secret', async (t) => {
  await t.test('a passphrase opens what it closed, in either Unicode form', async (t) => {
    const folder = newFolder(t)
    await (await fileVault(folder, { secret: { passphrase: passphrase.normalize('NFC') } })).store('k', ecKey)
    const vault = await fileVault(folder, { secret: { passphrase: passphrase.normalize('NFD') } })
    t.same((await vault.load('k'))?.export({ format: 'jwk' }), ecKey.export({ format: 'jwk' }))
  })
  const message = /storage\.json cannot be opened: wrong passphrase or key, or the file was changed; it was left as it is$/
  for (const [name, right, wrong] of [
    ['another passphrase', { passphrase }, { passphrase: passphrase.toLowerCase() }],
    ['another key', secret, { key: randomBytes(32) }],
    ['a passphrase for a key', secret, { passphrase }],
    ['a key for a passphrase', { passphrase }, secret],
  ] as const) {
    await t.test(`${name} is refused at the opening, and nothing changes`, async (t) => {
      const folder = newFolder(t)
      if ('passphrase' in right) await softwareFolderBefore(folder, right.passphrase)
      await (await fileVault(folder, { secret: right })).store('k', ecKey)
      const before = contentsOf(folder)
      await t.rejects(fileVault(folder, { secret: wrong }), { code: 'ERR_KEY_SECRET_REFUSED', message })
      t.same(contentsOf(folder), before)
    })
  }
  for (const [name, bad] of [
    ['an empty passphrase', { passphrase: '' }],
    ['a key of 31 octets', { key: randomBytes(31) }],
    ['a key of 33 octets', { key: randomBytes(33) }],
  ] as const) {
    await t.test(`${name} is none, and makes no folder`, async (t) => {
      const folder = newFolder(t)
      await t.rejects(fileVault(folder, { secret: bad }), { code: 'ERR_UNSUPPORTED' })
      t.notOk(existsSync(folder))
    })
  }
})

await t.test('what storage.json says of scrypt', async (t) => {
  const folder = newFolder(t)
  await fileVault(folder, { secret: { passphrase } })
  const file = join(folder, 'storage.json')
  const written = readJson(file)
  const salt = Buffer.from(written.kdf.salt, 'base64')
  t.match(written.kdf, { name: 'scrypt', N: 2 ** 17, r: 8, p: 1 })
  t.equal(salt.length, 16)
  for (const [name, kdf, code] of [
    ['N of 2^13', { N: 2 ** 13 }, 'ERR_STATE_INVALID'],
    ['N of 2^14', { N: 2 ** 14 }, 'ERR_KEY_SECRET_REFUSED'],
    ['N that is no power of two', { N: 2 ** 14 + 1 }, 'ERR_STATE_INVALID'],
    ['N of 2^18', { N: 2 ** 18 }, 'ERR_KEY_SECRET_REFUSED'],
    ['N of 2^19', { N: 2 ** 19 }, 'ERR_STATE_INVALID'],
    ['N of 2^40', { N: 2 ** 40 }, 'ERR_STATE_INVALID'],
    ['N of 2^14 as text', { N: '16384' }, 'ERR_STATE_INVALID'],
    ['r of 7', { r: 7 }, 'ERR_STATE_INVALID'],
    ['r of 9', { r: 9 }, 'ERR_STATE_INVALID'],
    ['p of 0', { p: 0 }, 'ERR_STATE_INVALID'],
    ['p of 8', { N: 2 ** 14, p: 8 }, 'ERR_KEY_SECRET_REFUSED'],
    ['p of 9', { p: 9 }, 'ERR_STATE_INVALID'],
    ['a salt of 15 octets', { salt: salt.subarray(1).toString('base64') }, 'ERR_STATE_INVALID'],
    ['a salt of 17 octets', { salt: Buffer.of(...salt, 0).toString('base64') }, 'ERR_STATE_INVALID'],
    ['another salt', { salt: Buffer.of(...salt.subarray(0, 15), (salt[15] as number) ^ 1).toString('base64') }, 'ERR_KEY_SECRET_REFUSED'],
    ['another function', { name: 'pbkdf2' }, 'ERR_STATE_INVALID'],
  ] as const) {
    await t.test(name, async (t) => {
      writeJson(file, { ...written, kdf: { ...written.kdf, ...kdf } })
      const before = contentsOf(folder)
      await t.rejects(fileVault(folder, { secret: { passphrase } }), { code, message: /storage\.json/ })
      t.same(contentsOf(folder), before)
    })
  }
})

await t.test('no secret shows', async (t) => {
  const rsaKey = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const folder = newFolder(t)
  await softwareFolderBefore(folder, passphrase)
  const vault = await fileVault(folder, { secret: { passphrase } })
  await vault.store('rsa', rsaKey)
  await vault.store('ec', ecKey)
  const embedded = join(folder, 'embedded')
  await (await fileVault(embedded, { secret })).store('ec', ecKey)
  const provider = softwareKeys(vault)
  const handle = await provider.open('rsa')

  const errors: Error[] = []
  const failing = async (act: Promise<unknown>) =>
    errors.push(
      await act.then(
        () => t.fail('nothing failed'),
        (error) => error,
      ),
    )
  await failing(provider.generate(ec, 'rsa'))
  await failing(fileVault(folder, { secret: { passphrase: `${passphrase}!` } }))
  await failing(fileVault(embedded, { secret: { passphrase } }))
  writeFileSync(join(folder, keyFileOf('torn')), rsaKey.export({ format: 'pem', type: 'pkcs8' }))
  await failing(vault.load('torn'))
  await failing(storedKeys(folder))
  writeJson(join(folder, keyFileOf('torn')), { ...readJson(join(folder, keyFileOf('ec'))), label: 'torn' })
  await failing(vault.load('torn'))

  const { d, p, q } = rsaKey.export({ format: 'jwk' })
  const octets = [
    ...[d, p, q, ecKey.export({ format: 'jwk' }).d].map((number) => Buffer.from(String(number), 'base64url')),
    ...[rsaKey, ecKey].map((key) => key.export({ format: 'der', type: 'pkcs8' })),
    secret.key,
    Buffer.from(passphrase),
  ]
  const options = { showHidden: true, depth: 10, maxArrayLength: null, maxStringLength: null }
  const places: [string, Buffer][] = [
    ...contentsOf(embedded),
    ...contentsOf(folder),
    ['the provider', Buffer.from(inspect(provider, options))],
    ['the vault', Buffer.from(inspect(vault, options))],
    ['the handle', Buffer.from(inspect(handle, options))],
    ...errors.map((error): [string, Buffer] => [error.message, Buffer.from(inspect(error, options))]),
  ]
  for (const [place, shown] of places) {
    const decoded = [...shown.toString().matchAll(/[\w+/=-]{16,}/g)].map(([text]) => Buffer.from(text, 'base64'))
    for (const hidden of octets) {
      const spellings = [hidden, ...(['hex', 'base64', 'base64url'] as const).map((encoding) => Buffer.from(hidden.toString(encoding)))]
      const found = [shown, ...decoded].some((bytes) => spellings.some((spelling) => bytes.includes(spelling)))
      if (found) t.fail(`${place} shows a secret of ${hidden.length} octets`)
    }
  }
  t.equal(places.length, 2 + 4 + 3 + errors.length)
})
