import { readdirSync } from 'node:fs'
import t from 'tap'
import type { KeyHandle } from '#agent-core/ports.ts'
import { type Disk, systemDisk } from '#agent-core/state/disk.ts'
import { codeOf, pin, provisioned, provisionedBefore, rsa2048, wish, wrong } from './passport-user.ts'

const data = Buffer.from('to be signed')
const another = 'another PIN'

t.test('after a restart', async (t) => {
  const user = await provisionedBefore(t.testdir())
  const { publicKey } = await user.passport.generate(rsa2048, 'k1')
  const restarted = user.restart()
  t.same(await restarted.list(), ['k1'])
  const key = (await restarted.open('k1')) as KeyHandle
  t.same(Buffer.from(key.publicKey), Buffer.from(publicKey))
  t.equal(user.prompts.length, 1, 'looking asked nothing')
  user.next.push({ biometric: true })
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_USER_ACTION_REQUIRED', message: /enter the PIN once after a restart/ })
  await t.resolves(key.sign(data, 'sha256'), 'the PIN opens it')
  t.equal(user.prompts.at(-1)?.triesLeft, 4, 'the finger cost no try')
  restarted.lock()
  user.next.push({ biometric: true })
  await t.resolves(key.sign(data, 'sha256'), 'from then on a finger does')
  await restarted.destroy('k1')
  t.same(await user.restart().list(), [])
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' })
})

t.test('a restart gives no try back', async (t) => {
  const user = await provisionedBefore(t.testdir())
  user.next.push(wrong, wrong, wrong, wrong)
  for (let i = 0; i < 3; i++) await codeOf(user.passport.generate(rsa2048, 'k1'))
  await t.rejects(user.restart().generate(rsa2048, 'k1'), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
  t.equal(user.prompts.at(-1)?.triesLeft, 1)
  t.equal((await user.restart().readiness(wish)).state, 'locked-out')
})

t.test('who ends the process while the PIN is checked wins no try', async (t) => {
  let writesLeft = Number.POSITIVE_INFINITY
  const disk: Disk = {
    ...systemDisk,
    write: (path, bytes) =>
      writesLeft-- > 0 ? systemDisk.write(path, bytes) : Promise.reject(Object.assign(new Error('cut'), { code: 'EIO' })),
  }
  const user = await provisionedBefore(t.testdir(), { disk })
  writesLeft = 1
  await t.rejects(user.passport.generate(rsa2048, 'k1'), { code: 'ERR_STATE_IO' })
  writesLeft = Number.POSITIVE_INFINITY
  await user.restart().generate(rsa2048, 'k1')
  t.equal(user.prompts.at(-1)?.triesLeft, 3)
})

t.test('another PIN with the current one: the keys stay, over a restart too', async (t) => {
  const user = await provisionedBefore(t.testdir())
  await user.passport.generate(rsa2048, 'k1')
  await user.passport.resetPin(another, pin)
  const key = (await user.restart().open('k1')) as KeyHandle
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_USER_ACTION_REQUIRED', message: /wrong PIN/ })
  user.next.push({ pin: another })
  await t.resolves(key.sign(data, 'sha256'))
})

t.test('another PIN without it: nothing is left, and the folder serves again', async (t) => {
  const folder = t.testdir()
  const user = await provisionedBefore(folder)
  const key = await user.passport.generate(rsa2048, 'k1')
  const restarted = user.restart()
  await restarted.resetPin(another)
  t.same(readdirSync(folder), ['container.json'])
  t.same(await restarted.list(), [])
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' })
  user.next.push({ pin: another })
  t.ok(await (await restarted.generate(rsa2048, 'k1')).sign(data, 'sha256'))
})

t.test('another PIN while a key is made: that key is not kept, and the folder serves again', async (t) => {
  const { passport, next } = await provisionedBefore(t.testdir())
  let reset: Promise<void> | undefined
  next.push(async () => {
    setImmediate(() => {
      reset = passport.resetPin(another)
    })
    return { pin }
  })
  t.equal(await codeOf(passport.generate(rsa2048, 'k1')), 'ERR_KEY_UNAVAILABLE')
  await reset
  t.same(await passport.list(), [])
  next.push({ pin: another })
  await t.resolves(passport.generate(rsa2048, 'k1'))
})

t.test('a crash anywhere in a reset leaves a container that one of the PINs opens', async (t) => {
  let stepsLeft = Number.POSITIVE_INFINITY
  const step = async (): Promise<void> => {
    if (stepsLeft-- <= 0) throw Object.assign(new Error('cut'), { code: 'EIO' })
  }
  const disk: Disk = {
    ...systemDisk,
    write: (path, bytes) => step().then(() => systemDisk.write(path, bytes)),
    rename: (from, to) => step().then(() => systemDisk.rename(from, to)),
    remove: (path) => step().then(() => systemDisk.remove(path)),
  }
  const opened: string[] = []
  const folder = t.testdir()
  for (let steps = 0; opened.at(-1) !== 'done'; steps++) {
    const user = await provisionedBefore(`${folder}/${steps}`, { disk })
    await user.passport.generate(rsa2048, 'k1')
    stepsLeft = steps
    const code = await codeOf(user.passport.resetPin(another))
    stepsLeft = Number.POSITIVE_INFINITY
    const restarted = user.restart()
    user.next.push({ pin: code === undefined ? another : pin })
    t.equal(await codeOf(restarted.generate(rsa2048, 'k2')), undefined, `${steps} steps, ${code}`)
    for (const label of await restarted.list()) t.ok(await (await restarted.open(label))?.sign(data, 'sha256'), label)
    opened.push(code ?? 'done')
  }
  t.same([...new Set(opened)], ['ERR_STATE_IO', 'done'])
})

t.test('a vault that the disk refuses costs no try, and is made with the next gesture', async (t) => {
  let isFull = true
  const disk: Disk = {
    ...systemDisk,
    write: (path, bytes) =>
      isFull && path.includes('storage.json')
        ? Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }))
        : systemDisk.write(path, bytes),
  }
  const { passport, prompts } = await provisionedBefore(t.testdir(), { disk })
  await t.rejects(passport.generate(rsa2048, 'k1'), { code: 'ERR_STATE_IO' })
  isFull = false
  await t.resolves(passport.generate(rsa2048, 'k1'))
  t.equal(prompts.at(-1)?.triesLeft, 4, 'the right PIN cost no try')
})

