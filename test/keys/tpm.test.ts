import { generateKeyPairSync, verify } from 'node:crypto'
import { AgentError, type Clock, type KeyReadiness, type KeySpec } from '@certfleet/agent-core'
import t from 'tap'
import { noLatency, swtpmLatency } from '#agent-core/keys/tpm/facts.ts'
import type { ModelledTpm, ModelledTpmOptions } from '#agent-core/keys/tpm/options.ts'
import { modelledTpm } from '#agent-core/keys/tpm/tpm.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { FakeClock } from '../fakes/clock.ts'

/** Time passes at once, and is written down. */
function quickClock(): Clock & { readonly slept: number[] } {
  let now = 1_800_000_000_000
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    async sleep(ms) {
      slept.push(ms)
      now += ms
    },
  }
}

const p256: KeySpec = { algorithm: 'ec', curve: 'P-256' }
const rsa = (bits: number): KeySpec => ({ algorithm: 'rsa', bits })
const wish = (spec: KeySpec = p256) => ({ spec, hash: 'sha256', multiFactor: false }) as const
const data = Buffer.from('data')

const tpmWith = (options: Partial<ModelledTpmOptions> = {}): ModelledTpm =>
  modelledTpm({ clock: quickClock(), latency: noLatency, ...options })

const refusedBy20: readonly KeySpec[] = [rsa(512), rsa(2040), rsa(4096)]
const refusedBy12: readonly KeySpec[] = [rsa(512), rsa(3072), p256, { algorithm: 'ec', curve: 'P-384' }]

t.test('contract, TPM 2.0 without latency', (t) => keyStorageProviderContract(t, async () => tpmWith(), { refusedSpecs: refusedBy20 }))
t.test('contract, TPM 2.0 with the pace of swtpm', (t) => keyStorageProviderContract(t, async () => tpmWith({ latency: swtpmLatency })))
t.test('contract, TPM 2.0, P-384', (t) =>
  keyStorageProviderContract(t, async () => tpmWith(), { spec: { algorithm: 'ec', curve: 'P-384' } }),
)
t.test('contract, TPM 1.2', (t) =>
  keyStorageProviderContract(t, async () => tpmWith({ version: '1.2' }), { spec: rsa(1024), refusedSpecs: refusedBy12 }),
)

t.test('which keys it makes', async (t) => {
  const makeKey = async () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  for (const [version, made] of [
    ['1.2', 'RSA-1024, RSA-2048'],
    ['2.0', 'RSA-1024, RSA-2048, RSA-3072, P-256, P-384'],
  ] as const) {
    const tpm = tpmWith({ version, makeKey })
    t.match(tpm, { name: `modelled TPM ${version}`, protection: 'tpm' })
    const message = `the modelled TPM ${version} makes no RSA-4096 keys, only ${made}`
    t.same(await tpm.readiness(wish(rsa(4096))), { state: 'unsupported', message })
    await t.rejects(tpm.generate(rsa(4096), 'k'), { code: 'ERR_UNSUPPORTED', message })
    for (const bits of [1024, 2048]) t.same(await tpm.readiness(wish(rsa(bits))), { state: 'ready' })
  }
  t.same(await tpmWith({ version: '2.0' }).readiness(wish(rsa(3072))), { state: 'ready' })
})

/** What every call answers under one condition. `undefined`: it succeeds. */
interface Condition {
  readonly enter: (tpm: ModelledTpm) => unknown
  readonly leave: (tpm: ModelledTpm, clock: FakeClock) => unknown
  readonly readiness: KeyReadiness['state']
  readonly generate: string
  readonly sign: string | undefined
  readonly list: readonly string[] | string
}

