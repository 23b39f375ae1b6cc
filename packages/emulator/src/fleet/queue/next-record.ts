import { addEncoded, emptyHistogram, encode } from '../../measure/histogram.ts'
import { addMeasurements, emptySums, encodeSums, type Sums } from '../../measure/sums.ts'
import type { Measurements, ProcessCost, Step } from '../../measure/types.ts'
import { type InjectedFault, injectedFaults } from '../faults.ts'
import type { DeviceNews, ShardNews } from '../shard.ts'
import type { KeptDevice } from './keeping.ts'
import { noCost } from './taken-over.ts'

/** What goes into the next record of a shard: news of a kind are made one. */
export interface NextRecord {
  /** What it measures, until it is taken. */
  sums(): Sums
  add(news: ShardNews): void
  /** That goes into the queue with the record, and not before. */
  keep(index: number, kept: KeptDevice | undefined): void
  /**
   * That may go before. False: something of that device waits for the record, or a fault that was injected, and neither is to be there
   * without the other.
   */
  fence(index: number, kept: KeptDevice): boolean
  repeated(step: Step): void
  /** Devices have ended or are kept, a step was made again, or it was taken or parked. */
  hasNews(): boolean
  /** There is more that was measured than what the process cost. */
  hasMeasured(): boolean
  takeFenced(): ReadonlyMap<number, KeptDevice>
  take(): { readonly news: readonly ShardNews[]; readonly devices: ReadonlyMap<number, KeptDevice | undefined> }
}

export function nextRecord(): NextRecord {
  let next = emptyNext()
  let fenced = new Map<number, KeptDevice>()
  function takeFenced(): ReadonlyMap<number, KeptDevice> {
    const taken = fenced
    fenced = new Map()
    return taken
  }
  return {
    sums: () => next.sums,
    add: (news) => addNews(next, news),
    keep(index, kept) {
      // Of a request that was given up before it was sent.
      fenced.delete(index)
      next.kept.set(index, kept)
    },
    fence(index, kept) {
      fenced.set(index, kept)
      return !next.kept.has(index) && !hasFaults(next)
    },
    repeated: (step) => addRepeated(next, step, 1),
    hasNews: () => next.first.length + next.ended.length + next.repeated.size + next.last.length + next.kept.size > 0,
    hasMeasured: () => isMeasured(next.sums),
    takeFenced,
    take() {
      // What a fence keeps is newer.
      const taken = { news: newsOf(next), devices: new Map([...next.kept, ...takeFenced()]) }
      next = emptyNext()
      return taken
    },
  }
}

interface Next {
  readonly sums: Sums
  readonly kept: Map<number, KeptDevice | undefined>
  readonly ended: DeviceNews[]
  readonly faults: Record<InjectedFault, number>
  readonly repeated: Map<Step, number>
  readonly first: ShardNews[]
  readonly last: ShardNews[]
  cost: ProcessCost
}

const emptyNext = (): Next => ({
  sums: emptySums(),
  kept: new Map(),
  ended: [],
  faults: { lostRequests: 0, lostAnswers: 0, delayed: 0 },
  repeated: new Map(),
  first: [],
  last: [],
  cost: noCost,
})

function addNews(next: Next, news: ShardNews): void {
  switch (news.kind) {
    case 'measured':
      addMeasured(next, news.measurements)
      return
    case 'devices':
      next.ended.push(...news.devices)
      return
    case 'faults':
      for (const fault of injectedFaults) next.faults[fault] += news.faults[fault]
      return
    case 'repeated':
      for (const [step, times] of Object.entries(news.steps)) addRepeated(next, step as Step, times)
      return
    case 'taken':
      next.first.push(news)
      return
    case 'parked':
      next.last.push(news)
  }
}

const addRepeated = ({ repeated }: Next, step: Step, times: number): void => void repeated.set(step, (repeated.get(step) ?? 0) + times)

function addMeasured(next: Next, { cost, ...measured }: Measurements): void {
  addMeasurements(next.sums, measured)
  const loopLag = emptyHistogram()
  addEncoded(loopLag, next.cost.loopLag)
  addEncoded(loopLag, cost.loopLag)
  next.cost = {
    cpuMs: next.cost.cpuMs + cost.cpuMs,
    busyMs: next.cost.busyMs + cost.busyMs,
    wallMs: next.cost.wallMs + cost.wallMs,
    rssBytes: Math.max(next.cost.rssBytes, cost.rssBytes),
    loopLag: encode(loopLag),
  }
}

function newsOf({ sums, ended, faults, repeated, first, last, cost }: Next): readonly ShardNews[] {
  return [
    ...first,
    { kind: 'measured', measurements: { ...encodeSums(sums), cost } },
    ...(ended.length > 0 ? [{ kind: 'devices' as const, devices: ended }] : []),
    ...(hasFaults({ faults }) ? [{ kind: 'faults' as const, faults }] : []),
    ...(repeated.size > 0 ? [{ kind: 'repeated' as const, steps: Object.fromEntries(repeated) }] : []),
    ...last,
  ]
}

const hasFaults = ({ faults }: Pick<Next, 'faults'>): boolean => injectedFaults.some((fault) => faults[fault] > 0)

const isMeasured = ({ histograms, errors, bins, pending }: Sums): boolean =>
  histograms.size > 0 || errors.size > 0 || bins.size > 0 || pending !== 0
