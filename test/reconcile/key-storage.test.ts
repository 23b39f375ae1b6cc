import type { KeyObject } from 'node:crypto'
import {
  type Clock,
  type KeyProtection,
  type KeyStorageOption,
  modelledPassport,
  modelledTpm,
  reconcile,
  softwareKeys,
} from '@certfleet/agent-core'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { Crash } from '../fakes/crashing.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, type Edit, signal, start, type World, type WorldOptions, world } from './world.ts'

const authority = await labStore(new FakeClock(start))

const asking =
  (keyStorage: KeyStorageOption, own: Partial<Parameters<Edit>[0]['scepProfiles'][number]> = {}): Edit =>
  (document) => ({ ...document, scepProfiles: document.scepProfiles.map((profile) => ({ ...profile, keyStorage, ...own })) })
const tpmOrSoftware = 'useTpmKspOtherwiseUseSoftwareKsp'
const tpmOrFail = 'useTpmKspOtherwiseFail'
const passportOrFail = 'usePassportForWorkKspOtherwiseFail'

/** Time that the hardware takes costs the tests none. */
const at = { now: start }
const clock: Clock = { now: () => at.now, sleep: async () => {} }

function hardware() {
  const gestures: ('answer' | 'cancel')[] = []
  const software = softwareKeys()
  const tpm = modelledTpm({ clock, slots: 2, makeKey: async () => pool[made++ % pool.length] as KeyObject })
  const passport = modelledPassport({
    // On the other clock no time is left for a gesture.
    clock: new FakeClock(start),
    user: 'jane',
    containerName: 'container-1',
    onGesture: async () => (gestures.shift() === 'cancel' ? 'cancelled' : { pin: '482913' }),
  })
  return { software, tpm, passport, gestures, all: [software, tpm, passport] }
}

/** Any size of key will do where none is used. */
const pool = await makeKeyPool(4)
let made = 0

const make = (options: Partial<WorldOptions>) => world({ pool: [], authority, ...options })
const passOf = async (device: World) => (await reconcile(device.device(), signal)).report

type Hardware = ReturnType<typeof hardware>

interface Row {
  readonly name: string
  readonly option: KeyStorageOption
  readonly before?: (has: Hardware) => void | Promise<void>
  readonly multiFactor?: true
  readonly keyBits?: 1024 | 4096
  readonly expected: { readonly keyProtection?: KeyProtection; readonly keyStorageReason?: string; readonly code?: string }
}

const rows: readonly Row[] = [
  { name: 'TPM present', option: tpmOrSoftware, expected: { keyProtection: 'tpm', keyStorageReason: 'tpm-ready' } },
  {
    name: 'TPM absent',
    option: tpmOrSoftware,
    before: ({ tpm }) => tpm.set({ isPresent: false }),
    expected: { keyProtection: 'software', keyStorageReason: 'tpm-absent' },
  },
  {
    name: 'TPM busy',
    option: tpmOrSoftware,
    before: ({ tpm }) => tpm.set({ isBusy: true }),
    expected: { code: 'ERR_KEY_STORAGE_BUSY' },
  },
  {
    name: 'TPM full',
    option: tpmOrSoftware,
    before: fill,
    expected: { code: 'ERR_KEY_STORAGE_FULL' },
  },
  { name: 'TPM locked out', option: tpmOrSoftware, before: lockOut, expected: { code: 'ERR_KEY_STORAGE_LOCKED_OUT' } },
  { name: 'TPM and a key beyond it', option: tpmOrSoftware, keyBits: 4096, expected: { code: 'ERR_UNSUPPORTED' } },
  {
    name: 'TPM absent',
    option: tpmOrFail,
    before: ({ tpm }) => tpm.set({ isPresent: false }),
    expected: { code: 'ERR_KEY_STORAGE_UNAVAILABLE' },
  },
  { name: 'TPM present', option: tpmOrFail, expected: { keyProtection: 'tpm', keyStorageReason: 'tpm-ready' } },
  { name: 'Passport not provisioned', option: passportOrFail, expected: { code: 'ERR_USER_ACTION_REQUIRED' } },
  {
    name: 'Passport ready',
    option: passportOrFail,
    before: ({ passport }) => passport.setPin('482913'),
    expected: { keyProtection: 'passport', keyStorageReason: 'passport-ready' },
  },
  {
    name: 'Passport without MFA',
    option: passportOrFail,
    multiFactor: true,
    before: ({ passport }) => passport.setPin('482913'),
    expected: { code: 'ERR_USER_ACTION_REQUIRED' },
  },
  { name: 'Passport and a key it never makes', option: passportOrFail, keyBits: 1024, expected: { code: 'ERR_UNSUPPORTED' } },
  { name: 'TPM present', option: 'useSoftwareKsp', expected: { keyProtection: 'software', keyStorageReason: 'software-ready' } },
]

