import type { KeyPlacement } from '@certfleet/agent-core'
import { type DeviceOutcome, type FleetOutcome, type LoadResults, renderResults, resultsOf, resultsSchema } from '@certfleet/emulator/fleet'
import t from 'tap'
import type { LoadOutcome } from '#emulator/fleet/load-run.ts'
import { wholeResults } from '#emulator/report/load-results.ts'
import type { StepResult } from '#emulator/report/schema.ts'
import { parseThreshold, type Threshold } from '#emulator/scenario/threshold.ts'
import { emptyReport, latency } from '../report/sample.ts'

const device = (facts: Partial<DeviceOutcome>): DeviceOutcome => ({
  deviceId: 'ios-1',
  platform: 'ios',
  rootsInstalled: 1,
  certificatesInstalled: 1,
  pending: 0,
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
  device({ deviceId: 'ios-2', keys: [key('software', 'software-ready')] }),
  device({
    deviceId: 'win-1',
    platform: 'windows',
    rootsInstalled: 2,
    certificatesInstalled: 2,
    keys: [key('tpm', 'tpm-ready'), key('tpm', 'tpm-ready')],
    failures: [rejected],
  }),
  device({ deviceId: 'win-2', platform: 'windows', rootsInstalled: 0, certificatesInstalled: 0, failures: [offline] }),
  device({ deviceId: 'win-3', platform: 'windows', certificatesInstalled: 0, failures: [rejected], profiles: [stuck] }),
]

const row = (platform: StepResult['platform'], p50Ms: number, p90Ms: number, p99Ms: number): StepResult => {
  return { step: 'enrollment', platform, ...latency(2, 1), p50Ms, p90Ms, p99Ms }
}
const steps = [row('ios', 100, 300, 300), row('windows', 1000, 2000, 2000), row('all', 300, 2000, 2000)]
const faults = { lostRequests: 0, lostAnswers: 0, delayed: 0 }

/** All of a run's results: what its devices did, with what was measured, and the verdict. */
function wholeOf(
  outcome: FleetOutcome,
  more: Partial<LoadOutcome> & { thresholds?: readonly string[]; overrides?: Map<string, unknown>; measured?: StepResult[] } = {},
) {
  const { thresholds, overrides, measured = steps, ...rest } = more
  const { arrivals, timeline, generator, errors, run } = emptyReport
  const numbers = { steps: measured, errors, arrivals, timeline, generator }
  const all: LoadOutcome = { startedAt: 0, fleet: outcome, numbers, invariants: [], crashes: [], lost: [], faults, ...rest }
  return wholeResults({
    seed: 7,
    run,
    outcome: all,
    overrides,
    thresholds: thresholds?.map((text) => parseThreshold(text) as Threshold),
  })
}

t.test('resultsOf', async (t) => {
  const results = resultsOf(7, { devices: fleet, durationMs: 2000, interrupted: false }, steps)
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
})

t.test('no rate is claimed by devices that a takeover delayed', async (t) => {
  const outcome = { devices: fleet, durationMs: 2000, interrupted: false }
  const results = resultsOf(7, outcome, steps, undefined, new Set(['win-1']))
  t.match(results, { devices: 5, outcomes: { installed: 4 }, enrollmentsPerSecond: 1 })
  const queue = {
    ...{ id: 'r-abcdefghij', shards: 2, attempts: 3, takeovers: [], resumes: 0, devicesDelayed: 1, repeated: {} },
    workers: ['a', 'b'].map((name) => ({ name, host: 'here', node: 'v20', shards: 1 })),
  }
  const whole = wholeOf(outcome, { delayed: new Set(['win-1']), queue })
  t.match(whole, { enrollmentsPerSecond: 1, queue, run: { workers: 2 } })
})

t.test('a run with nothing in it divides by nothing', async (t) => {
  const nothing = { devices: [], durationMs: 0, interrupted: true }
  const results = resultsOf('x', nothing, [])
  t.match(results, { seed: 'x', devices: 0, enrollmentsPerSecond: 0, latencyMs: { p50: null, p90: null, p99: null }, platforms: {} })
  t.match(renderResults(wholeOf(nothing)), /^interrupted: [\s\S]*\n\nINTERRUPTED\n/m)
})

t.test('what waits for its user is told apart from failures', async (t) => {
  const results = wholeOf({ devices: [device({ waitingForUser: [waiting] })], durationMs: 1, interrupted: false })
  t.match(results, { outcomes: { failed: 0, waitingForUser: 1 }, failuresByCode: {}, failures: [] })
  t.strictSame(results.waitingForUser, [{ device: 'ios-1', platform: 'ios', ...waiting }])
  t.match(
    renderResults(results),
    /^1 waiting for the user\n {2}first: ios-1, user\/wifi: the user has not .*\n {2}to be put right by the user/m,
  )
})

t.test('what is not for an OS is told apart from failures (S12), and is no reason for a bad end', async (t) => {
  const mail = { id: 'p1', displayName: 'Mail', factId: 'windows.pfx-applies', reason: 'PFX profiles apply from Windows 10.' }
  const results = wholeOf({ devices: [device({ notApplicable: [mail, { ...mail, id: 'p2' }] })], durationMs: 1, interrupted: false })
  t.match(results, { outcomes: { failed: 0, notApplicable: 2 }, failures: [] })
  const { id: profileId, displayName: profile, ...why } = mail
  t.strictSame(results.notApplicable[0], { device: 'ios-1', platform: 'ios', profileId, profile, ...why })
  t.equal(results.verdict, 'passed')
  const line = /^2 not applicable \(windows\.pfx-applies\): PFX profiles apply from Windows 10\. First: ios-1, "Mail"$/m
  t.match(renderResults(results), line)
})

/** Without what a load test adds. */
function runPartOf(results: Parameters<typeof renderResults>[0]): string {
  return renderResults(results).split('\n\nstep ')[0] as string
}

t.test('renderResults', async (t) => {
  t.equal(
    runPartOf(wholeOf({ devices: fleet, durationMs: 2000, interrupted: false })),
    `platform  devices  roots  certificates  failed  p50 ms  p90 ms  p99 ms
ios             2      2             2       0     100     300     300
windows         3      3             2       3    1000    2000    2000
all             5      5             4       3     300    2000    2000

4 certificates in 2.0 s: 2 enrolments per second (latency counts from when a device was due)
keys: 2 software, 2 tpm; why: 2 tpm-ready, 1 setting-ignored, 1 software-ready
settings without effect on the OS: 1 keyStorage

ERR_ENROLLMENT_REJECTED  2 failed
  first: win-1, user/wifi: the CA rejected "Wi-Fi" (badRequest)
  to be put right by the administrator: the profile, its assignment, or the server it names; tried again when the policy changes

ERR_NETWORK  1 failed
  first: win-2: no connection to lab
  to be put right between device and server: reachability, proxy, load, or the server itself; tried again by itself after a delay`,
  )
  const one = renderResults(wholeOf({ devices: [device({ pending: 2 })], durationMs: 1000, interrupted: false }))
  t.notMatch(one, /^all/m, 'one platform needs no total')
  t.match(one, '2 still pending')
  const none = renderResults(wholeOf({ devices: [device({})], durationMs: 1000, interrupted: false }, { measured: [] }))
  t.notMatch(none, /keys:|settings/, 'no line about keys where there is none')
  t.match(none, /ios .* -\s+-\s+-$/m, 'no latency where nothing was enrolled')
})

t.test('a report tells what was said in place of facts', async (t) => {
  const outcome = { devices: fleet, durationMs: 1, interrupted: false }
  const overrides = new Map<string, unknown>([
    ['android.pending.polls', 5],
    ['android.scep.message', 'corp'],
  ])
  const text = renderResults(wholeOf(outcome, { overrides }))
  t.match(text, /^not what the platform does: android\.pending\.polls is 5, and 3 by its source$/m)
  t.match(text, /^not what the platform does: android\.scep\.message is "corp", and "ca" by its source$/m)
  t.strictSame(resultsOf(7, outcome, steps, overrides).overriddenFacts, Object.fromEntries(overrides))
  t.notOk('overriddenFacts' in resultsOf(7, outcome, steps), 'without any there is no word of it')
  t.notOk('overriddenFacts' in resultsOf(7, outcome, steps, new Map()))
})

t.test('the verdict: without thresholds nothing may have failed, be pending, wait, be lost or be violated', async (t) => {
  const good = { devices: [device({})], durationMs: 1, interrupted: false }
  const held = { name: 'serials', checked: 1, violations: 0, found: [] }
  const lost = [{ index: 1, spec: { id: 'ios-2', platform: 'ios', osVersion: '18.1' } }] as const
  const crash = { worker: 'worker 1', atMs: 1, why: 'killed by SIGKILL', devicesRestarted: 1 }
  const rows: [string, LoadResults['verdict'], FleetOutcome, Parameters<typeof wholeOf>[1]?][] = [
    ['everything is there', 'passed', good, { invariants: [held] }],
    ['a failure', 'failed', { ...good, devices: [device({ failures: [offline] })] }],
    ['a request that is pending', 'failed', { ...good, devices: [device({ pending: 1 })] }],
    ['a user who has not answered', 'failed', { ...good, devices: [device({ waitingForUser: [waiting] })] }],
    ['a device that was given up', 'failed', good, { lost }],
    ['a violation', 'failed', good, { invariants: [held, { ...held, violations: 1 }] }],
    ['a crash whose devices came through', 'passed', good, { crashes: [crash] }],
    ['an interruption', 'interrupted', { ...good, interrupted: true }],
    ['an interruption of what had failed', 'interrupted', { ...good, interrupted: true, devices: [device({ failures: [offline] })] }],
    [
      'a failure that its threshold allows',
      'passed',
      { ...good, devices: [device({ failures: [offline] })] },
      { thresholds: ['failed.count <= 1'] },
    ],
    [
      'one more than it allows',
      'failed',
      { ...good, devices: [device({ failures: [offline, rejected] })] },
      { thresholds: ['failed.count <= 1'] },
    ],
    ['a violation beside thresholds', 'failed', good, { thresholds: ['failed.count <= 1'], invariants: [{ ...held, violations: 1 }] }],
    ['one that they allow', 'passed', good, { thresholds: ['invariants <= 1'], invariants: [{ ...held, violations: 1 }] }],
    ['a latency', 'passed', good, { thresholds: ['ios.enrollment.p50 <= 100ms', 'enrollment.p99 < 3s'] }],
    ['one that is too long', 'failed', good, { thresholds: ['enrollment.p99 < 2s'] }],
    ['what was not measured', 'failed', good, { thresholds: ['push.p99 < 2s'] }],
  ]
  for (const [name, verdict, outcome, more] of rows) t.equal(wholeOf(outcome, more).verdict, verdict, name)
})

t.test('wholeResults has what was counted, and fits its schema', async (t) => {
  const given = {
    faults: { lostRequests: 1, lostAnswers: 2, delayed: 3 },
    lost: [{ index: 0, spec: { id: 'ios-9', platform: 'ios', osVersion: '18.1' } }],
  } as const
  const results = wholeOf({ devices: fleet, durationMs: 2000, interrupted: false }, given)
  t.match(results, {
    seed: 7,
    version: 1,
    startedAt: '1970-01-01T00:00:00.000Z',
    devicesLost: 1,
    faults: given.faults,
    latencyMs: { p50: 300 },
  })
  t.strictSame(
    results.thresholds.map(({ threshold, value, passed }) => [threshold, value, passed]),
    [
      ['failed.count == 0', 3, false],
      ['pending.count == 0', 0, true],
      ['waiting.count == 0', 0, true],
      ['lost.count == 0', 1, false],
      ['invariants == 0', 0, true],
    ],
  )
  t.strictSame(resultsSchema.parse(JSON.parse(JSON.stringify(results))), JSON.parse(JSON.stringify(results)))
})
