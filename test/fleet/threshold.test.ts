import t from 'tap'
import { type Judged, judge, thresholdsOf } from '#emulator/report/judge.ts'
import { parseThreshold, type Threshold } from '#emulator/scenario/threshold.ts'

function read(text: string): Threshold {
  const threshold = parseThreshold(text)
  if ('problem' in threshold) throw new Error(`${threshold.column}: ${threshold.problem}`)
  return threshold
}

const latency = { count: 100, minMs: 1, meanMs: 50, p50Ms: 40, p90Ms: 90, p95Ms: 95, p99Ms: 1_999, p999Ms: 2_000, maxMs: 2_001 }
const unmeasured = { count: 0, minMs: 0, meanMs: 0, p50Ms: 0, p90Ms: 0, p95Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 }
const noPlatform = {
  keys: {},
  keyStorageReasons: {},
  ignoredSettings: {},
  failuresByCode: {},
  latencyMs: { p50: null, p90: null, p99: null },
}
const ios = { ...noPlatform, devices: 50, rootsInstalled: 50, certificatesInstalled: 48, pending: 0, failed: 2 }
const android = { ...ios, certificatesInstalled: 45, pending: 5, failed: 6 }
const failure = (device: string, platform: 'ios' | 'android') => ({ device, platform, code: 'ERR_NETWORK' as const, message: '' })
const first = { device: 'a', platform: 'ios', message: '' } as const
const process = { cpuMs: 1, cpuShare: 1, rssBytes: 1 }

const judged: Judged = {
  run: {
    devices: 100,
    durationMs: 120_000,
    enrollmentsPerSecond: 50,
    outcomes: { installed: 93, failed: 8, pending: 5, waitingForUser: 1, notApplicable: 0 },
    platforms: { ios, android },
    failures: [failure('i1', 'ios'), failure('i1', 'ios'), ...['1', '2', '3', '4', '5', '6'].map((name) => failure(name, 'android'))],
    waitingForUser: [failure('i2', 'ios')],
  },
  load: {
    steps: [
      { step: 'enrollment', platform: 'all', ...latency },
      { step: 'enrollment', platform: 'ios', ...latency, p99Ms: 10 },
      { step: 'check-in', platform: 'all', ...latency },
      { step: 'poll', platform: 'all', ...unmeasured },
    ],
    errors: [
      { code: 'ERR_NETWORK', step: 'connect', answer: null, count: 9, first },
      { code: 'ERR_NETWORK', step: 'policy', answer: null, count: 1, first },
      { code: 'ERR_HTTP_STATUS', step: 'policy', answer: 'HTTP 503', count: 5, first },
    ],
    arrivals: { started: 100, late: 5, lateness: null },
    generator: {
      cores: 2,
      processes: [
        { name: 'worker 1', ...process, loopLag: { ...latency, p99Ms: 20 } },
        { name: 'worker 2', ...process, loopLag: { ...latency, p99Ms: 30 } },
        { name: 'lab', ...process, loopLag: { ...latency, p99Ms: 900 } },
      ],
      limited: false,
      why: [],
    },
    invariants: [
      { name: 'a', checked: 100, violations: 2, found: ['x', 'y'] },
      { name: 'b', checked: 1, violations: 1, found: ['z'] },
    ],
    crashes: [{ worker: 'worker 1', atMs: 1, why: '', devicesRestarted: 1 }],
    devicesLost: 0,
  },
}

