import type { QueueResult } from '../../report/schema.ts'
import type { ShardNews } from '../shard.ts'
import type { RunManifest, RunStatus, ShardRecord, StepCounts } from './shard-queue.ts'

type Takeover = QueueResult['takeovers'][number]

/** Adds up what records say of the work itself: who had which shard, what was taken over, what was done twice. */
export interface QueueTally {
  /** The next record of a shard. Returns, for people, the takeovers that it tells of. */
  add(shard: number, record: ShardRecord): readonly string[]
  /** How long nobody had any shard, between stops and what followed them. */
  pausedMs(): number
  result(status: Pick<RunStatus, 'shards' | 'workers'>): QueueResult
}

export function queueTally({ id, shards }: Pick<RunManifest, 'id' | 'shards'>): QueueTally {
  const holders = new Map<number, string>()
  const parked = new Set<number>()
  const takenBy = new Map<string, Set<number>>()
  const takeovers: Takeover[] = []
  const repeated: Record<string, number> = {}
  /** When shards were taken and parked, since the start of the run. */
  const moments: { readonly atMs: number; readonly isTaken: boolean }[] = []
  let resumes = 0
  let devicesDelayed = 0

  function addOne(shard: number, news: ShardNews): string[] {
    if (news.kind === 'devices') devicesDelayed += news.devices.filter(({ isDelayed }) => isDelayed).length
    if (news.kind === 'repeated') addSteps(repeated, news.steps)
    if (news.kind === 'parked') {
      parked.add(shard)
      moments.push({ atMs: news.atMs, isTaken: false })
    }
    return news.kind === 'taken' ? onTaken(shard, news) : []
  }

  function onTaken(shard: number, { atMs, worker, isTakeover, devicesDelayed }: Extract<ShardNews, { kind: 'taken' }>): string[] {
    const before = holders.get(shard)
    holders.set(shard, worker)
    moments.push({ atMs, isTaken: true })
    takenBy.set(worker, (takenBy.get(worker) ?? new Set()).add(shard))
    if (parked.delete(shard)) resumes++
    if (!isTakeover) return []
    takeovers.push({ shard, atMs, worker, devicesDelayed })
    const ofWhom = before === undefined ? '' : ` of worker ${before}`
    return [`shard ${shard}${ofWhom} was taken over by ${worker}; ${devicesDelayed} devices delayed`]
  }

  return {
    add: (shard, { news }) => news.flatMap((one) => addOne(shard, one)),
    pausedMs: () => pausesOf(moments),
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

/** A stop parks every shard that somebody has: from the last of them until the next is taken nobody has any. */
function pausesOf(moments: readonly { readonly atMs: number; readonly isTaken: boolean }[]): number {
  let pausedSinceMs: number | undefined
  let pausedMs = 0
  for (const { atMs, isTaken } of [...moments].sort((a, b) => a.atMs - b.atMs)) {
    if (isTaken && pausedSinceMs !== undefined) pausedMs += atMs - pausedSinceMs
    pausedSinceMs = isTaken ? undefined : atMs
  }
  return pausedMs
}
