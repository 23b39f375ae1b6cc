import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { LiveFacts } from '#emulator/report/live.ts'
import { serveMetrics } from '#emulator/report/metrics.ts'
import { liveFacts } from '../fakes/live-facts.ts'
import { root } from '../tooling/root.ts'
import { samplesOf } from './exposition.ts'

interface Answer {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly text: string
}

function ask(url: string, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode, type: response.headers['content-type'], text: Buffer.concat(chunks).toString() }),
      )
    })
    asked.on('error', reject).end()
  })
}

async function scraped(facts: Partial<LiveFacts>): Promise<ReadonlyMap<string, number>> {
  const served = await serveMetrics({ port: 0, read: () => liveFacts(facts) })
  try {
    return samplesOf((await ask(served.url)).text)
  } finally {
    await served.close()
  }
}

t.test('every figure of the run, in the text format', async (t) => {
  t.strictSame(Object.fromEntries(await scraped({})), {
    certfleet_devices: 10_000,
    certfleet_devices_due_total: 5_000,
    certfleet_devices_started_total: 4_990,
    certfleet_devices_late_total: 7,
    certfleet_devices_completed_total: 4_200,
    certfleet_devices_failed_total: 12,
    certfleet_devices_active: 780,
    certfleet_devices_connected: 3_900,
    certfleet_certificates_installed_total: 4_180,
    certfleet_certificates_pending: 18,
    certfleet_run_elapsed_seconds: 84,
    certfleet_warnings: 1,
    'certfleet_errors_total{answer="",code="ERR_NETWORK",step="connect"}': 2,
    'certfleet_errors_total{answer="HTTP 503",code="ERR_HTTP_STATUS",step="PKIOperation"}': 12,
    'certfleet_process_cpu_ratio{process="worker 1"}': 0.92,
    'certfleet_process_cpu_ratio{process="worker 2"}': 0,
    'certfleet_process_memory_bytes{process="worker 1"}': 180 * 2 ** 20,
    'certfleet_process_memory_bytes{process="worker 2"}': 0,
    'certfleet_process_timer_lag_seconds{process="worker 1"}': 0.0123,
    'certfleet_process_running{process="worker 1"}': 1,
    'certfleet_process_running{process="worker 2"}': 0,
    'certfleet_step_duration_seconds{quantile="0.5",step="connect"}': 0.00121,
    'certfleet_step_duration_seconds{quantile="0.9",step="connect"}': 0.0045,
    'certfleet_step_duration_seconds{quantile="0.99",step="connect"}': 0.0123,
    'certfleet_step_duration_seconds{quantile="0.999",step="connect"}': 0.04,
    'certfleet_step_duration_seconds_sum{step="connect"}': 7,
    'certfleet_step_duration_seconds_count{step="connect"}': 4_990,
    'certfleet_step_duration_seconds{quantile="0.5",step="enrollment"}': 0.105,
    'certfleet_step_duration_seconds{quantile="0.9",step="enrollment"}': 0.4,
    'certfleet_step_duration_seconds{quantile="0.99",step="enrollment"}': 1.23,
    'certfleet_step_duration_seconds{quantile="0.999",step="enrollment"}': 2,
    'certfleet_step_duration_seconds_sum{step="enrollment"}': 600,
    'certfleet_step_duration_seconds_count{step="enrollment"}': 4_180,
  })
})

t.test('docs/load-testing.md names them all, and no other', async (t) => {
  const page = readFileSync(join(root, 'docs/load-testing.md'), 'utf8')
  const named = [...page.matchAll(/^\| `(certfleet_\w+)(?:\{.*\})?` \|/gm)].map(([, name]) => name)
  const served = [...(await scraped({})).keys()].map((key) => key.replace(/\{.*/, '').replace(/_(sum|count)$/, ''))
  t.strictSame(named.sort(), [...new Set(served)].sort())
})

t.test('a run that has not begun has nothing wrong in it', async (t) => {
  const samples = await scraped({ steps: [], errors: [], workers: [] })
  t.equal([...samples.keys()].filter((name) => name.includes('{')).length, 0)
})

t.test('what a server said is a label, whatever it is', async (t) => {
  const answer = 'say "\\n\n\r\u2028'
  const samples = await scraped({ errors: [{ code: 'ERR_NETWORK', step: 'poll', answer, count: 3 }] })
  t.equal(samples.get(`certfleet_errors_total{answer=${JSON.stringify('say "\\n\n\\u{d}\\u{2028}')},code="ERR_NETWORK",step="poll"}`), 3)
})

t.test('the server', async (t) => {
  let completed = 0
  const served = await serveMetrics({ port: 0, read: () => liveFacts({ completed: ++completed }) })
  t.teardown(() => served.close())
  t.equal(served.url, `http://127.0.0.1:${served.port}/metrics`)
  t.match(await ask(served.url), { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', text: 'completed_total 1\n' })
  t.match(await ask(`${served.url}?x=1`), { status: 200, text: 'completed_total 2\n' }, 'read at each scrape')
  for (const [url, method] of [
    [served.url, 'POST'],
    [`${served.url}/`, 'GET'],
    [new URL('/', served.url).href, 'GET'],
  ] as const)
    t.match(await ask(url, method), { status: 404 }, `${method} ${url}`)
  await t.rejects(serveMetrics({ port: served.port, read: () => liveFacts({}) }), {
    name: 'InputError',
    message: `--metrics: port ${served.port} of 127.0.0.1 is taken; end what holds it, or name another, or 0 for any that is free`,
  })
})

t.test('closing waits for no scrape', async (t) => {
  const served = await serveMetrics({ port: 0, read: () => liveFacts({}) })
  const socket = connect(served.port, '127.0.0.1')
  const ended = new Promise((resolve) => socket.on('error', resolve).on('close', resolve))
  await new Promise<void>((resolve) => socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n', () => resolve()))
  await ask(served.url)
  await Promise.all([served.close(), served.close()])
  await ended
  t.pass('the connection was ended')
})
