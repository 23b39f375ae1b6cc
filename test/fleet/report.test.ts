import type { KeyPlacement } from '@certfleet/agent-core'
import { type DeviceOutcome, isGood, progressLine, renderResults, resultsOf, showProgress } from '@certfleet/emulator/fleet'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'

const device = (facts: Partial<DeviceOutcome>): DeviceOutcome => ({
  deviceId: 'ios-1',
  platform: 'ios',
  rootsInstalled: 1,
  certificatesInstalled: 1,
  pending: 0,
  enrollmentMs: [100],
  failures: [],
  waitingForUser: [],
  keys: [],
  ignoredSettings: [],
  profiles: [],
  notApplicable: [],
  ...facts,
})
const rejected = { subject: 'user/wifi', code: 'ERR_ENROLLMENT_REJECTED', message: 'the CA rejected "Wi-Fi" (badRequest)' } as const
const offline = { code: 'ERR_NETWORK', message: 'no connection to lab' } as const
const waiting = { subject: 'user/wifi', code: 'ERR_USER_ACTION_REQUIRED', message: 'the user has not let "Wi-Fi" be installed' } as const
const key = (protection: KeyPlacement['protection'], reason: KeyPlacement['reason']) => ({ protection, provider: 'a provider', reason })
const stuck = { profileId: 'wifi', principal: 'user', state: 'issueFailed', os: { Status: 16 } } as const
const fleet = [
  device({ keys: [key('software', 'setting-ignored')], ignoredSettings: ['keyStorage'] }),
  device({ deviceId: 'ios-2', enrollmentMs: [300], keys: [key('software', 'software-ready')] }),
  device({
    deviceId: 'win-1',
    platform: 'windows',
    rootsInstalled: 2,
    certificatesInstalled: 2,
    enrollmentMs: [1000, 2000],
    keys: [key('tpm', 'tpm-ready'), key('tpm', 'tpm-ready')],
    failures: [rejected],
  }),
  device({ deviceId: 'win-2', platform: 'windows', rootsInstalled: 0, certificatesInstalled: 0, enrollmentMs: [], failures: [offline] }),
  device({ deviceId: 'win-3', platform: 'windows', certificatesInstalled: 0, enrollmentMs: [], failures: [rejected], profiles: [stuck] }),
]

t.test('resultsOf', async (t) => {
  const results = resultsOf(7, { devices: fleet, durationMs: 2000, interrupted: false })
  t.match(results, {
    seed: 7,
    devices: 5,
    interrupted: false,
    durationMs: 2000,
    outcomes: { installed: 4, failed: 3, pending: 0 },
    enrollmentsPerSecond: 2,
  })
  t.strictSame(
    Object.entries(results.failuresByCode),
    [
      ['ERR_ENROLLMENT_REJECTED', 2],
      ['ERR_NETWORK', 1],
    ],
    'most frequent first',
  )
  t.strictSame(Object.keys(results.platforms), ['ios', 'windows'], 'platforms that had a device')
  t.strictSame(results.platforms.ios, {
    devices: 2,
    rootsInstalled: 2,
    certificatesInstalled: 2,
    pending: 0,
    failed: 0,
    failuresByCode: {},
    latencyMs: { p50: 100, p90: 300, p99: 300 },
    keys: { software: 2 },
    keyStorageReasons: { 'setting-ignored': 1, 'software-ready': 1 },
    ignoredSettings: { keyStorage: 1 },
  })
  t.match(results.platforms.windows, { keys: { tpm: 2 }, keyStorageReasons: { 'tpm-ready': 2 }, ignoredSettings: {} })
  t.strictSame(results.keys, { software: 2, tpm: 2 })
  t.strictSame(results.keyStorageReasons, { 'tpm-ready': 2, 'setting-ignored': 1, 'software-ready': 1 }, 'most frequent first')
  t.strictSame(results.ignoredSettings, { keyStorage: 1 })
  t.match(results.platforms.windows, { devices: 3, rootsInstalled: 3, certificatesInstalled: 2, failed: 3, latencyMs: { p50: 1000 } })
  t.strictSame(results.failures[1], { device: 'win-2', platform: 'windows', ...offline })
  t.strictSame(results.profiles, [{ device: 'win-3', platform: 'windows', ...stuck }])
  t.equal(isGood(results), false)
})

