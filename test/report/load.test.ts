import { execFileSync } from 'node:child_process'
import { loadJunit, renderResults, resultsOf } from '@certfleet/emulator/fleet'
import t from 'tap'
import * as quantity from '#emulator/report/quantity.ts'
import { measuredText, reasonsOf } from '#emulator/report/verdict.ts'
import { missing } from '../interop/peers.ts'
import { emptyReport, hostile, hostileReport, loadReport, machinesReport } from './sample.ts'

t.test('numbers have three digits and the unit that needs the fewest', async (t) => {
  const { durationText, spanText, momentText, numberText, rateText, shareText, bytesText, countText } = quantity
  const rows: [string, string][] = [
    [durationText(null), '–'],
    [durationText(0), '0 ms'],
    [durationText(0.5124), '512 µs'],
    [durationText(0.9996), '1.00 ms'],
    [durationText(84), '84.0 ms'],
    [durationText(999.4), '999 ms'],
    [durationText(999.5), '1.00 s'],
    [durationText(99_949), '99.9 s'],
    [durationText(99_950), '1 min 40 s'],
    [durationText(3_599_499), '59 min 59 s'],
    [durationText(3_599_500), '1 h 0 min'],
    [spanText(250), '250 ms'],
    [spanText(10_000), '10 s'],
    [spanText(1_500), '1.5 s'],
    [momentText(45_900), '0:45'],
    [momentText(3_725_000), '1:02:05'],
    [numberText(0.0012345), '0.00123'],
    [numberText(999), '999'],
    [numberText(12_345.6), '12,346'],
    [rateText(66.39), '66.4/s'],
    [shareText(0), '0 %'],
    [shareText(0.00001), '< 0.01 %'],
    [shareText(0.9999), '> 99.9 %'],
    [shareText(1), '100 %'],
    [bytesText(141_000_000), '134 MiB'],
    [bytesText(3 * 2 ** 30), '3 GiB'],
    [countText(10_000), '10,000'],
  ]
  for (const [shown, expected] of rows) t.equal(shown, expected)
})

t.test('what was measured is told in the unit of its threshold', async (t) => {
  const rows: [string, number | null, string][] = [
    ['enrollment.p99 < 2s', 1.8234, '1.82 s'],
    ['failed.rate < 1%', 0.41, '0.41 %'],
    ['rate >= 60/s', 66.39, '66.4/s'],
    ['invariants == 0', 3, '3'],
    ['check-in.p99 < 500ms', null, 'not measured'],
  ]
  for (const [threshold, value, expected] of rows) t.equal(measuredText({ threshold, value, passed: false }), expected, threshold)
})

t.test('the verdict has its reasons', async (t) => {
  t.strictSame(reasonsOf(loadReport()), [
    'threshold missed: failed.rate < 0.1% (it was 0.41 %)',
    'threshold missed: invariants == 0 (it was 3)',
    'threshold missed: check-in.p99 < 500ms (not measured)',
    'invariant violated: no certificate was issued that its device refused (3 times)',
    '1 process of the fleet crashed',
    '41 failed beside 9,959 installed (0.41 %)',
  ])
  t.strictSame(reasonsOf(emptyReport), ['stopped after 0 ms, with 0 devices begun or through'])
  const { invariants } = loadReport()
  const passed = {
    ...emptyReport,
    interrupted: false,
    verdict: 'passed',
    thresholds: [{ threshold: 'a < 1', value: 0, passed: true }],
  } as const
  t.strictSame(
    reasonsOf({ ...passed, thresholds: [...passed.thresholds], invariants: invariants.filter(({ violations }) => violations === 0) }),
    ['1 threshold met', '2 invariants of 3 checked, and held'],
  )
  t.strictSame(reasonsOf({ ...emptyReport, interrupted: false, verdict: 'failed', devicesLost: 2 }), [
    '2 devices given up after their processes had crashed too often',
  ])
})