const conditions: [string, Condition][] = [
  [
    'absent: it holds no keys, and they are there again when it is',
    {
      enter: (tpm) => tpm.set({ isPresent: false }),
      leave: (tpm) => tpm.set({ isPresent: true }),
      readiness: 'absent',
      generate: 'ERR_KEY_STORAGE_UNAVAILABLE',
      sign: 'ERR_KEY_STORAGE_UNAVAILABLE',
      list: [],
    },
  ],
  [
    'busy: every command fails, once it was asked often enough',
    {
      enter: (tpm) => tpm.set({ isBusy: true }),
      leave: (tpm) => tpm.set({ isBusy: false }),
      readiness: 'busy',
      generate: 'ERR_KEY_STORAGE_BUSY',
      sign: 'ERR_KEY_STORAGE_BUSY',
      list: 'ERR_KEY_STORAGE_BUSY',
    },
  ],
  [
    'full: it makes no more keys, and uses those that it has',
    {
      enter: (tpm) => tpm.set({ slots: 1 }),
      leave: (tpm) => tpm.set({ slots: 2 }),
      readiness: 'full',
      generate: 'ERR_KEY_STORAGE_FULL',
      sign: undefined,
      list: ['kept'],
    },
  ],
  [
    'locked out: it takes no authorization until the clock has healed it',
    {
      enter: (tpm) => tpm.failAuthorization(32),
      leave: (_tpm, clock) => clock.advance(600_000),
      readiness: 'locked-out',
      generate: 'ERR_KEY_STORAGE_LOCKED_OUT',
      sign: 'ERR_KEY_STORAGE_LOCKED_OUT',
      list: ['kept'],
    },
  ],
]

/** Its moment is moved by `advance` alone; its sleeps end at once. */
class StillClock extends FakeClock {
  override async sleep(): Promise<void> {}
}

for (const [name, { enter, leave, ...expected }] of conditions) {
  t.test(name, async (t) => {
    const clock = new StillClock(1_800_000_000_000)
    const tpm = tpmWith({ clock })
    const key = await tpm.generate(p256, 'kept')
    await enter(tpm)
    const readiness = await tpm.readiness(wish())
    t.equal(readiness.state, expected.readiness)
    t.match('message' in readiness && readiness.message, /modelled TPM 2\.0/)
    await t.rejects(tpm.generate(p256, 'more'), { code: expected.generate })
    t.equal(await codeOf(key.sign(data, 'sha256')), expected.sign)
    if (typeof expected.list === 'string') await t.rejects(tpm.list(), { code: expected.list })
    else t.same(await tpm.list(), expected.list)
    await leave(tpm, clock)
    t.same(await tpm.readiness(wish()), { state: 'ready' })
    t.same(await tpm.list(), ['kept'])
    const opened = await tpm.open('kept')
    t.ok(opened && verify('sha256', data, spki(opened.publicKey), await opened.sign(data, 'sha256')), 'the key is as it was')
    t.ok(verify('sha256', data, spki(key.publicKey), await key.sign(data, 'sha256')), 'and so is its handle')
  })
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    if (error instanceof AgentError) return error.code
    throw error
  }
}

const spki = (publicKey: Uint8Array) => ({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }) as const

t.test('absent from the start: it opens, lists and destroys nothing', async (t) => {
  const tpm = tpmWith({ isPresent: false })
  t.same(await tpm.readiness(wish(rsa(4096))), { state: 'absent', message: 'the modelled TPM 2.0 is absent' })
  t.equal(await tpm.open('k'), undefined)
  t.same(await tpm.list(), [])
  await tpm.destroy('k')
  await t.rejects(tpm.generate(rsa(4096), 'k'), { code: 'ERR_KEY_STORAGE_UNAVAILABLE' })
})

t.test('there is room for seven keys; destroying one makes room for another', async (t) => {
  const tpm = tpmWith()
  for (let i = 1; i <= 7; i++) await tpm.generate(p256, `k${i}`)
  await t.rejects(tpm.generate(p256, 'k8'), {
    code: 'ERR_KEY_STORAGE_FULL',
    message: 'the modelled TPM 2.0 is full: it has no free one of 7 key slots',
  })
  await t.rejects(tpm.generate(p256, 'k7'), { code: 'ERR_KEY_EXISTS' }, 'a label that is taken is told first')
  await tpm.destroy('k3')
  await tpm.generate(p256, 'k8')
  t.same([...(await tpm.list())].sort(), ['k1', 'k2', 'k4', 'k5', 'k6', 'k7', 'k8'])
})

