import t from 'tap'
import { etaMs } from '#emulator/report/eta.ts'
import type { LiveFacts } from '#emulator/report/live.ts'
import { liveLines, sparkline } from '#emulator/report/live-block.ts'
import { type LiveSink, liveLine, showLive } from '#emulator/report/live-view.ts'
import { FakeClock } from '../fakes/clock.ts'
import { liveFacts } from '../fakes/live-facts.ts'

const widest = (lines: readonly string[]) => Math.max(...lines.map((line) => line.length))

t.test('the block of a terminal', async (t) => {
  t.strictSame(liveLines(liveFacts({}), 80, 40), [
    '██████░░░░░░░░░ 42 %  4200/10000 devices  12 failed  1 min 24 s  ETA 1 min 56 s',
    '5000 due  4990 started  7 late  780 active  3900 connected',
    '4180 certificates  18 pending  52.1/s  ▁▃▅█ ▄',
    'step        count  p50 ms  p90 ms  p99 ms',
    'enrollment   4180     105     400    1230',
    'connect      4990    1.21    4.50    12.3',
    'errors',
    '     12  ERR_HTTP_STATUS  PKIOperation  HTTP 503',
    '      2  ERR_NETWORK  connect',
    'process     state   CPU  MiB  lag p99 ms',
    'worker 1  running  92 %  180        12.3',
    'worker 2    ended   0 %    0           -',
    '! the generator is the limit',
  ])
})

t.test('what fits into the terminal', async (t) => {
  const many = liveFacts({
    workers: Array.from({ length: 64 }, (_, i) => ({ name: `worker ${i}`, state: 'running', cpuShare: 1, rssBytes: 0, loopLagP99Ms: 1 })),
    errors: Array.from({ length: 9 }, (_, i) => ({ code: `ERR_${i}`, step: 'poll', answer: null, count: i })),
  })
  for (const [columns, rows] of [
    [200, 100],
    [80, 24],
    [60, 10],
    [12, 5],
    [1, 1],
    [2, 2],
  ] as const) {
    const lines = liveLines(many, columns, rows)
    t.ok(lines.length <= rows - 1, `${columns} by ${rows}: ${lines.length} lines`)
    t.ok(widest(lines) <= columns - 1, `${columns} by ${rows}: ${widest(lines)} characters`)
  }
  t.match(liveLines(liveFacts({}), 200, 40)[0], /^█{10}░{14} 42 %/)
  t.match(liveLines(liveFacts({}), 71, 40)[0], /^█{2}░{4} 42 %/, 'the shortest bar')
  t.match(liveLines(liveFacts({}), 70, 40)[0], /^42 %.* ETA 1 min 56 s$/)
  const shown = (rows: number) => liveLines(many, 80, rows).map((line) => line.trim())
  t.match(shown(80).slice(6, 13), ['errors', /^8 {2}ERR_8/, /^7/, /^6/, /^5/, /^4/, 'and 4 more'], 'the most frequent')
  t.equal(shown(80).at(-2), 'worker 63  running  100 %    0        1.00')
  t.match(shown(17).at(-2), /^and 4 more/, 'no room for workers')
  t.match(shown(20).slice(-3), [/^worker 2 /, 'and 61 more', '! the generator is the limit'])
  t.match(shown(5), [/42 %/, /due/, /certificates/, '! the generator is the limit'], 'a warning before everything')
})

t.test('text of a server cannot steer the terminal or shift its rows', async (t) => {
  const answer = 'a\x1b[2J\n\u202eb\u{1f600}漢'
  const [line] = liveLines(liveFacts({ errors: [{ code: 'ERR_NETWORK', step: 'poll', answer, count: 1 }] }), 200, 40).slice(7)
  t.equal(line, '      1  ERR_NETWORK  poll  a\\u{1b}[2J?\\u{202e}b??')
})

t.test('sparkline', async (t) => {
  t.equal(sparkline([]), '')
  t.equal(sparkline([0, 0]), '  ')
  t.equal(sparkline([1, 4, 8, 0.01]), '▁▄█▁')
})