t.test('for people: what a load test adds stands after the table of the run, and the verdict last', async (t) => {
  const report = loadReport()
  const text = renderResults(report)
  for (const line of [
    /^platform +devices/,
    /^keys: insecure: keys from a pool/m,
    /^step +count +p50 +p90 +p99 +max$/m,
    /^PKIOperation +10,000 +148 ms +266 ms +607 ms +1\.44 s$/m,
    /^ {5}431 {2}ERR_HTTP_STATUS at PKIOperation: HTTP 503$/m,
    /^ {6}37 {2}ERR_NETWORK at connect: no answer$/m,
    /^crashed: worker 1 at 1:24, ended by SIGKILL; 118 devices restarted$/m,
    /^met {5}enrollment\.p99 < 2s {2}\(1\.82 s\)$/m,
    /^MISSED {2}check-in\.p99 < 500ms {2}\(not measured\)$/m,
    /^VIOLATED +no certificate was issued that its device refused\n +serial 4f1c/m,
    /^not checked {2}removal leaves nothing \(no device was removed in this run\)$/m,
    /^warning: the load generator was the limit.*\n {2}worker 2 used 94\.6 % of one core$/m,
    /\nFAILED\n {2}threshold missed: .*(\n {2}.*){5}$/,
  ])
    t.match(text, line)
  t.ok(text.split('\n').length < 70, 'kept short')
  const many = Array.from({ length: 25 }, () => report.errors[0] as (typeof report.errors)[0])
  t.match(renderResults({ ...report, errors: many }), /and 15 more kinds in results\.json/)
  const nothing = resultsOf(1, { devices: [], durationMs: 0, interrupted: true }, [])
  t.match(renderResults({ ...emptyReport, ...nothing }), /\n\nINTERRUPTED\n {2}stopped after/)
})

const carried = '40 shards, taken 46 times by 3 workers on 2 machines'

t.test('a run over several machines tells who carried it, what was taken over and what was made again', async (t) => {
  const text = renderResults(machinesReport())
  t.ok(
    text.includes(`
run b3kq7x2m: ${carried}
  taken over: shard 7 at 1:05, by north-2; 31 devices delayed
  31 devices delayed by takeovers: in every count, and left out of enrolments a second
  made again after a takeover, and measured once: 9 policy, 4 PKIOperation
  parked and taken up again: 5 shards
`),
    text,
  )
  t.ok(reasonsOf(machinesReport()).includes('1 shard taken over from a lost worker'))
  const { queue, ...report } = machinesReport()
  const steady = {
    ...queue,
    shards: 1,
    attempts: 1,
    takeovers: [],
    resumes: 0,
    devicesDelayed: 0,
    repeated: {},
    workers: queue.workers.slice(2),
  }
  t.match(renderResults({ ...report, queue: steady }), '\nrun b3kq7x2m: 1 shard, taken 1 time by 1 worker on 1 machine\n\n')
  t.notMatch(renderResults(report), 'shard')
})

t.test('JUnit: a case a threshold, an invariant, a platform, and the run', { skip: missing(['xmllint'], 'libxml2-utils') }, async (t) => {
  const reader = (xml: string) => (expression: string) =>
    execFileSync('xmllint', ['--xpath', expression, '-'], { input: xml, encoding: 'utf8' }).trimEnd()
  const read = reader(loadJunit(loadReport()))
  t.equal(read('string(/testsuites/@tests)'), '15')
  t.equal(read('string(/testsuites/@failures)'), '6')
  t.equal(read('string(/testsuites/@skipped)'), '2', 'an invariant that was not looked at, and a crash whose devices went on')
  t.equal(read('string(//testcase[@name="failed.rate < 0.1%"]/failure/@message)'), 'measured: 0.41 %')
  t.equal(read('string(//testsuite[@name="invariants"]/testcase[4]/skipped/@message)'), 'no device was removed in this run')
  t.match(read('string(//testsuite[@name="invariants"]/testcase[2]/failure)'), /^serial 4f1c/)
  t.equal(read('count(//testcase[@name="without a takeover"])'), '0')
  const machines = reader(loadJunit(machinesReport()))
  const takeover = 'string(//testcase[@name="without a takeover"]/skipped/@message)'
  t.equal(machines(takeover), `shards taken over from lost workers: 1; run b3kq7x2m: ${carried}`)
  t.equal(read('string(//testcase[@name="windows"]/failure/@message)'), '29 failed on 2,500 devices: 29 ERR_HTTP_STATUS')
  t.equal(read('count(//testcase[@name="ios"]/*)'), '0')
  t.equal(
    reader(loadJunit(emptyReport))('string(//testcase[@name="to its end"]/failure/@message)'),
    'the figures are of what was done until then',
  )
  const shown = hostile.replace('\u202e', '\u202e').replace('\u0007', '\\u{7}')
  t.equal(reader(loadJunit(hostileReport()))('string(//testsuite[@name="thresholds"]/testcase/@name)'), shown)
})