t.test('of two that ask for the last slot at once, one gets it', async (t) => {
  const tpm = tpmWith({ slots: 1 })
  const outcomes = await Promise.allSettled([tpm.generate(p256, 'a'), tpm.generate(p256, 'b')])
  t.match(outcomes, [{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'ERR_KEY_STORAGE_FULL' } }])
})

t.test('a key of a TPM 1.2 unwraps PKCS#1 v1.5 alone', async (t) => {
  const key = await tpmWith({ version: '1.2' }).generate(rsa(1024), 'k')
  const unwrapping = (padding: 'pkcs1' | 'oaep-sha1') => key.unwrapKey?.(new Uint8Array(128), { padding, lengthBytes: 16 })
  t.equal((await unwrapping('pkcs1'))?.length, 16)
  await t.rejects(unwrapping('oaep-sha1') as Promise<unknown>, { code: 'ERR_UNSUPPORTED' })
})

t.test('busy for a while is waited out by the clock', async (t) => {
  const clock = quickClock()
  const tpm = tpmWith({ clock, isBusy: true })
  const sleep = clock.sleep
  clock.sleep = async (ms) => {
    await sleep(ms)
    if (clock.slept.length === 7) tpm.set({ isBusy: false })
  }
  await tpm.generate(p256, 'k')
  t.same(clock.slept, [20, 40, 80, 160, 320, 640, 1280])
})

t.test('lock-out', async (t) => {
  const minute = 60_000
  const start = 1_800_000_000_000
  const rows: [string, (tpm: ModelledTpm, clock: FakeClock) => Promise<void>, KeyReadiness['state']][] = [
    ['31 failures do not lock', (tpm) => tpm.failAuthorization(31), 'ready'],
    ['32 failures lock', (tpm) => tpm.failAuthorization(32), 'locked-out'],
    ['one by one too', async (tpm) => void (await Promise.all(Array.from({ length: 32 }, () => tpm.failAuthorization()))), 'locked-out'],
    ['for ten minutes less a millisecond', failThenWait(32, 10 * minute - 1), 'locked-out'],
    ['and no longer', failThenWait(32, 10 * minute), 'ready'],
    ['after which one more locks it again', failThenWait(32, 10 * minute, 1), 'locked-out'],
    ['failures while locked out do not make it longer', failThenWait(100, 10 * minute), 'ready'],
    ['after twenty minutes there is room for one failure', failThenWait(32, 20 * minute, 1), 'ready'],
    ['but not for two', failThenWait(32, 20 * minute, 2), 'locked-out'],
    ['after 320 minutes all are forgotten', failThenWait(32, 320 * minute, 31), 'ready'],
    ['and not more than all', failThenWait(32, 10_000 * minute, 32), 'locked-out'],
    ['a failure starts the ten minutes anew', failThenWait(31, 9 * minute, 1, 9 * minute), 'locked-out'],
  ]
  for (const [name, act, expected] of rows) {
    await t.test(name, async (t) => {
      const clock = new StillClock(start)
      const tpm = tpmWith({ clock })
      await act(tpm, clock)
      t.equal((await tpm.readiness(wish())).state, expected)
    })
  }
  await t.test('it says until when', async (t) => {
    const tpm = tpmWith({ clock: new StillClock(start) })
    await tpm.failAuthorization(32)
    const message = 'the modelled TPM 2.0 is locked out until 2027-01-15T08:10:00.000Z after too many wrong authorizations'
    t.same(await tpm.readiness(wish()), { state: 'locked-out', message })
  })
  await t.test('a clock that is put back heals nothing, and makes nothing worse', async (t) => {
    for (const [failures, expected] of [
      [31, 'ready'],
      [32, 'locked-out'],
    ] as const) {
      let now = start
      const tpm = tpmWith({ clock: { now: () => now, sleep: async () => {} } })
      await tpm.failAuthorization(failures)
      now = 0
      t.equal((await tpm.readiness(wish())).state, expected, `${failures} failures`)
    }
  })
  await t.test('other limits', async (t) => {
    const clock = new StillClock(start)
    const tpm = tpmWith({ clock, lockout: { maxTries: 1, recoveryMs: 1000 } })
    await tpm.failAuthorization()
    t.equal((await tpm.readiness(wish())).state, 'locked-out')
    await clock.advance(1000)
    t.equal((await tpm.readiness(wish())).state, 'ready')
  })
})

