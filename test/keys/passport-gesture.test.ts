import { constants, publicEncrypt } from 'node:crypto'
import t from 'tap'
import { lockoutsMs } from '#agent-core/keys/passport/facts.ts'
import type { GestureAnswer } from '#agent-core/keys/passport/passport.ts'
import { type Act, alice, codeOf, pin, provisioned, rsa2048, type User, wish, wrong } from './passport-user.ts'

const data = Buffer.from('to be signed')
const another = 'another PIN'

t.test('windows.passport.gesture: who is asked, for what, and when', async (t) => {
  const { passport, prompts } = await provisioned({ promptText: 'For the VPN' })
  const key = await passport.generate(rsa2048, 'k1')
  const prompt = { user: 'alice', containerName: 'ngc-7', text: 'For the VPN', triesLeft: 4 }
  t.same(prompts, [{ ...prompt, purpose: 'create-key' }], 'a key is made')
  await key.sign(data, 'sha256')
  await passport.list()
  await passport.open('k1')
  t.equal(prompts.length, 1, 'the container stays open, and looking needs no gesture')
  passport.lock()
  await passport.list()
  const opened = await passport.open('k1')
  await passport.readiness(wish)
  t.equal(prompts.length, 1, 'nor does it when it is closed')
  await opened?.sign(data, 'sha256')
  t.same(prompts.slice(1), [{ ...prompt, purpose: 'use-key' }], 'its use does')
  await key.sign(data, 'sha256')
  t.equal(prompts.length, 2, 'once')
  await passport.generate(rsa2048, 'k2')
  t.same(prompts.slice(2), [{ ...prompt, purpose: 'create-key' }], 'each new key asks')
  passport.lock()
  await passport.destroy('k2')
  await t.rejects(key.sign(data, 'sha384'), { code: 'ERR_UNSUPPORTED' })
  t.equal(prompts.length, 3, 'destroying asks nothing, nor does what cannot be')
  await t.rejects(passport.generate(rsa2048, 'k1'), { code: 'ERR_KEY_EXISTS' })
  t.equal(prompts.length, 3, 'nor a label that is taken')
  const wrapped = publicEncrypt({ ...spki(key.publicKey), padding: constants.RSA_PKCS1_PADDING }, data)
  t.same(await key.unwrapKey?.(wrapped, { padding: 'pkcs1', lengthBytes: data.length }), data)
  t.equal(prompts.length, 4, 'unwrapping is a use')
})

t.test('a prompt without a text has none', async (t) => {
  const { passport, prompts } = await provisioned()
  await passport.generate(rsa2048, 'k1')
  t.notOk('text' in (prompts[0] as object))
})

t.test('one gesture serves who comes at once', async (t) => {
  const { passport, prompts, next } = await provisioned()
  const key = await passport.generate(rsa2048, 'k1')
  passport.lock()
  let open = 0
  let most = 0
  const slowly: Act = async () => {
    most = Math.max(most, ++open)
    await new Promise(setImmediate)
    open--
    return { pin }
  }
  next.push(slowly)
  const made = await Promise.all([key.sign(data, 'sha256'), passport.generate(rsa2048, 'k2'), key.sign(data, 'sha256')])
  t.equal(made.length, 3)
  t.equal(most, 1, 'never two prompts at once')
  t.equal(prompts.length, 2, 'one, for all three')
  passport.lock()
  next.push(wrong)
  const codes = await Promise.all([1, 2, 3].map(() => codeOf(key.sign(data, 'sha256'))))
  t.same(codes, Array(3).fill('ERR_USER_ACTION_REQUIRED'), 'a wrong PIN is wrong for all of them')
  t.equal(prompts.length, 3)
  await key.sign(data, 'sha256')
  t.equal(prompts.at(-1)?.triesLeft, 3, 'and costs one try')
})

