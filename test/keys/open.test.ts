import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type KeyHandle, systemClock } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { type KeyStorageOptions, openKeyStorage, type SecretNeed } from '#agent-core/keys/open.ts'
import { keysBefore } from '../fakes/key-folders.ts'

const kinds = ['software', 'tpm', 'passport'] as const
const spec = { algorithm: 'rsa', bits: 2048 } as const
const pin = 'pin-4711'

function optionsOf(overrides: Partial<KeyStorageOptions>): KeyStorageOptions & { asked: SecretNeed[] } {
  const asked: SecretNeed[] = []
  return {
    clock: systemClock,
    secret: async (need) => {
      asked.push(need)
      return pin
    },
    asked,
    ...overrides,
  }
}

t.test('a folder keeps the keys of each kind apart, for the next process', async (t) => {
  const folder = t.testdir()
  for (const kind of kinds) {
    await keysBefore(folder, kind, pin)
    const first = await openKeyStorage({ kind }, optionsOf({ folder }))
    t.equal(first.protection, kind)
    const key = await first.generate(spec, 'k1')
    await signs(t, key)
    await first.close()

    const second = await openKeyStorage({ kind }, optionsOf({ folder }))
    const again = (await second.open('k1')) as KeyHandle
    t.same(again.publicKey, key.publicKey, kind)
    await signs(t, again)
    await t.rejects(openKeyStorage({ kind }, optionsOf({ folder })), { code: 'ERR_STATE_BUSY' }, `${kind}: one at a time`)
    await second.close()
    await second.close()
  }
  t.strictSame(readdirSync(join(folder, 'keys')).sort(), [...kinds].sort(), 'and nothing else is left')
})

t.test('a secret is asked for where there is need of one', async (t) => {
  const folder = t.testdir()
  const rows: [string, (typeof kinds)[number], string | undefined, SecretNeed[]][] = [
    [
      'a new folder of software keys',
      'software',
      folder,
      [{ kind: 'passphrase', of: `keys in ${join(folder, 'keys', 'software')}`, isNew: true }],
    ],
    ['the same again', 'software', folder, [{ kind: 'passphrase', of: `keys in ${join(folder, 'keys', 'software')}`, isNew: false }]],
    ['software in memory', 'software', undefined, []],
    ['the TPM', 'tpm', folder, []],
    ['the TPM in memory', 'tpm', undefined, []],
    ['a new Passport', 'passport', folder, [{ kind: 'pin', of: 'Passport container of ada', isNew: true }]],
    ['the same Passport: its gesture', 'passport', folder, [{ kind: 'pin', of: 'Passport container of ada', isNew: false }]],
    ['a Passport in memory', 'passport', undefined, [{ kind: 'pin', of: 'Passport container of ada', isNew: true }]],
  ]
  for (const [index, [name, kind, place, needs]] of rows.entries()) {
    const options = optionsOf({ owner: 'ada', ...(place !== undefined && { folder: place }) })
    const storage = await openKeyStorage({ kind }, options)
    await signs(t, await storage.generate(spec, `k${index}`))
    await storage.close()
    t.strictSame(
      options.asked.map(({ signal: _, ...need }) => need),
      needs,
      name,
    )
  }
  for (const kind of kinds) t.equal(statSync(join(folder, 'keys', kind)).mode & 0o777, 0o700, kind)
})

t.test('what goes wrong leaves the folder free', async (t) => {
  const folder = t.testdir()
  const { secret: _, ...without } = optionsOf({ folder })
  await keysBefore(folder, 'software', pin)
  const kept = await openKeyStorage({ kind: 'software' }, optionsOf({ folder }))
  await kept.close()
  const rows: [string, () => Promise<unknown>, string][] = [
    ['no passphrase', () => openKeyStorage({ kind: 'software' }, without), 'ERR_KEY_SECRET_REFUSED'],
    [
      'another passphrase',
      () => openKeyStorage({ kind: 'software' }, optionsOf({ folder, secret: async () => 'other' })),
      'ERR_KEY_SECRET_REFUSED',
    ],
    ['no PIN', () => openKeyStorage({ kind: 'passport' }, without), 'ERR_KEY_SECRET_REFUSED'],
    [
      'a PIN too short',
      () => openKeyStorage({ kind: 'passport' }, optionsOf({ folder, secret: async () => '4711' })),
      'ERR_USER_ACTION_REQUIRED',
    ],
    ['no PIN for a token', () => openKeyStorage(token, without), 'ERR_KEY_SECRET_REFUSED'],
    ['no library', () => openKeyStorage(token, optionsOf({})), 'ERR_KEY_STORAGE_UNAVAILABLE'],
    ['no folder', () => openKeyStorage({ kind: 'tpm' }, optionsOf({ folder: join(folder, 'none') })), 'ERR_STATE_IO'],
  ]
  for (const [name, open, code] of rows) await t.rejects(open, { name: 'AgentError', code }, name)
  for (const kind of kinds) await (await openKeyStorage({ kind }, optionsOf({ folder }))).close()
})

t.test("an embedder's own gesture is asked in place of the PIN", async (t) => {
  const purposes: string[] = []
  const options = optionsOf({
    onGesture: async ({ purpose }) => {
      purposes.push(purpose)
      return purposes.length === 1 ? { pin } : 'cancelled'
    },
  })
  const storage = await openKeyStorage({ kind: 'passport' }, options)
  await storage.generate(spec, 'k1')
  await t.rejects(storage.generate(spec, 'k2'), { code: 'ERR_USER_ACTION_REQUIRED' })
  t.strictSame(purposes, ['create-key', 'create-key'])
  t.equal(options.asked.length, 1, 'the secret is for the first PIN alone')
})

const token = { kind: 'pkcs11', module: '/no/such/library.so', token: 'dev0', protection: 'pkcs11' } as const

async function signs(t: Test, key: KeyHandle): Promise<void> {
  t.equal((await key.sign(Buffer.from('data'), 'sha256')).length, 256, `${key.protection} signs`)
}
