import { verify } from 'node:crypto'
import t from 'tap'
import { chooseKeyStorage } from '#agent-core/keys/choice.ts'
import { modelledPassport, type PassportOptions } from '#agent-core/keys/passport/passport.ts'
import type { KeySpec } from '#agent-core/types.ts'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { alice, codeOf, pin, provisioned, provisionedBefore, rsa2048, type User, wish, wrong } from './passport-user.ts'

const option = 'usePassportForWorkKspOtherwiseFail'
const refusedSpecs: readonly KeySpec[] = [
  { algorithm: 'rsa', bits: 1024 },
  { algorithm: 'rsa', bits: 4096 },
  { algorithm: 'ec', curve: 'P-256' },
]

t.test('in memory it keeps the contract', (t) =>
  keyStorageProviderContract(t, async () => (await provisioned()).passport, { refusedSpecs }),
)

t.test('in a folder it keeps the contract', async (t) => {
  const user = await provisionedBefore(t.testdir())
  await keyStorageProviderContract(t, async () => user.passport, { refusedSpecs, restart: async () => user.restart() })
})

interface Row {
  readonly options?: Partial<PassportOptions>
  readonly hasPin?: false
  /** What happened before the agent comes. */
  readonly before?: (user: User) => Promise<unknown> | undefined
  readonly wish?: object
  /** Readiness, and what the profile fails with where it is not ready. */
  readonly readiness: string
  readonly says?: RegExp
  readonly profile?: string
  /** What making the key fails with. */
  readonly generate?: string
}

const rows: readonly [string, Row][] = [
  ['provisioned', { readiness: 'ready' }],
  [
    'no PIN',
    {
      hasPin: false,
      readiness: 'not-provisioned',
      says: /alice has to set/,
      profile: 'ERR_USER_ACTION_REQUIRED',
      generate: 'ERR_USER_ACTION_REQUIRED',
    },
  ],
  [
    'waiting for the certificate payload',
    {
      hasPin: false,
      options: { waitsForCertificate: true },
      readiness: 'not-provisioned',
      says: /alice has to set/,
      profile: 'ERR_USER_ACTION_REQUIRED',
      generate: 'ERR_USER_ACTION_REQUIRED',
    },
  ],
  ['a PIN known in advance', { hasPin: false, options: { pin }, readiness: 'ready' }],
  ['a PIN known in advance, and the payload has come', { hasPin: false, options: { pin, waitsForCertificate: true }, readiness: 'ready' }],
  [
    'multi-factor wanted, no proof',
    { wish: { multiFactor: true }, readiness: 'multi-factor-missing', says: /alice has to enrol/, profile: 'ERR_USER_ACTION_REQUIRED' },
  ],
  [
    'multi-factor wanted, proof given',
    { before: ({ passport }) => passport.proveMultiFactor(), wish: { multiFactor: true }, readiness: 'ready' },
  ],
  ['the user cancels', { before: acts('cancelled'), readiness: 'ready', generate: 'ERR_USER_ACTION_REQUIRED' }],
  ['a wrong PIN', { before: acts(wrong), readiness: 'ready', generate: 'ERR_USER_ACTION_REQUIRED' }],
  ['a finger, where the PIN was set in this process', { before: acts({ biometric: true }), readiness: 'ready' }],
  [
    'locked out',
    {
      before: wrongPins(4),
      readiness: 'locked-out',
      says: /takes no PIN until 2026-01-01T00:01:00/,
      profile: 'ERR_KEY_STORAGE_LOCKED_OUT',
      generate: 'ERR_KEY_STORAGE_LOCKED_OUT',
    },
  ],
  ['three wrong PINs before', { before: wrongPins(3), readiness: 'ready' }],
  [
    'no ContainerName',
    {
      options: { containerName: '' },
      readiness: 'unsupported',
      says: /no ContainerName/,
      profile: 'ERR_UNSUPPORTED',
      generate: 'ERR_UNSUPPORTED',
    },
  ],
  ...refusedSpecs.map((spec): [string, Row] => [
    `another size: ${JSON.stringify(spec)}`,
    { wish: { spec }, readiness: 'unsupported', says: /RSA-2048 alone/, profile: 'ERR_UNSUPPORTED', generate: 'ERR_UNSUPPORTED' },
  ]),
  ...['sha1', 'sha384', 'sha512'].map((hash): [string, Row] => [
    `another digest: ${hash}`,
    { wish: { hash }, readiness: 'unsupported', says: /sha256 alone/, profile: 'ERR_UNSUPPORTED' },
  ]),
  [
    'Passport for Work disabled',
    {
      hasPin: false,
      options: { isEnabled: () => false },
      readiness: 'absent',
      says: /disabled/,
      profile: 'ERR_KEY_STORAGE_UNAVAILABLE',
      generate: 'ERR_KEY_STORAGE_UNAVAILABLE',
    },
  ],
]

