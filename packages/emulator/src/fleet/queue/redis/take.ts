import type { KeptDevice } from '../keeping.ts'
import type { OwnOrders, RunManifest, ShardLease, ShardRecord, WorkerFacts } from '../shard-queue.ts'
import { type Jobs, moved, parkJob, type ShardJob, type TakenJob } from './jobs.ts'
import { isRunName } from './key-names.ts'
import type { OpenRun, Runs } from './runs.ts'
import { type LeasePorts, shardLease } from './shard-lease.ts'

export const pollMs = 250

export interface TakePorts extends LeasePorts {
  readonly jobs: Jobs
  readonly runs: Runs
}

export interface Taking {
  readonly worker: WorkerFacts
  readonly signal: AbortSignal
  readonly check: (manifest: RunManifest) => void
}

export async function takeShard(taking: Taking, ports: TakePorts): Promise<ShardLease> {
  const { signal } = taking
  for (;;) {
    signal.throwIfAborted()
    const taken = await ports.jobs.shards().next(signal)
    if (!taken) {
      await ports.clock.sleep(pollMs, signal)
      continue
    }
    const lease = await leaseOf(taken, taking, ports).catch(async (error: unknown) => {
      await moved(ports.link, () => taken.job.moveToWait(taken.token))
      throw error
    })
    if (!lease) continue
    if (!signal.aborted) return lease
    await lease.release()
  }
}

/** Undefined where the job is none for anybody now; it is put where it belongs. */
async function leaseOf(taken: TakenJob<ShardJob>, { worker, check }: Taking, ports: TakePorts): Promise<ShardLease | undefined> {
  const { link, runs } = ports
  const { job, token } = taken
  if (!isShardJob(job.data)) return forget(taken, ports)
  const { run: name, shard } = job.data
  const run = await runs.open(name)
  // All this before the shard is taken: who may not have it, or has another key, leaves no trace.
  if (run) check(run.manifest)
  const shared = run && (await runs.shared(run))
  if (!run || !shared) return forget(taken, ports)
  const keys = run.keys.shard(shard)
  const names = [run.keys.run, keys.shard, run.keys.orders, keys.records, keys.devices, run.keys.workers, keys.lock]
  const answer = (await link.run('take', names, [token, worker.name, JSON.stringify(worker), shard])) as TakeAnswer
  switch (answer[0].toString()) {
    case 'taken': {
      const [, epoch, own, records, devices] = answer as Taken
      return shardLease({ ...opened(run, shard, own, records, devices), shared, shard, epoch, job, token, keys: run.keys }, ports)
    }
    case 'parked':
      await parkJob(taken, (answer as Parked)[1], link, run.keys)
      return undefined
    case 'lost':
      return undefined
    case 'through':
      return end(taken, ports)
    default:
      return forget(taken, ports)
  }
}

/** Jobs are not sealed: whoever has the password of the Redis may have added one. */
function isShardJob(data: Partial<ShardJob> | null): data is ShardJob {
  return typeof data?.run === 'string' && isRunName(data.run) && Number.isSafeInteger(data.shard)
}

/** Where the lock ran out in between, the next finds the same. */
async function end({ job, token }: TakenJob<ShardJob>, { link }: TakePorts): Promise<undefined> {
  await moved(link, () => job.moveToCompleted(null, token, false))
}

async function forget(taken: TakenJob<ShardJob>, ports: TakePorts): Promise<undefined> {
  await end(taken, ports)
  await moved(ports.link, () => taken.job.remove())
}

type Taken = readonly [Buffer, epoch: number, own: Buffer, records: readonly Buffer[], devices: readonly Buffer[]]
type Parked = readonly [Buffer, resumes: Buffer]
type TakeAnswer = Taken | Parked | readonly [Buffer]

function opened({ manifest, seal }: OpenRun, shard: number, own: Buffer, records: readonly Buffer[], devices: readonly Buffer[]) {
  const kept = new Map<number, KeptDevice>()
  for (let i = 0; i < devices.length; i += 2) {
    const index = Number(devices[i]?.toString())
    kept.set(index, seal.open({ kind: 'device', shard, index }, devices[i + 1]) as KeptDevice)
  }
  return {
    manifest,
    seal,
    own: seal.open({ kind: 'orders', shard }, own) as OwnOrders,
    records: records.map((record) => seal.open({ kind: 'record', shard }, record) as ShardRecord),
    devices: kept,
  }
}