t.test('a folder', async (t) => {
  await t.test('is made with the PIN, and holds no key but by label', async (t) => {
    const folder = `${t.testdir()}/passport`
    const { passport } = await provisioned({ folder })
    await passport.generate(rsa2048, 'k1')
    t.match(readdirSync(folder).sort(), [/^[0-9a-f]{64}\.key$/, 'container.json', 'storage.json'])
  })
  const foreign: [string, object][] = [
    ['another user', { user: 'bob' }],
    ['another container', { containerName: 'ngc-8' }],
  ]
  for (const [name, options] of foreign) {
    await t.test(`of ${name}`, async (t) => {
      const folder = t.testdir()
      await provisionedBefore(folder)
      await t.rejects(provisioned({ folder, ...options }), { code: 'ERR_STATE_INVALID', message: /another user or container/ })
    })
  }
  await t.test('whose record locks it out for ever', async (t) => {
    const counts = { hasPayload: false, hasMultiFactor: false, wrongPins: 0, lockouts: 0, lockedUntil: 1e300 }
    const record = { kind: 'certfleet-passport-container', version: 1, user: 'alice', containerName: 'ngc-7', ...counts }
    const folder = t.testdir({ 'container.json': `${JSON.stringify(record)}\n` })
    await t.rejects(provisioned({ folder }), { code: 'ERR_STATE_INVALID', message: /lockedUntil/ })
  })
  await t.test('whose record is torn', async (t) => {
    const folder = t.testdir({ 'container.json': '{"kind":"certfleet-pass' })
    await t.rejects(provisioned({ folder }), { code: 'ERR_STATE_INVALID', message: /left as it is/ })
  })
})
