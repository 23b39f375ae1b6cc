import { type LoadOutcome, type LoadRun, type PreparedLoad, prepareLoad } from '../fleet/load-run.ts'
import type { DeviceOutcome } from '../fleet/outcome.ts'
import type { LiveFacts } from '../report/live.ts'
import { showLive } from '../report/live-view.ts'
import { type Log, openLog } from '../report/log.ts'
import type { LogLevel } from '../report/log-events.ts'
import { serveMetrics } from '../report/metrics.ts'
import type { RunResults } from '../report/results.ts'
import type { LoadResults } from '../report/schema.ts'
import type { ScenarioDocument, Seed } from '../scenario/schema.ts'
import type { Io } from './io.ts'

export interface WatchOptions {
  readonly metrics?: number
  readonly otel?: true
  readonly log?: string
  readonly logLevel?: LogLevel
}

export interface Watched {
  readonly options: WatchOptions
  readonly scenario: ScenarioDocument
  readonly seed: Seed
  readonly target: string
  /** What is made of it in the end, and logged. */
  resultsOf(outcome: LoadOutcome): Results
}

type Results = RunResults & LoadResults

/** Runs a load with everything that shows it while it runs: the view on the terminal, Prometheus, and the log. */
export async function watchLoad(run: Omit<LoadRun, 'onDevice' | 'onCrash' | 'onWarning'>, watched: Watched, io: Io): Promise<Results> {
  const { options } = watched
  const warnings: string[] = []
  const log = await openedLog(options, io, warnings)
  const whole: LoadRun = {
    ...run,
    onDevice: (outcome) => logOutcome(log, outcome),
    onCrash({ worker, why, devicesRestarted }) {
      warnings.push(`${worker} ${why}; ${devicesRestarted} devices begin anew`)
      log?.write({ event: 'worker-crashed', worker, why, devicesRestarted })
    },
    onWarning(message) {
      warnings.push(message)
      log?.write({ event: 'warning', message })
    },
  }
  const load = prepareLoad(whole)
  try {
    const outcome = await shown(load, liveFacts(whole, watched, load, warnings), watched, io, () => logStart(log, run, watched))
    const results = watched.resultsOf(outcome)
    logEnd(log, results)
    return results
  } finally {
    log?.close()
  }
}

async function shown(load: PreparedLoad, facts: () => LiveFacts, { options }: Watched, io: Io, onStart: () => void): Promise<LoadOutcome> {
  const metrics = options.metrics === undefined ? undefined : await serveMetrics({ port: options.metrics, read: facts })
  if (metrics) io.err(`metrics at ${metrics.url}\n`)
  onStart()
  const finished = new AbortController()
  const sink = { write: io.err, isTerminal: io.errIsTerminal, env: io.env, ...(io.size && { size: io.size }) }
  const view = showLive(facts, sink, io.clock, finished.signal)
  try {
    return await load.run()
  } finally {
    finished.abort()
    await view
    await metrics?.close()
  }
}

async function openedLog({ log: file, logLevel: level }: WatchOptions, io: Io, warnings: string[]): Promise<Log | undefined> {
  if (file === undefined) return undefined
  return openLog({ destination: file, clock: io.clock, onLost: (message) => void warnings.push(message), ...(level && { level }) })
}

function logStart(log: Log | undefined, { shards, inProcesses }: Pick<LoadRun, 'shards' | 'inProcesses'>, { seed, target }: Watched): void {
  const devices = shards.reduce((sum, shard) => sum + shard.devices.length, 0)
  log?.write({ event: 'run-started', devices, seed: String(seed), target, workers: inProcesses ? shards.length : 0 })
}

function logEnd(log: Log | undefined, { generator, invariants, thresholds, verdict, outcomes, durationMs }: Results): void {
  for (const message of generator.why) log?.write({ event: 'warning', message })
  for (const { name: invariant, checked, violations } of invariants) log?.write({ event: 'invariant', invariant, checked, violations })
  for (const threshold of thresholds) log?.write({ event: 'threshold', ...threshold })
  const { installed, failed } = outcomes
  log?.write({ event: 'run-ended', verdict, installed, failed, durationMs })
}

function logOutcome(log: Log | undefined, { deviceId: device, platform, certificatesInstalled: installed, failures }: DeviceOutcome): void {
  log?.write({ event: 'device-completed', device, platform, installed })
  for (const { code, message } of failures) log?.write({ event: 'device-failed', device, platform, code, message })
}

/** What a view shows, read anew each time. */
function liveFacts(run: LoadRun, { scenario }: Watched, load: PreparedLoad, warnings: readonly string[]): () => LiveFacts {
  const devices = run.shards.flatMap((shard) => shard.devices)
  const due = devices.flatMap(({ dueMs }) => (dueMs === undefined ? [] : [dueMs])).sort((a, b) => a - b)
  return () => {
    const { latency, processes, ...numbers } = load.read()
    const elapsedMs = load.elapsedMs()
    return {
      ...numbers,
      total: devices.length,
      due: due.length > 0 ? countUpTo(due, elapsedMs) : numbers.started,
      elapsedMs,
      ...(scenario.duration !== undefined && { durationMs: scenario.duration }),
      ...(due.length > 0 && { lastDueMs: due.at(-1) as number }),
      latency: latency ?? undefined,
      workers: processes.map((process) => ({ ...process, state: stateOf(process.name, load) })),
      warnings: [...warnings, ...(run.source?.remarks() ?? []), ...numbers.warnings],
    }
  }
}

function stateOf(name: string, { crashes }: PreparedLoad): 'running' | 'restarted' {
  return crashes.some(({ worker }) => worker === name) ? 'restarted' : 'running'
}

/** How many of the sorted values are at most that. */
function countUpTo(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) <= value) low = middle + 1
    else high = middle
  }
  return low
}