t.test('locking while the prompt is shown', async (t) => {
  const { passport, prompts, next } = await provisioned()
  next.push(async () => {
    passport.lock()
    return { pin }
  })
  const key = await passport.generate(rsa2048, 'k1')
  next.push(async () => {
    passport.lock()
    return { pin }
  })
  await key.sign(data, 'sha256')
  t.equal(prompts.length, 2, 'serves the one it was shown for')
  await key.sign(data, 'sha256')
  t.equal(prompts.length, 3, 'alone')
})

t.test('a prompt that nobody answers', async (t) => {
  for (const [name, options, limitMs] of [
    ['by default', {}, 120_000],
    ['by option', { gestureTimeoutMs: 5000 }, 5000],
  ] as const) {
    await t.test(`counts as cancelled, ${name}`, async (t) => {
      const { passport, clock, next } = await provisioned(options)
      let signal: AbortSignal | undefined
      next.push((_prompt, over) => {
        signal = over
        return new Promise<GestureAnswer>(() => undefined)
      })
      let code: string | undefined = 'waiting'
      const done = codeOf(passport.generate(rsa2048, 'k1')).then((outcome) => {
        code = outcome
      })
      await clock.advance(limitMs - 1)
      t.equal(code, 'waiting')
      t.equal(signal?.aborted, false)
      await clock.advance(1)
      await done
      t.equal(code, 'ERR_USER_ACTION_REQUIRED')
      t.equal(signal?.aborted, true, 'and the embedder may take it away')
      await t.resolves(passport.generate(rsa2048, 'k1'), 'the next one is answered')
      t.equal(clock.sleeping, 0, 'no timer is left')
    })
  }
})

t.test('an embedder that fails is heard, and is asked again', async (t) => {
  const { passport, next } = await provisioned()
  const bug = new TypeError('no window')
  next.push(async () => Promise.reject(bug))
  await t.rejects(passport.generate(rsa2048, 'k1'), bug)
  await t.resolves(passport.generate(rsa2048, 'k1'))
  const onGesture = () => {
    throw bug
  }
  await t.rejects(alice({ pin, onGesture }).passport.generate(rsa2048, 'k1'), bug, 'at once as well')
})