t.test('a run with nothing in it divides by nothing', async (t) => {
  const results = resultsOf('x', { devices: [], durationMs: 0, interrupted: true })
  t.match(results, { seed: 'x', devices: 0, enrollmentsPerSecond: 0, latencyMs: { p50: null, p90: null, p99: null }, platforms: {} })
  t.match(renderResults(results), /interrupted/)
})

t.test('what waits for its user is told apart from failures', async (t) => {
  const results = resultsOf(1, { devices: [device({ waitingForUser: [waiting] })], durationMs: 1, interrupted: false })
  t.match(results, { outcomes: { failed: 0, waitingForUser: 1 }, failuresByCode: {}, failures: [] })
  t.strictSame(results.waitingForUser, [{ device: 'ios-1', platform: 'ios', ...waiting }])
  t.match(
    renderResults(results),
    /^1 waiting for the user\n {2}first: ios-1, user\/wifi: the user has not .*\n {2}to be put right by the user/m,
  )
})

t.test('what is not for an OS is told apart from failures (S12), and is no reason for a bad end', async (t) => {
  const mail = { id: 'p1', displayName: 'Mail', factId: 'windows.pfx-applies', reason: 'PFX profiles apply from Windows 10.' }
  const results = resultsOf(1, { devices: [device({ notApplicable: [mail, { ...mail, id: 'p2' }] })], durationMs: 1, interrupted: false })
  t.match(results, { outcomes: { failed: 0, notApplicable: 2 }, failures: [] })
  const { id: profileId, displayName: profile, ...why } = mail
  t.strictSame(results.notApplicable[0], { device: 'ios-1', platform: 'ios', profileId, profile, ...why })
  t.equal(isGood(results), true)
  const line = /^2 not applicable \(windows\.pfx-applies\): PFX profiles apply from Windows 10\. First: ios-1, "Mail"$/m
  t.match(renderResults(results), line)
})

t.test('isGood', async (t) => {
  const of = (facts: Partial<DeviceOutcome>, interrupted = false) =>
    isGood(resultsOf(1, { devices: [device(facts)], durationMs: 1, interrupted }))
  t.equal(of({}), true)
  t.equal(of({ failures: [offline] }), false, 'a failure')
  t.equal(of({ pending: 1 }), false, 'a request that is pending')
  t.equal(of({ waitingForUser: [waiting] }), false, 'a user who has not answered')
  t.equal(of({}, true), false, 'an interruption')
})

t.test('latency keeps three significant digits at any length', async (t) => {
  const results = resultsOf(1, { devices: [device({ enrollmentMs: [0, 7_200_000] })], durationMs: 1, interrupted: false })
  t.equal(results.latencyMs.p50, 0)
  t.ok(Math.abs((results.latencyMs.p99 as number) - 7_200_000) <= 7200, String(results.latencyMs.p99))
})

t.test('renderResults', async (t) => {
  t.equal(
    renderResults(resultsOf(7, { devices: fleet, durationMs: 2000, interrupted: false })),
    `platform  devices  roots  certificates  failed  p50 ms  p90 ms  p99 ms
ios             2      2             2       0     100     300     300
windows         3      3             2       3    1000    2000    2000
all             5      5             4       3     300    2000    2000

4 certificates in 2.0 s: 2 enrolments per second (latency is key generation to installation)
keys: 2 software, 2 tpm; why: 2 tpm-ready, 1 setting-ignored, 1 software-ready
settings without effect on the OS: 1 keyStorage

ERR_ENROLLMENT_REJECTED  2 failed
  first: win-1, user/wifi: the CA rejected "Wi-Fi" (badRequest)
  to be put right by the administrator: the profile, its assignment, or the server it names; tried again when the policy changes

ERR_NETWORK  1 failed
  first: win-2: no connection to lab
  to be put right between device and server: reachability, proxy, load, or the server itself; tried again by itself after a delay`,
  )
  const one = renderResults(resultsOf(7, { devices: [device({ pending: 2 })], durationMs: 1000, interrupted: false }))
  t.notMatch(one, /^all/m, 'one platform needs no total')
  t.match(one, '2 still pending')
  const none = renderResults(resultsOf(7, { devices: [device({ enrollmentMs: [] })], durationMs: 1000, interrupted: false }))
  t.notMatch(none, /keys:|settings/, 'no line about keys where there is none')
  t.match(none, /ios .* -\s+-\s+-$/m, 'no latency where nothing was enrolled')
})