t.test('a threshold holds on its own side of the boundary', async (t) => {
  const rows: [text: string, value: number | null, passed: boolean][] = [
    ['enrollment.p99 < 2s', 1.999, true],
    ['enrollment.p999 < 2s', 2, false],
    ['enrollment.p999 <= 2s', 2, true],
    ['enrollment.max <= 2s', 2.001, false],
    ['enrollment.mean == 50ms', 50, true],
    ['enrollment.p50 > 40ms', 40, false],
    ['enrollment.p50 >= 40ms', 40, true],
    ['enrollment.p90 != 90ms', 90, false],
    ['enrollment.p95 < 0.1s', 0.095, true],
    ['ios.enrollment.p99 <= 10ms', 10, true],
    ['android.enrollment.p99 < 1h', null, false],
    ['check-in.p50 < 40.1ms', 40, true],
    ['poll.p99 < 1h', null, false],
    ['GetCACert.p99 < 1h', null, false],
    ['generator.lag.p99 < 30ms', 30, false],
    ['generator.lag.p99 <= 30ms', 30, true],
    ['errors.count <= 15', 15, true],
    ['errors.count < 15', 15, false],
    ['errors.ERR_NETWORK <= 10', 10, true],
    ['errors.ERR_NETWORK < 10', 10, false],
    ['errors.ERR_CMS_INVALID == 0', 0, true],
    ['failed.count == 8', 8, true],
    ['failed.count < 8', 8, false],
    ['ios.failed.count == 2', 2, true],
    ['windows.failed.count == 0', null, false],
    ['failed.rate <= 7%', 7, true],
    ['failed.rate < 7%', 7, false],
    ['ios.failed.rate == 2%', 2, true],
    ['android.failed.rate == 12%', 12, true],
    ['pending.count == 5', 5, true],
    ['ios.pending.count == 0', 0, true],
    ['waiting.count == 1', 1, true],
    ['android.waiting.count == 0', 0, true],
    ['installed.count >= 93', 93, true],
    ['android.installed.count > 45', 45, false],
    ['late.count <= 4', 5, false],
    ['late.rate <= 5%', 5, true],
    ['late.rate < 5%', 5, false],
    ['lost.count == 0', 0, true],
    ['crashes.count == 0', 1, false],
    ['invariants == 3', 3, true],
    ['invariants == 0', 3, false],
    ['rate >= 50/s', 50, true],
    ['rate > 50/s', 50, false],
    ['duration <= 2m', 2, true],
    [' duration<120s ', 120, false],
  ]
  for (const [text, value, passed] of rows) t.strictSame(judge([read(text)], judged), [{ threshold: text.trim(), value, passed }], text)
})

t.test('nothing measured is no success', async (t) => {
  const nothing = {
    ...judged,
    run: { ...judged.run, devices: 0 },
    load: { ...judged.load, arrivals: { started: 0, late: 0, lateness: null } },
  }
  for (const text of ['failed.rate <= 100%', 'late.rate >= 0%'])
    t.strictSame(judge([read(text)], nothing), [{ threshold: text, value: null, passed: false }], text)
})

t.test('what is wrong with a threshold is told with its place', async (t) => {
  const rows: [text: string, column: number, problem: RegExp][] = [
    ['', 1, /METRIC OP VALUE/],
    ['< 2s', 1, /METRIC OP VALUE/],
    ['enrollment.p99 = 2s', 16, /METRIC OP VALUE/],
    ['enrollment.p99 < -2s', 18, /METRIC OP VALUE/],
    ['enrollment.p99 < 2s 3', 21, /METRIC OP VALUE/],
    ['enrollment.p99', 15, /expected <, <=/],
    ['enrollment.p99 2s', 16, /expected <, <=/],
    ['enrollment.p99 <', 17, /value such as 2s for enrollment\.p99/],
    ['enrollment.p99 < 2', 19, /value such as 2s/],
    ['enrollment.p99 < 2%', 19, /value such as 2s/],
    ['failed.rate < 1', 16, /value such as 1%/],
    ['failed.count < 1%', 17, /value such as 0/],
    ['rate > 5', 9, /value such as 50\/s/],
    ['enrollment.p98 < 2s', 12, /one of p50, p90, p95, p99, p999, max, mean after enrollment\./],
    ['enrollment < 2s', 11, /one of p50/],
    ['generator.lag < 2s', 1, /did you mean generator\.lag\.p99\?/],
    [
      'enrolment.p99 < 2s',
      1,
      /no metric is named "enrolment\.p99"; did you mean enrollment\.p99\?; there are connect, register.*errors\.CODE$/,
    ],
    ['  invariant == 0', 3, /did you mean invariants\?/],
    ['nonsense == 0', 1, /no metric is named "nonsense"; there are/],
    ['ios.nonsense == 0', 5, /no metric is named "nonsense"/],
    ['ios.invariants == 0', 1, /invariants is of the whole fleet; leave out "ios\."/],
    ['ios.errors.count == 0', 1, /of the whole fleet/],
    ['errors.ERR_NETWROK == 0', 8, /no error has the code "ERR_NETWROK"; did you mean ERR_NETWORK\?/],
    ['errors.toString == 0', 8, /no error has the code/],
    ['toString == 0', 1, /no metric is named/],
  ]
  for (const [text, column, problem] of rows) t.match(parseThreshold(text), { column, problem }, text)
})

t.test('invariants always count', async (t) => {
  const texts = (given: string[] | undefined) => thresholdsOf(given?.map(read)).map(({ text }) => text)
  t.strictSame(texts(undefined), ['failed.count == 0', 'pending.count == 0', 'waiting.count == 0', 'lost.count == 0', 'invariants == 0'])
  t.strictSame(texts([]), ['invariants == 0'])
  t.strictSame(texts(['rate > 1/s']), ['rate > 1/s', 'invariants == 0'])
  t.strictSame(texts(['invariants < 3']), ['invariants < 3'])
})