t.test('windows.passport.demanded: what becomes of a profile that wants its key in Passport', async (t) => {
  for (const [name, { options, hasPin = true, before, wish: other, readiness, says, profile, generate }] of rows) {
    await t.test(name, async (t) => {
      const user = alice(options)
      if (hasPin) await user.passport.setPin(pin)
      await before?.(user)
      const wanted = { ...wish, ...other }
      const answer = await user.passport.readiness(wanted)
      const choice = chooseKeyStorage({ option }, { passport: answer })
      t.equal(answer.state, readiness)
      if (says) t.match('message' in answer && answer.message, says)
      t.equal('code' in choice ? choice.code : undefined, profile)
      t.equal(await codeOf(user.passport.generate(wanted.spec, 'k1')), generate)
      t.same(await user.passport.list(), generate === undefined ? ['k1'] : [])
    })
  }
})

t.test('without ContainerName', async (t) => {
  const passport = modelledPassport({ clock: alice().clock, user: 'alice', onGesture: async () => ({ pin }) })
  t.equal((await passport.readiness(wish)).state, 'unsupported')
})

t.test('who it is, and what its keys do', async (t) => {
  const { passport } = await provisioned()
  t.equal(passport.name, 'modelled Passport of alice')
  t.equal(passport.protection, 'passport')
  const key = await passport.generate(rsa2048, 'k1')
  t.same(Object.keys(key).sort(), ['hashes', 'label', 'protection', 'publicKey', 'sign', 'spec', 'unwrapKey'])
  t.same(key.hashes, ['sha256'])
  const data = Buffer.from('to be signed')
  const publicKey = { key: Buffer.from(key.publicKey), format: 'der', type: 'spki' } as const
  t.ok(verify('sha256', data, publicKey, await key.sign(data, 'sha256')))
  for (const hash of ['sha1', 'sha384', 'sha512'] as const) await t.rejects(key.sign(data, hash), { code: 'ERR_UNSUPPORTED' }, hash)
})

