import type { Performance } from 'node:perf_hooks'
import type { Clock } from '@certfleet/agent-core'
import { emptyHistogram, encode, type Histogram, percentilesUs, recordMs } from './histogram.ts'
import type { ProcessCost } from './types.ts'

/** What a process has used since it began, in milliseconds; its memory is as it stands. */
export interface CostSource {
  /** User and system, all threads. */
  cpuMs(): number
  /** Its event loop at work. */
  busyMs(): number
  rssBytes(): number
}

export const ownProcess: CostSource = {
  cpuMs() {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
  },
  busyMs: () => (performance as unknown as Performance).eventLoopUtilization().active,
  rssBytes: () => process.memoryUsage.rss(),
}

export interface CostMeter {
  /** What it cost since the last taking. */
  take(): ProcessCost
}

export interface CostOptions {
  readonly clock: Clock
  readonly stopwatchMs: () => number
  /** Ends the watching of the event loop, which keeps the process alive. */
  readonly signal: AbortSignal
  /** Default: this process. */
  readonly source?: CostSource
}

/** An idle process that wakes for it uses half a hundredth of a core. */
const tickMs = 50

/** Watches what this process costs, from now on. */
export function meterCost({ clock, stopwatchMs, signal, source = ownProcess }: CostOptions): CostMeter {
  let loopLag = emptyHistogram()
  const read = () => ({ cpuMs: source.cpuMs(), busyMs: source.busyMs(), wallMs: stopwatchMs() })
  let before = read()
  watchLoop(clock, stopwatchMs, signal, (lagMs) => recordLag(loopLag, lagMs)).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  return {
    take() {
      const now = read()
      const { cpuMs, busyMs, wallMs } = before
      const taken = { cpuMs: now.cpuMs - cpuMs, busyMs: now.busyMs - busyMs, wallMs: now.wallMs - wallMs }
      const cost = { ...taken, rssBytes: source.rssBytes(), loopLag: encode(loopLag) }
      before = now
      loopLag = emptyHistogram()
      return cost
    },
  }
}

/** A timer of our own and not `monitorEventLoopDelay`: that one tells the time between two ticks, and a loop that stood still as one tick. */
async function watchLoop(clock: Clock, stopwatchMs: () => number, signal: AbortSignal, onLag: (lagMs: number) => void): Promise<void> {
  while (!signal.aborted) {
    const begunMs = stopwatchMs()
    await clock.sleep(tickMs, signal)
    onLag(stopwatchMs() - begunMs - tickMs)
  }
}

/** A loop that stood still for a second is one late tick, and nineteen that never came: each would have been late by what was left. */
function recordLag(histogram: Histogram, lagMs: number): void {
  recordMs(histogram, lagMs)
  for (let leftMs = lagMs - tickMs; leftMs > 0; leftMs -= tickMs) recordMs(histogram, leftMs)
}

/** One process of a run over its whole time. */
export interface ProcessTotal {
  readonly name: string
  /** `lab`: it is what is tested, and shares the machine. */
  readonly role: 'fleet' | 'lab'
  cpuMs: number
  busyMs: number
  wallMs: number
  /** At its largest. */
  rssBytes: number
  readonly loopLag: Histogram
}

/** A device that acts that much late measures a server that is that much slower. The same as `lateAfterMs`. */
const maxLagP99Ms = 100
/** With less than a tenth of the time to spare, queues grow in front of the loop: from there on it is the loop that is measured. */
const maxBusyShare = 0.9
/** More than that, and the p99 of the plan's devices is one of late devices. */
const maxLateShare = 0.01
/** The rest goes to the system and what else runs on the machine. */
const maxCoresShare = 0.9

/** Whether the fleet, not the server, set the pace: then latencies are too high and rates too low, and `why` says by what it shows. */
export function generatorVerdict(
  { processes, late, started }: { readonly processes: readonly ProcessTotal[]; readonly late: number; readonly started: number },
  cores: number,
): { limited: boolean; why: string[] } {
  const fleet = processes.filter(({ role }) => role === 'fleet')
  const why = [...fleet.flatMap(whyOfProcess), ...whyOfArrivals(late, started), ...whyOfCores(processes, cores)]
  return { limited: why.length > 0, why }
}

function whyOfProcess({ name, loopLag, busyMs, wallMs }: ProcessTotal): string[] {
  const lagMs = (percentilesUs(loopLag, [99])[0] as number) / 1000
  const share = busyMs / wallMs
  return [
    ...(lagMs > maxLagP99Ms ? [`${name}: one timer in a hundred fired ${Math.round(lagMs)} ms late or more (at most ${maxLagP99Ms})`] : []),
    ...(share > maxBusyShare ? [`${name}: its event loop was busy ${percent(share)} of the time (at most ${percent(maxBusyShare)})`] : []),
  ]
}

function whyOfArrivals(late: number, started: number): string[] {
  if (late <= started * maxLateShare) return []
  return [`${late} of ${started} devices began late against the plan of arrivals (at most ${percent(maxLateShare)})`]
}

function whyOfCores(processes: readonly ProcessTotal[], cores: number): string[] {
  const usedMs = processes.reduce((sum, { cpuMs }) => sum + cpuMs, 0)
  const share = usedMs / (cores * Math.max(0, ...processes.map(({ wallMs }) => wallMs)))
  if (!(share >= maxCoresShare)) return []
  const who = processes.some(({ role }) => role === 'lab')
    ? 'fleet and lab share the machine: the figures are of both, and they'
    : 'the fleet'
  return [`${who} used ${percent(share)} of ${cores} cores (below ${percent(maxCoresShare)} there is room for either)`]
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
