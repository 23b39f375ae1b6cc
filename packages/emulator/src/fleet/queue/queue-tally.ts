import type { QueueResult } from '../../report/schema.ts'
import type { ShardNews } from '../shard.ts'
import type { RunManifest, RunStatus, ShardRecord, StepCounts } from './shard-queue.ts'

type Takeover = QueueResult['takeovers'][number]

interface Stretch {
  readonly fromMs: number
  untilMs: number
}

/** Adds up what records say of the work itself: who had which shard, what was taken over, what was done twice. */
export interface QueueTally {
  /** The next record of a shard. Returns, for people, the takeovers that it tells of. */
  add(shard: number, record: ShardRecord): readonly string[]
  /** How long nobody had any shard; what it takes to have the next one is no pause. */
  pausedMs(): number
  result(status: Pick<RunStatus, 'shards' | 'workers'>): QueueResult
}

export function queueTally({ id, shards }: Pick<RunManifest, 'id' | 'shards'>): QueueTally {
  const holders = new Map<number, string>()
  const parked = new Set<number>()
  const takenBy = new Map<string, Set<number>>()
  const takeovers: Takeover[] = []
  const repeated: Record<string, number> = {}
  /** By shard, for how long somebody had it at a time. */
  const held = new Map<number, Stretch[]>()
  let resumes = 0
  let devicesDelayed = 0

  function addOne(shard: number, news: ShardNews): string[] {
    if (news.kind === 'devices') devicesDelayed += news.devices.filter(({ isDelayed }) => isDelayed).length
    if (news.kind === 'repeated') addSteps(repeated, news.steps)
    if (news.kind === 'parked') {
      parked.add(shard)
      wasHeld(shard, news.atMs)
    }
    if (news.kind === 'measured') for (const { atMs } of news.measurements.bins) wasHeld(shard, atMs + news.measurements.binMs)
    return news.kind === 'taken' ? onTaken(shard, news) : []
  }

  function onTaken(shard: number, { atMs, worker, isTakeover, devicesDelayed }: Extract<ShardNews, { kind: 'taken' }>): string[] {
    const before = holders.get(shard)
    holders.set(shard, worker)
    // Who loses it has it until then.
    if (isTakeover) wasHeld(shard, atMs)
    held.set(shard, [...(held.get(shard) ?? []), { fromMs: atMs, untilMs: atMs }])
    takenBy.set(worker, (takenBy.get(worker) ?? new Set()).add(shard))
    if (parked.delete(shard)) resumes++
    if (!isTakeover) return []
    takeovers.push({ shard, atMs, worker, devicesDelayed })
    const ofWhom = before === undefined ? '' : ` of worker ${before}`
    return [`shard ${shard}${ofWhom} was taken over by ${worker}; ${devicesDelayed} devices delayed`]
  }

  function wasHeld(shard: number, untilMs: number): void {
    const last = held.get(shard)?.at(-1)
    if (last) last.untilMs = Math.max(last.untilMs, untilMs)
  }

  return {
    add: (shard, { news }) => news.flatMap((one) => addOne(shard, one)),
    pausedMs: () => pausesBetween([...held.values()].flat()),
    result: ({ shards: states, workers }) => ({
      id,
      shards,
      attempts: states.reduce((sum, { epoch }) => sum + epoch, 0),
      takeovers: [...takeovers].sort((a, b) => a.atMs - b.atMs),
      resumes,
      devicesDelayed,
      repeated,
      workers: workers.map(({ name, host, node }) => ({ name, host, node, shards: takenBy.get(name)?.size ?? 0 })),
    }),
  }
}

function addSteps(to: Record<string, number>, steps: StepCounts): void {
  for (const [step, count] of Object.entries(steps)) to[step] = (to[step] ?? 0) + count
}

/** What a worker that is there needs to have the next shard, many times over. */
const leastPauseMs = 5_000

function pausesBetween(stretches: readonly Stretch[]): number {
  let [untilMs, pausedMs] = [0, 0]
  for (const stretch of [...stretches].sort((a, b) => a.fromMs - b.fromMs)) {
    const gapMs = stretch.fromMs - untilMs
    if (gapMs >= leastPauseMs) pausedMs += gapMs
    untilMs = Math.max(untilMs, stretch.untilMs)
  }
  return pausedMs
}
