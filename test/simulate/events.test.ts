import { memoryLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { forgetful } from '#emulator/simulate/forgetting.ts'
import type { SimulatedEvent } from '#emulator/simulate/index.ts'
import { renewalWave } from '#emulator/simulate/waves.ts'
import { FakeClock } from '../fakes/clock.ts'
import { type Simulated, simulated } from './world.ts'

const calm = { faults: false, devicesEach: 1, startOverMs: 0 } as const

/** What a scenario asks for, and what its trace must show. */
const rows: readonly {
  readonly name: string
  readonly events: readonly SimulatedEvent[]
  readonly days: number
  readonly pfx?: Simulated['pfx']
  readonly shows: readonly [RegExp, number][]
}[] = [
  {
    name: 'CA down for a week: renewals wait, and nothing expires',
    events: [{ kind: 'ca-down', day: 23, days: 5 }],
    days: 32,
    shows: [
      [/renew .* RenewalDue failed ERR_NETWORK/, 4],
      [/renew .* RenewalDue done/, 4],
      [/Expired/, 0],
    ],
  },
  {
    name: 'roll-over: the new root first, the old one last',
    events: [{ kind: 'ca-roll-over', day: 10 }],
    days: 12,
    shows: [
      [/install-root RootMissing done/, 8],
      [/enroll .* RootChanged done/, 4],
      [/remove-root RootNoLongerTrusted done/, 4],
    ],
  },
  {
    name: 'asleep for 30 days: one certificate each once awake, on Apple once the profile was assigned again',
    events: [{ kind: 'asleep', day: 10, days: 30 }],
    days: 42,
    shows: [
      [/enroll .* Expired done/, 2],
      [/(ios|macos).* enroll .* IdentityMissing done/, 4],
    ],
  },
  {
    name: 'clock ten years ahead: a backoff of then holds nobody back',
    events: [{ kind: 'clock-wrong', day: 10, days: 2, byDays: 3650 }],
    days: 30,
    shows: [[/ERR_CA_UNTRUSTED/, 4]],
  },
  {
    name: 'unassigned, and assigned again',
    events: [
      { kind: 'unassign', day: 5 },
      { kind: 'assign', day: 8 },
    ],
    days: 10,
    shows: [
      [/remove-identity .* ProfileRemoved done/, 3],
      [/android.* release-identity .* ProfileRemoved done/, 1],
      [/enroll .* (IdentityMissing|ProfileReassigned) done/, 8],
    ],
  },
  {
    name: 'edited',
    events: [{ kind: 'edit', day: 5 }],
    days: 7,
    pfx: ['pkcs'],
    shows: [
      [/enroll .* SubjectChanged done/, 4],
      [/import .*-pkcs CertificateChanged done/, 4],
    ],
  },
  {
    name: 'PFX: fetched again when it is due, and whenever another file is imported',
    events: [],
    days: 29,
    pfx: ['pkcs', 'imported'],
    shows: [
      [/import .*-(pkcs|imported) IdentityMissing done/, 8],
      [/import .*-pkcs RenewalDue done/, 4],
      [/import .*-imported CertificateChanged done/, 4],
    ],
  },
  {
    name: 'unassigned with PFX: macOS and Android leave them',
    events: [{ kind: 'unassign', day: 5 }],
    days: 7,
    pfx: ['pkcs', 'imported'],
    shows: [
      [/(windows|ios).* remove-identity .*-(pkcs|imported) ProfileRemoved done/, 4],
      [/(macos|android).* remove-identity .*-(pkcs|imported)/, 0],
    ],
  },
  {
    name: 'retired: all goes, but what Android was given by SCEP',
    events: [{ kind: 'retire', day: 5 }],
    days: 7,
    pfx: ['pkcs', 'imported'],
    shows: [
      [/(windows|ios|macos).* remove-identity .* DeviceRetired done/, 9],
      [/android.* remove-identity .*-(pkcs|imported) DeviceRetired done/, 2],
      [/android.* release-identity .* DeviceRetired done/, 1],
      [/remove-root RootNoLongerTrusted done/, 4],
    ],
  },
  {
    name: 'wiped: all goes, but not from a Mac',
    events: [{ kind: 'wipe', day: 5 }],
    days: 7,
    pfx: ['pkcs', 'imported'],
    shows: [
      [/(windows|ios|android).* remove-identity .* DeviceWiped done/, 9],
      [/macos.* remove-/, 0],
    ],
  },
  {
    name: 'unenrolled by its user: all goes',
    events: [{ kind: 'unenroll', day: 5 }],
    days: 7,
    pfx: ['pkcs'],
    shows: [[/remove-identity .* DeviceUnenrolled done/, 8]],
  },
  {
    name: 'licence lost: all stays, and nothing is renewed',
    events: [{ kind: 'unlicense', day: 5 }],
    days: 40,
    pfx: ['pkcs'],
    shows: [
      [/remove-|release-/, 0],
      [/RenewalDue|Expired/, 0],
    ],
  },
  {
    name: 'another root by a profile of its own: nobody is without a certificate meanwhile',
    events: [{ kind: 'replace-root', day: 5, days: 6 }],
    days: 13,
    pfx: ['pkcs', 'imported'],
    shows: [
      [/ca-replaced/, 1],
      [/enroll .* RootChanged done/, 4],
      [/import .*-(pkcs|imported) (RootChanged|CertificateChanged) done/, 8],
      [/remove-root RootNoLongerTrusted done/, 4],
      [/ERR_|IdentityMissing .*\b1[0-9]d/, 0],
    ],
  },
]

for (const { name, events, days, pfx = [], shows } of rows) {
  t.test(name, async (t) => {
    const lines: string[] = []
    const outcome = await simulated({ ...calm, seed: name, events, days, pfx, onLine: (line) => lines.push(line) })
    t.strictSame(
      outcome.invariants.flatMap(({ violations }) => violations),
      [],
    )
    t.equal(outcome.converged, 4)
    for (const [shown, count] of shows) {
      const found = lines.filter((line) => shown.test(line)).length
      t.ok(count === 0 ? found === 0 : found >= count, `${shown} ${found} times`)
    }
  })
}

t.test('an event happens to its share of the devices', async (t) => {
  const lines: string[] = []
  const events: SimulatedEvent[] = [{ kind: 'edit', day: 1, share: 0.5 }]
  await simulated({ ...calm, devicesEach: 8, seed: 'share', events, days: 2, onLine: (line) => lines.push(line) })
  const edited = lines.filter((line) => line.includes('profile-edited')).length
  t.ok(edited > 5 && edited < 27, `${edited} of 32`)
})

t.test('the herd without jitter, and its absence with', async (t) => {
  const storm = {
    ...calm,
    seed: 'storm',
    platforms: ['android', 'windows'] as const,
    devicesEach: 20,
    days: 26,
    checkInMs: 40 * 86_400_000,
  }
  const herd = await simulated({ ...storm, hasJitter: false })
  const spread = await simulated(storm)
  t.equal(herd.firstWave?.bins[0], 40, 'all in the first hundredth')
  t.ok((spread.firstWave?.peakToMean ?? 0) < 20, `${spread.firstWave?.peakToMean}`)
})

t.test('a wave by its bins', async (t) => {
  t.equal(renewalWave([], 100), undefined)
  t.match(renewalWave([10], 100), { fromMs: 10, toMs: 110, peakToMean: 100 })
  const wave = renewalWave([0, 0, 1, 99, 100, 500], 100)
  t.strictSame([wave?.bins[0], wave?.bins[1], wave?.bins[99]], [2, 1, 3])
  t.equal(wave?.peakToMean, 50)
})

t.test('what nobody can ask for any more is deleted, and nothing before', async (t) => {
  const day = 86_400_000
  const clock = new FakeClock(0)
  const memory = memoryLabStore()
  const store = forgetful(memory, clock, 30 * day)
  const use = { transactionId: 't', publicKeyDigest: 'd' }
  await store.transaction((tx) => tx.put('challenges', 'old', use))
  await store.transaction((tx) => tx.put('settings', 'kept', { configured: true, running: true }))
  await clock.advance(day)
  await store.transaction((tx) => tx.put('challenges', 'young', use))
  await clock.advance(day - 1)
  await store.forget()
  t.same(memory.get('challenges', 'old'), use, 'a millisecond before')
  await clock.advance(1)
  await store.forget()
  t.equal(memory.get('challenges', 'old'), undefined)
  t.same(memory.get('challenges', 'young'), use)
  await clock.advance(400 * day)
  await store.forget()
  t.equal(memory.get('challenges', 'young'), undefined)
  t.ok(memory.get('settings', 'kept'))
})