async function fill({ tpm }: Hardware): Promise<void> {
  for (const label of ['others-1', 'others-2']) await tpm.generate({ algorithm: 'rsa', bits: 1024 }, label)
}

function lockOut({ tpm }: Hardware): Promise<void> {
  return tpm.failAuthorization(32)
}

for (const { name, option, before, multiFactor, keyBits, expected } of rows) {
  t.test(`${option}, ${name}${keyBits ? `, RSA-${keyBits}` : ''}: ${JSON.stringify(expected)}`, async (t) => {
    const has = hardware()
    await before?.(has)
    const edit = asking(option, { ...(multiFactor && { multiFactor }), ...(keyBits && { keyBits }) })
    const device = await make({ edit, keyStorageProviders: has.all })
    const {
      profiles: [profile],
    } = await passOf(device)
    t.match(profile, { ...expected, state: expected.code ? 'requestCreationFailed' : 'installed' })
    if (expected.keyProtection) {
      const provider = has.all.find(({ protection }) => protection === expected.keyProtection)
      t.equal(profile?.keyProvider, provider?.name, 'the report says who holds the key')
      t.same(await provider?.list(), [(await device.identities.list())[0]?.keyLabel], 'and it is there')
    } else {
      t.same(
        device.requests.filter((url) => /operation=|challenge/.test(url)),
        [],
        'nothing was asked of the server',
      )
      t.equal(profile?.keyProtection, undefined, 'no protection is claimed')
    }
  })
}

t.test('A5, A7: where the OS has no such setting it is ignored, and told', async (t) => {
  for (const platform of ['ios', 'macos', 'android'] as const) {
    const has = hardware()
    const device = await make({ platform, edit: asking(tpmOrFail), keyStorageProviders: has.all })
    const { profiles } = await passOf(device)
    const expected = { state: 'installed', keyProtection: 'software', keyStorageReason: 'setting-ignored', ignoredSettings: ['keyStorage'] }
    t.match(profiles, [expected], platform)
  }
})

t.test('a device that insists on its TPM is stricter than the profile, and is told as the reason', async (t) => {
  const { all } = hardware()
  const device = await make({ edit: asking('useSoftwareKsp'), keyStorageProviders: all, keyStorage: 'tpm' })
  t.match((await passOf(device)).profiles, [{ state: 'installed', keyProtection: 'tpm', keyStorageReason: 'device-choice' }])
})

t.test('a device that insists on software fails where the profile demands a TPM', async (t) => {
  const { all } = hardware()
  const device = await make({ edit: asking(tpmOrFail), keyStorageProviders: all, keyStorage: 'software' })
  t.match((await passOf(device)).profiles, [{ code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: /demands useTpmKspOtherwiseFail/ }])
})

t.test('what was busy, full or locked out is tried again by itself, and leaves one key', async (t) => {
  const faults: readonly (readonly [name: string, set: (has: Hardware) => unknown, heal: (has: Hardware) => unknown])[] = [
    ['busy', ({ tpm }) => tpm.set({ isBusy: true }), ({ tpm }) => tpm.set({ isPresent: true, isBusy: false })],
    ['full', fill, async ({ tpm }) => Promise.all(['others-1', 'others-2'].map((label) => tpm.destroy(label)))],
  ]
  for (const [name, set, heal] of faults) {
    const has = hardware()
    await set(has)
    const device = await make({ edit: asking(tpmOrFail), keyStorageProviders: has.all })
    const first = await passOf(device)
    t.type(first.profiles[0]?.retryAt, 'number', `${name}: it says when`)
    await heal(has)
    t.same(
      (await passOf(device)).results.filter(({ kind }) => kind === 'enroll'),
      [],
      `${name}: not before`,
    )
    await device.clock.advance(60_000)
    t.match((await passOf(device)).profiles, [{ state: 'installed', keyProtection: 'tpm' }], name)
    t.equal((await has.tpm.list()).length, 1, name)
  }
})

