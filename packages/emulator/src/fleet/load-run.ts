import { AgentError, type Clock, type Instant, type Transport } from '@certfleet/agent-core'
import { stopwatchMs } from '@certfleet/agent-core/system'
import { invariantLedger } from '../invariants/ledger.ts'
import { measurementsTotal } from '../measure/add.ts'
import { type LiveNumbers, liveNumbers } from '../measure/live.ts'
import { sinceStart } from '../measure/meter.ts'
import { type LoadNumbers, loadNumbers } from '../measure/numbers.ts'
import type { CrashResult, InvariantResult } from '../report/schema.ts'
import { coordinate } from './coordinate.ts'
import type { EmbeddedLab } from './embedded-lab.ts'
import { type InjectedFault, injectedFaults } from './faults.ts'
import type { DeviceOutcome, FleetOutcome } from './outcome.ts'
import type { FleetDevice } from './run.ts'
import type { DeviceNews, ShardNews, ShardOrders } from './shard.ts'

export interface LoadRun {
  readonly shards: readonly ShardOrders[]
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

  function onDevice({ index, outcome, findings }: DeviceNews): void {
    outcomes.set(index, outcome)
    if (findings) ledger.add(findings)
    run.onDevice(outcome)
  }

  function onCrash(crash: CrashResult): void {
    crashes.push(crash)
    run.onCrash(crash)
  }

  function onReady(): Instant {
    startedAt = clock.now()
    elapsedMs = sinceStart(startedAt, clock, stopwatchMs)
    return startedAt
  }

  async function runAll(): Promise<LoadOutcome> {
    const { lost, begunAgain } = await coordinate({ ...run, onReady, onNews, onCrash })
    const durationMs = startedAt === undefined ? 0 : clock.now() - startedAt
    const interrupted = signal.aborted
    const atLab = await askLab(run, (why) => onCrash({ worker: 'lab', atMs: durationMs, why, devicesRestarted: 0 }))
    if (atLab?.cost) total.addCost(atLab.cost, 'lab', 'lab')
    const crashed = new Set([...lost, ...begunAgain].map(({ spec }) => spec.id))
    return {
      startedAt: startedAt ?? clock.now(),
      fleet: { devices: inOrder(outcomes), durationMs, interrupted },
      numbers: loadNumbers(total, run.cores),
      invariants: ledger.results({ crashed, ...(atLab && !interrupted && { labIssued: atLab.issued }) }),
      crashes,
      lost,
      faults,
    }
  }

  const sinceBegin = () => elapsedMs()
  return { read: liveNumbers(total, run.cores, sinceBegin), elapsedMs: sinceBegin, crashes, run: runAll }
}

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
