import { Counter, Gauge, Registry, Summary } from 'prom-client'
import type { LiveFacts, LiveStep, LiveWorker } from './live.ts'
import { printable } from './printable.ts'

interface Value {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Row {
  readonly type: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  readonly read: (facts: LiveFacts) => number | readonly Value[]
}

/** Named as Prometheus would have it: base units (seconds, bytes, ratios), `_total` for what only grows. */
const rows: readonly Row[] = [
  { type: 'gauge', name: 'certfleet_devices', help: 'Devices of the run.', read: ({ total }) => total },
  { type: 'counter', name: 'certfleet_devices_due_total', help: 'Devices that were due by the plan of arrivals.', read: ({ due }) => due },
  { type: 'counter', name: 'certfleet_devices_started_total', help: 'Devices that began.', read: ({ started }) => started },
  { type: 'counter', name: 'certfleet_devices_late_total', help: 'Devices that began late.', read: ({ late }) => late },
  { type: 'counter', name: 'certfleet_devices_completed_total', help: 'Devices that ended their first pass.', read: (f) => f.completed },
  { type: 'counter', name: 'certfleet_devices_failed_total', help: 'Completed devices that lack something.', read: ({ failed }) => failed },
  { type: 'gauge', name: 'certfleet_devices_active', help: 'Devices at work.', read: ({ active }) => active },
  { type: 'gauge', name: 'certfleet_devices_connected', help: 'Devices whose push connection is open.', read: (f) => f.connected },
  { type: 'counter', name: 'certfleet_certificates_installed_total', help: 'Certificates installed.', read: (f) => f.installed },
  { type: 'gauge', name: 'certfleet_certificates_pending', help: 'Certificates that the CA has not decided on.', read: (f) => f.pending },
  { type: 'gauge', name: 'certfleet_run_elapsed_seconds', help: 'Time since the start of the run.', read: (f) => f.elapsedMs / 1000 },
  { type: 'gauge', name: 'certfleet_warnings', help: 'Warnings that stand.', read: ({ warnings }) => warnings.length },
  { type: 'counter', name: 'certfleet_errors_total', help: 'Errors.', labels: ['code', 'step', 'answer'], read: errorValues },
  ofProcess('certfleet_process_cpu_ratio', 'CPU of a process, of one core.', ({ cpuShare }) => cpuShare),
  ofProcess('certfleet_process_memory_bytes', 'Resident memory of a process.', ({ rssBytes }) => rssBytes),
  ofProcess('certfleet_process_timer_lag_seconds', 'How late timers fire, 99th percentile.', ({ loopLagP99Ms: ms }) => ms && ms / 1000),
  ofProcess('certfleet_process_running', '1 for a process that runs.', ({ state }) => (state === 'ended' ? 0 : 1)),
]

export const metricsType: string = Registry.PROMETHEUS_CONTENT_TYPE

/** The facts in Prometheus's text format 0.0.4. */
export async function metricsText(facts: LiveFacts): Promise<string> {
  const registry = new Registry()
  for (const row of rows) register(row, facts, registry)
  registerSteps(facts, registry)
  return registry.metrics()
}

function register({ type, name, help, labels = [], read }: Row, facts: LiveFacts, registry: Registry): void {
  const values = read(facts)
  const metric = new (type === 'counter' ? Counter : Gauge)({ name, help, labelNames: [...labels], registers: [registry] })
  for (const { labels, value } of typeof values === 'number' ? [{ labels: {}, value: values }] : values) metric.inc(labels, value)
}

function ofProcess(name: string, help: string, read: (worker: LiveWorker) => number | undefined): Row {
  const values = ({ workers }: LiveFacts) =>
    workers.flatMap((worker) => {
      const value = read(worker)
      return value === undefined ? [] : [{ labels: { process: worker.name }, value }]
    })
  return { type: 'gauge', name, help, labels: ['process'], read: values }
}

function errorValues({ errors }: LiveFacts): Value[] {
  return errors.map(({ code, step, answer, count }) => ({ labels: { code, step, answer: printable(answer ?? '') }, value: count }))
}

const stepMetric = 'certfleet_step_duration_seconds'

/** A summary whose quantiles come from the run's own histograms, not from those that prom-client would make. */
function registerSteps({ steps }: LiveFacts, registry: Registry): void {
  const help = 'Latency of a step since the start of the run; that of an enrollment counts from when its device was due.'
  const summary = new Summary({ name: stepMetric, help, labelNames: ['step'], registers: [registry] })
  const get = summary.get.bind(summary)
  summary.get = async () => ({ ...(await get()), values: steps.flatMap(stepValues) })
}

function stepValues({ step, count, sumMs, p50Ms, p90Ms, p99Ms, p999Ms }: LiveStep) {
  const quantiles = { '0.5': p50Ms, '0.9': p90Ms, '0.99': p99Ms, '0.999': p999Ms }
  return [
    ...Object.entries(quantiles).map(([quantile, ms]) => ({ labels: { step, quantile }, value: ms / 1000 })),
    { metricName: `${stepMetric}_sum`, labels: { step }, value: sumMs / 1000 },
    { metricName: `${stepMetric}_count`, labels: { step }, value: count },
  ]
}
