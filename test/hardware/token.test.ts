import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import type { Cryptoki, Handle } from '#agent-core/keys/pkcs11/cryptoki.ts'
import { run } from '../tooling/process.ts'
import { CKO, openDirect } from './direct.ts'
import { emptyKeys, isTpm, noToken, openKeys, rsa2048 } from './token.ts'

t.test('the event loop goes on while a key is made', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('loop')
  let isMade = false
  let turns = 0
  const made = keys.generate({ algorithm: 'rsa', bits: 3072 }, 'slow').finally(() => {
    isMade = true
  })
  for (; !isMade; turns++) await new Promise(setImmediate)
  await made
  t.ok(turns > 1000, `${turns} turns`)
  await keys.destroy('slow')
  await keys.close()
})

t.test('keys of others are not seen, and stay', { skip: noToken }, async (t) => {
  const [mine, yours] = [await emptyKeys('mine'), await emptyKeys('yours')]
  await yours.generate(rsa2048, 'k1')
  t.strictSame(await mine.list(), [])
  t.equal(await mine.open('k1'), undefined)
  await mine.destroy('k1')
  const key = await mine.generate(rsa2048, 'k1')
  t.notSame(key.publicKey, (await yours.open('k1'))?.publicKey)
  await mine.close()
  t.strictSame(await yours.list(), ['k1'], 'the token stays open to the other')
  await yours.close()
})

t.test('a key that went away behind our back is made again, and nothing is left of it', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('lost')
  for (const kind of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) {
    const key = await keys.generate(rsa2048, 'k1')
    const before = await openDirect()
    for (const object of before.find(kind, 'lost/k1')) before.cryptoki.C_DestroyObject(before.session, object)
    before.close()
    t.equal(await keys.open('k1'), undefined)
    if (kind === CKO.PRIVATE_KEY) await t.rejects(key.sign(Buffer.of(1), 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' })
    t.strictSame(await keys.list(), ['k1'], 'what is left is told')
    const again = await keys.generate(rsa2048, 'k1')
    t.notSame(again.publicKey, key.publicKey)
    const after = await openDirect()
    for (const each of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) t.equal(after.find(each, 'lost/k1').length, 1, 'no orphan')
    after.close()
    await t.rejects(key.sign(Buffer.of(1), 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' }, 'the old handle is not taken for the new key')
    await keys.destroy('k1')
  }
  await keys.close()
})

t.test('more keys in use than a TPM, or its resource manager, has room for', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('many')
  const spec = { algorithm: 'ec', curve: 'P-256' } as const
  const made = []
  for (let i = 0; i < 30; i++) made.push(await keys.generate(spec, `k${i}`))
  for (const round of [1, 2]) {
    const signatures = await Promise.all(made.map((key) => key.sign(Buffer.of(round), 'sha256')))
    t.equal(signatures.length, 30)
  }
  for (const { label } of made) await keys.destroy(label)
  t.strictSame(await keys.list(), [])
  await keys.close()
})

t.test('a session that went away is made again', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('session')
  const key = await keys.generate(rsa2048, 'k1')
  const direct = await openDirect()
  const cryptoki = direct.cryptoki as Cryptoki & { C_CloseAllSessions(slot: Handle): void }
  for (const slot of cryptoki.C_GetSlotList(true)) cryptoki.C_CloseAllSessions(slot)
  const signature = await key.sign(Buffer.of(1), 'sha256')
  t.equal(signature.length, 256)
  t.strictSame(await keys.list(), ['k1'])
  await keys.close()
})

t.test('a wrong PIN is tried once', { skip: noToken }, async (t) => {
  const before = await lockoutCounter()
  await t.rejects(openKeys({ pin: '9999' }), { code: 'ERR_KEY_SECRET_REFUSED', message: /C_Login returned CKR_PIN_INCORRECT/ })
  if (isTpm) t.equal((await lockoutCounter()) - before, 1)
  const keys = await openKeys()
  t.equal((await keys.readiness({ spec: rsa2048, hash: 'sha256', multiFactor: false })).state, 'ready')

  await t.test('and not at all where the right one is known', async (t) => {
    await t.rejects(openKeys({ pin: '9999' }), { code: 'ERR_KEY_SECRET_REFUSED', message: /open with another PIN/ })
    if (isTpm) t.equal((await lockoutCounter()) - before, 1)
  })
  await keys.close()
})

t.test('a TPM in lockout', { skip: noToken || !isTpm }, async (t) => {
  const lockout = (...args: string[]) => run('tpm2_dictionarylockout', args)
  t.match(await lockout('--clear-lockout'), { exitCode: 0 })
  const keys = await emptyKeys('lockout')
  const key = await keys.generate(rsa2048, 'k1')
  t.match(await lockout('--setup-parameters', '--max-tries=1', '--recovery-time=3600', '--lockout-recovery-time=3600'), { exitCode: 0 })
  await keys.close()
  await t.rejects(openKeys({ pin: '9999' }), { code: 'ERR_KEY_SECRET_REFUSED' })
  await t.rejects(openKeys(), { code: 'ERR_KEY_STORAGE_LOCKED_OUT', message: /CKR_PIN_LOCKED/ })
  t.match(await lockout('--setup-parameters', '--max-tries=32', '--recovery-time=10', '--lockout-recovery-time=10'), { exitCode: 0 })
  t.match(await lockout('--clear-lockout'), { exitCode: 0 })
  const after = await openKeys({ namespace: 'lockout' })
  t.strictSame((await after.open('k1'))?.publicKey, key.publicKey)
  await after.close()
})

t.test('no such token', { skip: noToken }, async (t) => {
  const failed = { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: 'there is no PKCS#11 token "nobody"' }
  await t.rejects(openKeys({ token: 'nobody' }), failed)
})

t.test('a program ends by itself, whether it closes the provider or not, and not before its key is made', { skip: noToken }, async (t) => {
  const program = fileURLToPath(new URL(`./one-key${import.meta.url.slice(-3)}`, import.meta.url))
  for (const way of ['closes', 'forgets']) {
    const ended = await promisify(execFile)(process.execPath, [...process.execArgv, program, way], { timeout: 60_000 })
    t.match(ended.stdout, 'made', way)
  }
})

/** How many wrong authorizations the TPM has counted. */
async function lockoutCounter(): Promise<number> {
  const { output } = await run('tpm2_getcap', ['properties-variable'])
  return Number(/TPM2_PT_LOCKOUT_COUNTER: (\w+)/.exec(output)?.[1] ?? 0)
}
