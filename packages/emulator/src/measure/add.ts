import type { ProcessTotal } from './generator.ts'
import { addEncoded, emptyHistogram, type Histogram } from './histogram.ts'
import { addMeasurements, emptySums, entryOf, type Sums } from './sums.ts'
import type { Measurements, ProcessCost, Step } from './types.ts'

/** What all processes of a run measured. The order in which it comes, and how it was cut up, leave no trace in it. */
export interface MeasurementsTotal {
  readonly sums: Readonly<Sums>
  /** Of all platforms together. */
  readonly steps: ReadonlyMap<Step, Histogram>
  /** In the order in which they were first heard of. */
  readonly processes: ReadonlyMap<string, CountedProcess>
  /** Grows with each adding. */
  readonly version: number
  add(measured: Measurements, process: string): void
  /** Of a process that measures nothing else. */
  addCost(cost: ProcessCost, process: string, role: ProcessTotal['role']): void
}

export interface CountedProcess extends ProcessTotal {
  /** Of its last taking. */
  last: ProcessCost
}

export function measurementsTotal(): MeasurementsTotal {
  const sums = emptySums()
  const steps = new Map<Step, Histogram>()
  const processes = new Map<string, CountedProcess>()
  let version = 0
  function addCost(cost: ProcessCost, name: string, role: ProcessTotal['role']): void {
    const known = processes.get(name) ?? emptyProcess(name, role, cost)
    processes.set(name, known)
    addProcessCost(known, cost)
    version++
  }
  return {
    sums,
    steps,
    processes,
    get version() {
      return version
    },
    add({ cost, ...measured }, process) {
      addMeasurements(sums, measured)
      for (const [step, platforms] of Object.entries(measured.histograms)) {
        const all = entryOf(steps, step as Step, emptyHistogram)
        for (const histogram of Object.values(platforms)) addEncoded(all, histogram)
      }
      addCost(cost, process, 'fleet')
    },
    addCost,
  }
}

function emptyProcess(name: string, role: ProcessTotal['role'], last: ProcessCost): CountedProcess {
  return { name, role, cpuMs: 0, busyMs: 0, wallMs: 0, rssBytes: 0, loopLag: emptyHistogram(), last }
}

function addProcessCost(total: CountedProcess, cost: ProcessCost): void {
  total.cpuMs += cost.cpuMs
  total.busyMs += cost.busyMs
  total.wallMs += cost.wallMs
  total.rssBytes = Math.max(total.rssBytes, cost.rssBytes)
  addEncoded(total.loopLag, cost.loopLag)
  total.last = cost
}
