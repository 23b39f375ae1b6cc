import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { runCommandLine } from '@certfleet/emulator/commands'
import { resultsSchema } from '@certfleet/emulator/fleet'
import t, { type Test } from 'tap'
import { fleetProcesses, logged, resultsIn, spawnRun } from '../fakes/fleet-processes.ts'
import { primesFolder } from '../fleet/emulated-keys.ts'
import { command, terminal } from './terminal.ts'

async function fleet(t: Test, scenario: string) {
  const folder = t.testdir({ 's.yaml': `seed: 3\nkeys: primes\n${scenario}` })
  const pool = await primesFolder(join(folder, 'keys'))
  const path = (name: string) => join(folder, name)
  return { path, argv: (...more: string[]) => ['run', path('s.yaml'), '--key-pool', pool, ...more] }
}

t.test('the figures of a run while it stays', async (t) => {
  const { argv } = await fleet(t, 'devices: { ios: 3 }\nduration: 4s\ncheckIn: 1s\nthink: 100ms\n')
  const { io, seen, stderr, stdout } = terminal()
  const running = runCommandLine(argv('--metrics', '0', '--in-process', '--json'), io)
  await seen(/metrics at/)
  const url = /metrics at (\S+)/.exec(stderr())?.[1] as string
  let scraped = ''
  while (!/^certfleet_certificates_installed_total 3$/m.test(scraped)) scraped = await fetch(url).then((answer) => answer.text())
  t.match(scraped, /^certfleet_devices 3$/m)
  t.match(scraped, /^certfleet_step_duration_seconds_count\{step="enrollment"\} 3$/m)
  t.equal(await running, 0, stderr())
  await t.rejects(fetch(url), 'the server ends with the run')
  const { durationMs, steps, outcomes } = resultsIn(stdout())
  t.match(outcomes, { installed: 3, failed: 0 })
  t.ok(durationMs >= 4_000 && durationMs < 15_000, `${durationMs} ms`)
  const checkIns = steps.find(({ step, platform }) => step === 'check-in' && platform === 'all')?.count ?? 0
  t.ok(checkIns >= 3, `${checkIns} check-ins`)
})

t.test('devices that stay are connected', async (t) => {
  const { argv } = await fleet(t, 'devices: { ios: 2 }\nduration: 3s\n')
  const { exitCode, stdout, stderr } = await command(argv('--json'))
  t.equal(exitCode, 0, stderr)
  const { steps, timeline } = resultsIn(stdout)
  t.match(
    steps.find(({ step }) => step === 'push'),
    { count: 2 },
  )
  t.equal(Math.max(...timeline.bins.map(({ connected }) => connected)), 2)
})

t.test('a report, a log and thresholds', async (t) => {
  const { path, argv } = await fleet(t, 'devices: { ios: 2 }\nthresholds: [enrollment.p99 < 1ms, installed.count == 2]\n')
  const { exitCode, stdout } = await command(argv('--in-process', '--report', path('report'), '--log', path('log')))
  t.equal(exitCode, 1)
  t.match(stdout, /MISSED {2}enrollment\.p99 < 1ms {2}\([\d.]+ ms\)/)
  t.match(stdout, /met {5}installed\.count == 2 {2}\(2\)/)
  t.match(stdout, /FAILED\n {2}threshold missed: enrollment\.p99 < 1ms/)
  const results = resultsIn(readFileSync(path('report/results.json'), 'utf8'))
  t.equal(resultsSchema.safeParse(results).error, undefined)
  t.match(results, { verdict: 'failed', thresholds: [{ passed: false }, { passed: true }, { threshold: 'invariants == 0', passed: true }] })
  t.match(readFileSync(path('report/junit.xml'), 'utf8'), /<testcase classname="thresholds" name="enrollment\.p99 &lt; 1ms"><failure /)
  t.match(readFileSync(path('report/report.html'), 'utf8'), /^<!doctype html>/i)
  t.match(readFileSync(path('report/root.pem'), 'utf8'), /^-----BEGIN CERTIFICATE/)
  const events = logged(path('log'))
  t.match(events[0], { event: 'run-started', devices: 2, workers: 0 })
  t.equal(events.filter(({ event }) => event === 'device-completed').length, 2)
  t.match(events.at(-1), { event: 'run-ended', verdict: 'failed', installed: 2 })
  t.equal(statSync(path('log')).mode & 0o077, 0)
})

t.test('what cannot be shown is told before anything runs', async (t) => {
  const { path, argv } = await fleet(t, 'devices: { ios: 1 }\n')
  const state = ['--state', path('state')]
  t.match(await command(argv('--otel', ...state)), { exitCode: 2, stderr: /--otel: no OpenTelemetry SDK is loaded/ })
  t.throws(() => statSync(path('state')), 'nothing was begun')
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const refused = await command(argv('--workers', '1', '--metrics', `${port}`))
  t.match(refused, { exitCode: 2, stderr: /--metrics: port \d+ of 127\.0\.0\.1 is taken/ })
  t.match(await command(argv('--log', path('no/log'))), { exitCode: 2, stderr: /--log: .* cannot be written \(ENOENT\)/ })
  t.strictSame(fleetProcesses(), [])
})

/** An SDK that writes each span of whatever process to one file. */
const tracing = (file: string) => `
import { appendFileSync } from 'node:fs'
import { trace } from '@opentelemetry/api'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
const line = ({ name, attributes }) => JSON.stringify({ pid: process.pid, name, attributes }) + '\\n'
const exporter = {
  export(spans, done) {
    appendFileSync(${JSON.stringify(file)}, spans.map(line).join(''))
    done({ code: 0 })
  },
  shutdown: async () => {},
}
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
`

t.test('spans of the workers, by the SDK that is loaded', async (t) => {
  const { path, argv } = await fleet(t, 'devices: { ios: 2 }\nworkers: 2\n')
  writeFileSync(path('tracing.mjs'), tracing(path('spans')))
  const run = spawnRun(t, [...argv('--otel').slice(1)], { NODE_OPTIONS: `--import ${path('tracing.mjs')}` })
  t.match(await run.ended, { exitCode: 0 }, run.stderr())
  const spans = readFileSync(path('spans'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.equal(new Set(spans.map(({ pid }) => pid)).size, 2, 'of two processes')
  t.ok(spans.every(({ pid }) => pid !== run.pid))
  for (const device of ['ios-000001', 'ios-000002']) {
    const names = spans.filter(({ attributes }) => attributes['certfleet.device'] === device).map(({ name }) => name)
    for (const name of ['device', 'keygen', 'PKIOperation', 'install']) t.ok(names.includes(name), `${name} of ${device}`)
  }
})