function failThenWait(first: number, waitMs: number, second = 0, thenMs = 0) {
  return async (tpm: ModelledTpm, clock: FakeClock) => {
    await tpm.failAuthorization(first)
    await clock.advance(waitMs)
    await tpm.failAuthorization(second)
    await clock.advance(thenMs)
  }
}

t.test('while locked out, keys can be listed, opened and destroyed', async (t) => {
  const tpm = tpmWith()
  await tpm.generate(p256, 'k')
  await tpm.failAuthorization(32)
  t.equal((await tpm.open('k'))?.label, 'k')
  await tpm.destroy('k')
  t.same(await tpm.list(), [])
})

t.test('cleared: every key is gone for good, its handle of no use, and the failures forgotten', async (t) => {
  const tpm = tpmWith({ slots: 1 })
  const key = await tpm.generate(p256, 'k')
  await tpm.failAuthorization(32)
  await tpm.clear()
  t.same(await tpm.list(), [])
  t.equal(await tpm.open('k'), undefined)
  t.same(await tpm.readiness(wish()), { state: 'ready' })
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_UNAVAILABLE', message: 'the modelled TPM 2.0 holds no such key "k"' })
  const next = await tpm.generate(p256, 'k')
  t.notSame(next.publicKey, key.publicKey)
  await t.rejects(key.sign(data, 'sha256'), { code: 'ERR_KEY_UNAVAILABLE' }, 'another key under its label is not its key')
})

t.test('it works on one command at a time, each as long as the table says', async (t) => {
  const clock = new FakeClock()
  const makeKey = async () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const tpm = tpmWith({ clock, makeKey, latency: { 'P-256': { generateMs: 100, signMs: 10, unwrapMs: 0 } } })
  const done: string[] = []
  const note = (what: string) => () => void done.push(`${what} ${clock.now()}`)
  const first = tpm.generate(p256, 'a').then((key) => {
    note('a')()
    return key
  })
  const second = tpm.generate(p256, 'b').then(note('b'))
  await clock.advance(99)
  t.same(done, [])
  await clock.advance(150)
  await second
  const key = await first
  const signing = Promise.all([key.sign(data, 'sha256').then(note('one')), key.sign(data, 'sha256').then(note('two'))])
  await clock.advance(100)
  await signing
  t.same(done, ['a 100', 'b 200', 'one 259', 'two 269'])
  t.equal(clock.sleeping, 0)
})

t.test('what needs no crypto takes no time, and nothing does without latency', async (t) => {
  const clock = quickClock()
  const tpm = tpmWith({ clock })
  const key = await tpm.generate(p256, 'k')
  await key.sign(data, 'sha256')
  await modelledTpm({ clock }).list()
  t.same(clock.slept, [])
})

t.test('a command that fails keeps no other waiting, and leaves no label taken', async (t) => {
  let broken = true
  const makeKey = async () => {
    if (broken) throw new Error('no entropy')
    return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  }
  const tpm = tpmWith({ makeKey })
  await t.rejects(tpm.generate(p256, 'k'), { message: 'no entropy' })
  broken = false
  await tpm.generate(p256, 'k')
  t.same(await tpm.list(), ['k'])
})

t.test('what nobody asks for is not made', async (t) => {
  const calls: string[] = []
  const note = (call: string) => async () => Promise.reject(new Error(`${call} ${calls.push(call)}`))
  const manufacturer = { root: note('root'), certify: note('certify') }
  const tpm = tpmWith({ makeKey: note('makeKey'), manufacturer })
  await tpm.readiness(wish())
  await tpm.list()
  await tpm.clear()
  await tpm.failAuthorization()
  t.same(calls, [])
})