t.test('wrong PINs', async (t) => {
  const user = await provisioned()
  const tell: string[] = []
  for (let i = 0; i < 4; i++) tell.push(await messageOf(user, wrong))
  t.match(tell, [/3 tries left/, /2 tries left/, /1 try left/, /takes no PIN until 2026-01-01T00:01:00.000Z/])
  t.same(
    user.prompts.map(({ triesLeft }) => triesLeft),
    [4, 3, 2, 1],
  )
  await t.rejects(user.passport.generate(rsa2048, 'k1'), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
  t.equal(user.prompts.length, 4, 'nobody is asked while it is locked out')
  await user.clock.advance(59_999)
  t.equal((await user.passport.readiness(wish)).state, 'locked-out')
  await user.clock.advance(1)
  t.equal((await user.passport.readiness(wish)).state, 'ready')
  t.match(await messageOf(user, wrong), /3 tries left/)
  await t.resolves(user.passport.generate(rsa2048, 'k1'), 'the right PIN')
  t.match(await messageOf(user, wrong), /3 tries left/, 'counts afresh after it')
})

t.test('lock-outs in a row take longer: 1, 1, 1, 2, 10, 10 minutes', async (t) => {
  const user = await provisioned()
  const minutes: number[] = []
  for (let i = 0; i < 6; i++) minutes.push((await lockOut(user)) / 60_000)
  t.same(minutes, [1, 1, 1, 2, 10, 10])
  t.same(lockoutsMs.length, 5)
  await user.passport.generate(rsa2048, 'k1')
  t.equal(await lockOut(user), 60_000, 'after the right PIN the row begins anew')
})

t.test('a lock-out closes an open container', async (t) => {
  const user = await provisioned()
  const key = await user.passport.generate(rsa2048, 'k1')
  for (let i = 0; i < 4; i++) await messageOf(user, wrong)
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
})

t.test('the right PIN does not get past a lock-out', async (t) => {
  const user = await provisioned()
  for (let i = 0; i < 4; i++) await messageOf(user, wrong)
  await t.rejects(user.passport.resetPin(another, pin), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
  await user.clock.advance(60_000)
  await t.resolves(user.passport.resetPin(another, pin))
})

t.test('a finger does not get past a lock-out', async (t) => {
  const user = await provisioned()
  user.next.push(async () => {
    for (let i = 0; i < 4; i++) await codeOf(user.passport.resetPin(another, 'not the PIN'))
    return { biometric: true }
  })
  await t.rejects(user.passport.generate(rsa2048, 'k1'), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
})

t.test('PINs tried at once are counted one by one', async (t) => {
  const { passport } = await provisioned()
  const codes = await Promise.all(Array.from({ length: 6 }, () => codeOf(passport.resetPin(another, 'not the PIN'))))
  t.same(codes, [...Array(3).fill('ERR_USER_ACTION_REQUIRED'), ...Array(3).fill('ERR_KEY_STORAGE_LOCKED_OUT')])
})

t.test('another PIN', async (t) => {
  await t.test('with the current one the keys stay', async (t) => {
    const { passport, next, prompts } = await provisioned()
    const key = await passport.generate(rsa2048, 'k1')
    await passport.resetPin(another, pin)
    passport.lock()
    await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_USER_ACTION_REQUIRED' }, 'the old PIN is wrong now')
    next.push({ pin: another })
    await t.resolves(key.sign(data, 'sha256'))
    t.equal(prompts.at(-1)?.triesLeft, 3)
  })
  await t.test('without it every key is destroyed', async (t) => {
    const { passport, next, prompts } = await provisioned()
    const key = await passport.generate(rsa2048, 'k1')
    await key.sign(data, 'sha256')
    await passport.resetPin(another)
    t.same(await passport.list(), [])
    t.equal(await passport.open('k1'), undefined)
    await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' })
    t.equal(prompts.length, 1, 'nobody is asked for a key that is gone')
    next.push({ pin: another }, { pin: another })
    t.ok(await (await passport.generate(rsa2048, 'k1')).sign(data, 'sha256'), 'and the container serves again')
    await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' }, 'the old handle has no part in it')
  })
  await t.test('without it a lock-out ends', async (t) => {
    const user = await provisioned()
    for (let i = 0; i < 4; i++) await messageOf(user, wrong)
    await user.passport.resetPin(another)
    t.equal((await user.passport.readiness(wish)).state, 'ready')
  })
  await t.test('while a key is made, that key is not kept', async (t) => {
    const { passport, next } = await provisioned()
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
})

t.test('another PIN is a PIN, and the current one is the current one', async (t) => {
  const { passport, prompts } = await provisioned()
  await t.rejects(passport.resetPin('12345', pin), { code: 'ERR_USER_ACTION_REQUIRED', message: /6 to 127/ })
  await t.rejects(passport.resetPin('12345'), { code: 'ERR_USER_ACTION_REQUIRED', message: /6 to 127/ })
  await t.rejects(passport.resetPin(another, 'not the PIN'), { code: 'ERR_USER_ACTION_REQUIRED', message: /3 tries left/ })
  await t.resolves(passport.generate(rsa2048, 'k1'), 'the PIN is as before')
  t.equal(prompts[0]?.triesLeft, 3)
})

/** Makes a key and says what it failed with, after `act`. */
async function messageOf({ passport, next }: User, act: Act): Promise<string> {
  next.push(act)
  return passport.generate(rsa2048, 'never').then(
    () => 'made',
    (error: Error) => error.message,
  )
}

/** How long the container takes no PIN after four wrong ones. */
async function lockOut(user: User): Promise<number> {
  for (let i = 0; i < 4; i++) await messageOf(user, wrong)
  const from = user.clock.now()
  while ((await user.passport.readiness(wish)).state === 'locked-out') await user.clock.advance(30_000)
  return user.clock.now() - from
}

function spki(publicKey: Uint8Array) {
  return { key: Buffer.from(publicKey), format: 'der', type: 'spki' } as const
}