t.test('what waits on the user goes on at the next pass, without a new policy', async (t) => {
  const has = hardware()
  const device = await make({ edit: asking(passportOrFail, { multiFactor: true }), keyStorageProviders: has.all })
  const waiting = await reconcile(device.device(), signal)
  t.match(waiting.report.profiles, [{ code: 'ERR_USER_ACTION_REQUIRED', message: /PIN/ }])
  t.equal(waiting.wakeAt, undefined, 'nothing but the user helps')
  await has.passport.setPin('482913')
  t.match((await passOf(device)).profiles, [{ code: 'ERR_USER_ACTION_REQUIRED', message: /factor/ }])
  has.passport.proveMultiFactor()
  has.gestures.push('cancel')
  t.match((await passOf(device)).profiles, [{ code: 'ERR_USER_ACTION_REQUIRED', message: /gesture/ }])
  t.same([...device.lab.issued()], [])
  t.match((await passOf(device)).profiles, [{ state: 'installed', keyProtection: 'passport' }])
})

t.test('a TPM that does not answer is told, and is no reason for another certificate', async (t) => {
  const has = hardware()
  const device = await make({ edit: asking(tpmOrFail), keyStorageProviders: has.all })
  await passOf(device)
  has.tpm.set({ isBusy: true })
  const report = await passOf(device)
  t.same(report.results, [])
  t.match(report.profiles, [{ state: 'installed' }])
  t.match(
    report.keyStorage.filter(({ code }) => code),
    [{ protection: 'tpm', code: 'ERR_KEY_STORAGE_BUSY' }],
  )
  t.equal([...device.lab.issued()].length, 1)
})

t.test('a TPM that was cleared, or has gone, has taken the key with it: a new one is made where the profile allows', async (t) => {
  const has = hardware()
  const device = await make({ edit: asking(tpmOrSoftware), keyStorageProviders: has.all })
  await passOf(device)
  await has.tpm.clear()
  t.match((await passOf(device)).results, [{ kind: 'enroll', reason: 'PrivateKeyUnusable', status: 'done' }])
  has.tpm.set({ isPresent: false })
  const { results, profiles } = await passOf(device)
  t.match(results, [{ kind: 'enroll', reason: 'PrivateKeyUnusable', status: 'done' }])
  t.match(profiles, [{ keyProtection: 'software', keyStorageReason: 'tpm-absent' }])
  has.tpm.set({ isPresent: true, isBusy: false })
  await passOf(device)
  t.same(await has.tpm.list(), [], 'the key that came back with the TPM is nobody’s, and goes')
})

t.test('a key that is lost between its making and its request is made again: no orphan, one certificate', async (t) => {
  let steps = 0
  for (let crashed = true; crashed; steps++) {
    const has = hardware()
    const device = await make({ edit: asking(tpmOrFail), keyStorageProviders: has.all })
    crashed = await reconcile(device.device({ left: steps }), signal).then(
      () => false,
      (error: unknown) => {
        if (error instanceof Crash) return true
        throw error
      },
    )
    await has.tpm.clear()
    for (let pass = 0; pass < 3; pass++) {
      await passOf(device)
      await device.clock.advance(10 * 60_000)
    }
    const [identity, ...others] = await device.identities.list()
    t.same(others, [])
    t.same(await has.tpm.list(), [identity?.keyLabel], `crash at step ${steps}`)
    const { attempts, pending } = await device.state.load()
    t.equal(attempts.size + pending.size, 0)
  }
  t.ok(steps > 40, `${steps} steps`)
})

t.test('renewal keeps to the storage of the profile and leaves one key', async (t) => {
  const has = hardware()
  const device = await make({ edit: asking(tpmOrFail), keyStorageProviders: has.all })
  await passOf(device)
  const [first] = await has.tpm.list()
  await device.clock.advance(85 * day)
  at.now = device.clock.now()
  t.match((await passOf(device)).results, [{ kind: 'renew', status: 'done' }, { kind: 'destroy-key' }])
  const labels = await has.tpm.list()
  t.equal(labels.length, 1)
  t.not(labels[0], first)
  at.now = start
})
