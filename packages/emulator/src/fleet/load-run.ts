import { AgentError, type Clock, type Instant, type Transport } from '@certfleet/agent-core'
import { stopwatchMs } from '@certfleet/agent-core/system'
import { invariantLedger } from '../invariants/ledger.ts'
import { type MeasurementsTotal, measurementsTotal } from '../measure/add.ts'
import { type LiveNumbers, liveNumbers } from '../measure/live.ts'
import { sinceStart } from '../measure/meter.ts'
import { type LoadNumbers, loadNumbers } from '../measure/numbers.ts'
import type { CrashResult, InvariantResult, QueueResult } from '../report/schema.ts'
import { type Coordinated, type Coordination, coordinate } from './coordinate.ts'
import type { EmbeddedLab } from './embedded-lab.ts'
import { type InjectedFault, injectedFaults } from './faults.ts'
import type { DeviceOutcome, FleetOutcome } from './outcome.ts'
import type { FleetDevice } from './run.ts'
import type { DeviceNews, ShardNews, ShardOrders } from './shard.ts'

/** What a source tells while it runs. */
export interface SourcePorts extends Pick<Coordination, 'clock' | 'signal' | 'onNews'> {
  /** The run has begun, at that moment. Called once. */
  onBegun(startedAt: Instant): void
  /** For people, what happened to the run. */
  onWarning(message: string): void
}

export interface SourceEnd extends Coordinated {
  readonly queue: QueueResult
  readonly interrupted: boolean
  /** Of all machines that carried devices. */
  readonly cores: number
  /** How long nobody had any of the run. */
  readonly pausedMs: number
}

/** Where the news of a run come from that goes on elsewhere. */
export interface LoadSource {
  /** Reads until the run is over, or stopped. Rejects for a bug, and with what the queue refuses. */
  follow(ports: SourcePorts): Promise<SourceEnd>
  /** For people, as it stands now. */
  remarks(): readonly string[]
}

export interface LoadRun {
  readonly shards: readonly ShardOrders[]
  /** Default: the shards are run from here. */
  readonly source?: LoadSource | undefined
  readonly inProcesses: boolean
  readonly lab?: EmbeddedLab | undefined
  /** Only in this process: where the target is called in it. */
  readonly transport?: Transport | undefined
  readonly clock: Clock
  readonly cores: number
  /** Ends the run early, with what was done until then. */
  readonly signal: AbortSignal
  onDevice(outcome: DeviceOutcome): void
  onCrash(crash: CrashResult): void
  /** For people, what else happened. */
  onWarning(message: string): void
}

/** A run, before, while and after it goes on. */
export interface PreparedLoad {
  /** What was measured so far. */
  read(): LiveNumbers
  /** Since it began; 0 before. */
  elapsedMs(): number
  readonly crashes: readonly CrashResult[]
  /** Runs the shards, adds up what they tell, and looks at the whole when they are through. Once. */
  run(): Promise<LoadOutcome>
}

export interface LoadOutcome {
  readonly startedAt: Instant
  readonly fleet: FleetOutcome
  readonly numbers: LoadNumbers
  readonly invariants: readonly InvariantResult[]
  readonly crashes: readonly CrashResult[]
  readonly lost: readonly FleetDevice[]
  /** How many of each the scenario's faults were. */
  readonly faults: Readonly<Record<InjectedFault, number>>
  /** Ids of those that a takeover delayed. Default none. */
  readonly delayed?: ReadonlySet<string> | undefined
  /** Of a run over several machines. */
  readonly queue?: QueueResult | undefined
}

export function prepareLoad(run: LoadRun): PreparedLoad {
  const { clock, signal } = run
  let startedAt: Instant | undefined
  let elapsedMs = () => 0
  const total = measurementsTotal()
  const ledger = invariantLedger()
  const outcomes = new Map<number, DeviceOutcome>()
  const faults: Record<InjectedFault, number> = { lostRequests: 0, lostAnswers: 0, delayed: 0 }
  const crashes: CrashResult[] = []
  const delayed = new Set<string>()

  function onNews(news: ShardNews, shard: string): void {
    switch (news.kind) {
      case 'measured':
        total.add(news.measurements, shard)
        return
      case 'faults':
        for (const fault of injectedFaults) faults[fault] += news.faults[fault]
        return
      case 'devices':
        for (const device of news.devices) onDevice(device)
        return
      case 'taken':
      case 'parked':
      case 'repeated':
    }
  }

  function onDevice({ index, outcome, findings, isDelayed }: DeviceNews): void {
    outcomes.set(index, outcome)
    if (isDelayed) delayed.add(outcome.deviceId)
    if (findings) ledger.add(findings)
    run.onDevice(outcome)
  }

  function onCrash(crash: CrashResult): void {
    crashes.push(crash)
    run.onCrash(crash)
  }

  function onBegun(at: Instant): Instant {
    startedAt = at
    elapsedMs = sinceStart(at, clock, stopwatchMs)
    return at
  }

  async function allOf(): Promise<Coordinated & Partial<SourceEnd>> {
    if (run.source) return run.source.follow({ clock, signal, onNews, onBegun, onWarning: run.onWarning })
    return coordinate({ ...run, onReady: () => onBegun(clock.now()), onNews, onCrash })
  }

  /** Whoever reads a run of other machines may come long after it: it lasted until the last thing that was measured. */
  function durationOf({ pausedMs = 0 }: Partial<SourceEnd>): number {
    const sinceBegunMs = startedAt === undefined ? 0 : clock.now() - startedAt
    return run.source ? Math.max(0, Math.min(sinceBegunMs, lastMomentMs(total)) - pausedMs) : sinceBegunMs
  }

  async function runAll(): Promise<LoadOutcome> {
    const end = await allOf()
    const { lost, begunAgain, interrupted = signal.aborted, cores = run.cores, queue } = end
    const durationMs = durationOf(end)
    const atLab = await askLab(run, (why) => onCrash({ worker: 'lab', atMs: durationMs, why, devicesRestarted: 0 }))
    if (atLab?.cost) total.addCost(atLab.cost, 'lab', 'lab')
    const crashed = new Set([...lost, ...begunAgain].map(({ spec }) => spec.id))
    return {
      startedAt: startedAt ?? clock.now(),
      fleet: { devices: inOrder(outcomes), durationMs, interrupted },
      numbers: loadNumbers(total, cores),
      invariants: ledger.results({ crashed, ...(atLab && !interrupted && { labIssued: atLab.issued }) }),
      crashes,
      lost,
      faults,
      delayed,
      ...(queue && { queue }),
    }
  }

  const sinceBegin = () => elapsedMs()
  // How many machines carry a run is known at its end.
  const cores = run.source ? Number.POSITIVE_INFINITY : run.cores
  return { read: liveNumbers(total, cores, sinceBegin), elapsedMs: sinceBegin, crashes, run: runAll }
}

/** Since the start of the run, the end of the last stretch of time in which something happened. */
const lastMomentMs = ({ sums: { bins, binMs } }: MeasurementsTotal): number => (Math.max(-1, ...bins.keys()) + 1) * binMs

const inOrder = (outcomes: ReadonlyMap<number, DeviceOutcome>): readonly DeviceOutcome[] =>
  [...outcomes].sort(([a], [b]) => a - b).map(([, outcome]) => outcome)

/** What the embedded lab has to say at the end; a lab whose process is gone has nothing. */
async function askLab({ lab }: LoadRun, onGone: (why: string) => void) {
  if (!lab) return undefined
  try {
    return { issued: await lab.issued(), cost: await lab.cost?.() }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    onGone(error.message)
    return undefined
  }
}