t.test('a report tells what was said in place of facts', async (t) => {
  const outcome = { devices: fleet, durationMs: 1, interrupted: false }
  const overrides = new Map<string, unknown>([
    ['android.pending.polls', 5],
    ['android.scep.message', 'corp'],
  ])
  const text = renderResults(resultsOf(7, outcome, overrides))
  t.match(text, /^not what the platform does: android\.pending\.polls is 5, and 3 by its source$/m)
  t.match(text, /^not what the platform does: android\.scep\.message is "corp", and "ca" by its source$/m)
  t.strictSame(resultsOf(7, outcome, overrides).overriddenFacts, Object.fromEntries(overrides))
  t.notOk('overriddenFacts' in resultsOf(7, outcome), 'without any there is no word of it')
  t.notOk('overriddenFacts' in resultsOf(7, outcome, new Map()))
})

t.test('progressLine', async (t) => {
  const rows: [string, Parameters<typeof progressLine>[0], string][] = [
    ['before the first device', { done: 0, total: 9, installed: 0, failed: 0, elapsedMs: 0 }, '0/9 devices  0.0 certificates/s  0 failed'],
    [
      'on the way',
      { done: 5, total: 20, installed: 10, failed: 1, elapsedMs: 4000 },
      '5/20 devices  2.5 certificates/s  1 failed  ETA 12 s',
    ],
    [
      'minutes',
      { done: 1, total: 7, installed: 1, failed: 0, elapsedMs: 15_000 },
      '1/7 devices  0.1 certificates/s  0 failed  ETA 1 min 30 s',
    ],
    [
      'hours',
      { done: 1, total: 3, installed: 0, failed: 1, elapsedMs: 3_600_000 },
      '1/3 devices  0.0 certificates/s  1 failed  ETA 2 h 0 min',
    ],
    ['at the end', { done: 3, total: 3, installed: 3, failed: 0, elapsedMs: 1000 }, '3/3 devices  3.0 certificates/s  0 failed'],
  ]
  for (const [name, facts, line] of rows) t.equal(progressLine(facts), line, name)
})

t.test('showProgress', async (t) => {
  const facts = { done: 1, total: 2, installed: 1, failed: 0, elapsedMs: 1000 }
  async function shown(isTerminal: boolean, ms: number, columns?: number): Promise<string> {
    const clock = new FakeClock()
    const ended = new AbortController()
    let text = ''
    const write = (piece: string) => {
      text += piece
    }
    const sink = { write, isTerminal, ...(columns && { columns }) }
    const showing = showProgress(() => facts, sink, clock, ended.signal)
    await clock.advance(ms)
    ended.abort()
    await showing
    return text
  }
  const line = '1/2 devices  1.0 certificates/s  0 failed  ETA 1 s'
  t.equal(await shown(false, 4_999), '', 'nothing in a log before five seconds')
  t.equal(await shown(false, 10_000), `${line}\n${line}\n`, 'then a line every five')
  t.equal(await shown(true, 200), `\r\x1b[2K${line}\r\x1b[2K`, 'one line of a terminal, which is left empty')
  t.equal(await shown(true, 200, 21), `\r\x1b[2K1/2 devices  1.0 cer\r\x1b[2K`, 'cut to the width of the terminal')
  t.equal(await shown(true, 0), '\r\x1b[2K')
})