t.test('provisioning', async (t) => {
  await t.test('windows.passport.waits: it waits for the payload, then for the user, and then the key is made: no deadlock', async (t) => {
    const told: string[] = []
    const { passport } = alice({ waitsForCertificate: true, onPinWanted: () => told.push('PIN wanted') })
    t.equal(await passport.provisioning(), 'waiting-for-certificate')
    await t.rejects(passport.setPin(pin), { code: 'ERR_KEY_STORAGE_BUSY' })
    t.same(told, [])
    t.equal((await passport.readiness(wish)).state, 'not-provisioned')
    t.same(told, ['PIN wanted'])
    t.equal(await passport.provisioning(), 'none')
    await passport.setPin(pin)
    t.equal(await passport.provisioning(), 'done')
    t.equal((await passport.readiness(wish)).state, 'ready')
    t.ok(await passport.generate(rsa2048, 'k1'))
    t.same(told, ['PIN wanted'])
  })
  await t.test('a profile whose key is never made here is no payload', async (t) => {
    const { passport } = alice({ waitsForCertificate: true })
    await passport.readiness({ ...wish, hash: 'sha512' })
    t.equal(await passport.provisioning(), 'waiting-for-certificate')
  })
  await t.test('the user may set the PIN as soon as it is wanted', async (t) => {
    const setting: Promise<void>[] = []
    const user: User = alice({ waitsForCertificate: true, onPinWanted: () => setting.push(user.passport.setPin(pin)) })
    t.equal((await user.passport.readiness(wish)).state, 'not-provisioned')
    t.equal((await user.passport.readiness(wish)).state, 'ready', 'what comes after it waits for it')
    await t.resolves(Promise.all(setting))
  })
  await t.test('the payload that came, the proof and the PIN outlast the process', async (t) => {
    const { passport, restart } = alice({ waitsForCertificate: true, folder: t.testdir() })
    await passport.readiness(wish)
    t.equal(await restart().provisioning(), 'none')
    await restart().proveMultiFactor()
    await restart().setPin(pin)
    t.equal(await restart().provisioning(), 'done')
    t.equal((await restart().readiness({ ...wish, multiFactor: true })).state, 'ready')
  })
  const lengths: [string, string, string | undefined][] = [
    ['of 5 characters', '12345', 'ERR_USER_ACTION_REQUIRED'],
    ['of 6', '123456', undefined],
    ['of 127', '7'.repeat(127), undefined],
    ['of 128', '7'.repeat(128), 'ERR_USER_ACTION_REQUIRED'],
    ['of 5 characters outside the basic plane', '𝟏𝟐𝟑𝟒𝟓', 'ERR_USER_ACTION_REQUIRED'],
  ]
  for (const [name, chosen, code] of lengths) {
    await t.test(`a PIN ${name}`, async (t) => t.equal(await codeOf(alice().passport.setPin(chosen)), code))
  }
  await t.test('a second first PIN', async (t) => {
    const { passport } = await provisioned()
    await t.rejects(passport.setPin('another PIN'), { code: 'ERR_UNSUPPORTED' })
    await t.resolves(passport.generate(rsa2048, 'k1'), 'the first one stays')
  })
  await t.test('two at once: one is set', async (t) => {
    const { passport } = alice()
    const codes = await Promise.all([codeOf(passport.setPin(pin)), codeOf(passport.setPin('another PIN'))])
    t.same(codes, [undefined, 'ERR_UNSUPPORTED'])
  })
})

t.test('what is disabled holds no keys, and has them again when it is enabled', async (t) => {
  let isEnabled = true
  const { passport } = await provisioned({ isEnabled: () => isEnabled })
  const key = await passport.generate(rsa2048, 'k1')
  isEnabled = false
  t.same(await passport.list(), [])
  t.equal(await passport.open('k1'), undefined)
  await passport.destroy('k1')
  await t.rejects(key.sign(Buffer.of(1), 'sha256'), { code: 'ERR_KEY_STORAGE_UNAVAILABLE' })
  await t.rejects(passport.setPin(pin), { code: 'ERR_KEY_STORAGE_UNAVAILABLE' })
  isEnabled = true
  t.same(await passport.list(), ['k1'])
})

t.test('thousands cost nothing before they are used', async (t) => {
  const from = process.cpuUsage()
  const fleet = Array.from({ length: 5000 }, (_, i) => alice({ user: `user ${i}`, pin }).passport)
  const states = await Promise.all(fleet.map((passport) => passport.readiness(wish)))
  const { user, system } = process.cpuUsage(from)
  t.ok(states.every(({ state }) => state === 'ready'))
  t.comment(`${((user + system) / 5000).toFixed(1)} µs of CPU a container, PIN set`)
  t.ok((user + system) / 5000 < 2000, 'under 2 ms each')
})

function acts(...answers: User['next']): (user: User) => undefined {
  return ({ next }) => {
    next.push(...answers)
    return undefined
  }
}

function wrongPins(count: number): (user: User) => Promise<void> {
  return async ({ passport, next }) => {
    next.push(...Array(count).fill(wrong))
    for (let i = 0; i < count; i++) await codeOf(passport.generate(rsa2048, 'k1'))
  }
}