t.test('ETA', async (t) => {
  const latency = (p50Ms: number) => ({ p50Ms, p90Ms: p50Ms, p99Ms: p50Ms })
  const run = { total: 1000, due: 100, completed: 0, elapsedMs: 10_000, latency: undefined }
  const rows: [string, Parameters<typeof etaMs>[0], number | undefined][] = [
    ['nothing done, nothing planned', run, undefined],
    ['closed: at the pace so far', { ...run, completed: 250, latency: latency(20) }, 30_000],
    ['closed, all done', { ...run, completed: 1000, latency: latency(20) }, 0],
    ['a run of a given length', { ...run, completed: 250, durationMs: 15_000 }, 5_000],
    ['a run of a given length, over', { ...run, durationMs: 9_000 }, 0],
    ['open: nothing done, the plan', { ...run, lastDueMs: 90_000 }, 80_000],
    ['open: a ramp at its start, kept up with', { ...run, due: 50, completed: 49, lastDueMs: 100_000, latency: latency(100) }, 90_000],
    ['open: half of what comes is done', { ...run, due: 500, completed: 250, lastDueMs: 20_000, latency: latency(2_500) }, 30_000],
    [
      'open: the plan is over, the rest at the pace',
      { ...run, due: 1000, completed: 500, lastDueMs: 5_000, latency: latency(4_000) },
      10_000,
    ],
    ['open: all at once', { ...run, due: 1000, completed: 500, lastDueMs: 0, latency: latency(5_000) }, 10_000],
  ]
  for (const [name, facts, expected] of rows) t.equal(etaMs(facts), expected, name)
})

async function shown(
  sink: Partial<LiveSink>,
  ms: number,
  facts: (elapsedMs: number) => LiveFacts = (elapsedMs) => liveFacts({ elapsedMs }),
) {
  const clock = new FakeClock()
  const ended = new AbortController()
  const written: string[] = []
  const read = () => facts(clock.now())
  const view = showLive(read, { isTerminal: false, env: {}, ...sink, write: (text) => void written.push(text) }, clock, ended.signal)
  await clock.advance(ms)
  ended.abort()
  await view
  return written
}

t.test('without a terminal: a line each 5 s, each 30 s after a minute', async (t) => {
  const lines = await shown({}, 125_000)
  t.equal(lines.length, 12 + 2)
  t.equal(lines.join('').split('!').length, 1 + 1, 'a warning once')
  for (const sink of [{}, { isTerminal: true, env: { TERM: 'dumb' } }])
    t.notMatch((await shown(sink, 5_000)).join(''), /[^\P{C}\n]/u, 'no escape code')
  t.equal(
    lines[0],
    '4200/10000 devices  4180 certificates  52.1/s  12 failed  7 late  p50 15000 ms  p99 16230 ms  ETA 3 min 15 s\n! the generator is the limit\n',
  )
  const { latency: _, ...quiet } = liveFacts({ late: 0, completed: 0 })
  t.equal(liveLine({ ...quiet, latency: undefined }), '0/10000 devices  4180 certificates  52.1/s  12 failed  ETA 1 min 56 s')
})

t.test('a terminal', async (t) => {
  const large = { columns: 80, rows: 40 }
  const [first, second, last, ...more] = await shown({ isTerminal: true, size: () => large }, 400)
  t.ok(first?.startsWith('\r\x1b[J\x1b[1m█'))
  t.ok(second?.startsWith('\r\x1b[13A\x1b[J\x1b[1m█'), 'over what was drawn')
  t.ok(second?.includes('\n\x1b[31m     12  ERR_HTTP_STATUS'))
  t.strictSame([last, more], ['\r\x1b[13A\x1b[J', []], 'gone at the end')

  const colours = async (env: LiveSink['env']) => (await shown({ isTerminal: true, env }, 200))[0]?.includes('\x1b[1m')
  t.equal(await colours({ NO_COLOR: '1' }), false)
  t.equal(await colours({ NO_COLOR: '' }), true, 'an empty NO_COLOR asks for nothing')

  const sizes = [large, { columns: 40, rows: 40 }, { columns: 40, rows: 6 }]
  const resized = await shown({ isTerminal: true, size: () => sizes.shift() ?? { columns: undefined, rows: 0 } }, 600)
  t.ok(resized[1]?.startsWith('\r\x1b[20A\x1b[J'), 'seven of thirteen lines were wrapped')
  t.ok(resized[2]?.startsWith('\r\x1b[5A\x1b[J'), 'no further than the screen')
})
