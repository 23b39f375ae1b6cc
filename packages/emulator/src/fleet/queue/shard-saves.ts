import { AgentError } from '@certfleet/agent-core'
import type { KeptDevice } from './keeping.ts'
import type { NextRecord } from './next-record.ts'
import { LeaseLost, type ShardLease, type ShardRecord } from './shard-queue.ts'

/** The saves of a shard under its lease, one after the other. */
export interface ShardSaves {
  /** Resolves once that is in the queue, with whatever else waits for it; never, where the lease or the queue is gone. */
  fence(index: number, kept: KeptDevice): Promise<void>
  /** Saves everything that is to be told. Resolves when it is there or the saving has failed. */
  record(): Promise<void>
  /** Why nothing can be saved any more. */
  failure(): { readonly error: unknown } | undefined
}

interface Saving {
  readonly lease: Pick<ShardLease, 'save' | 'lost' | 'epoch'>
  readonly worker: string
  readonly next: NextRecord
  readonly underWay: () => ShardRecord['underWay']
  /** Called at once, before anything that waits goes on. */
  readonly onFailure: (error: unknown) => void
}

export function shardSaves({ lease, worker, next, underWay, onFailure }: Saving): ShardSaves {
  let wantsRecord = false
  let failure: { readonly error: unknown } | undefined
  let last: Promise<void> = Promise.resolve()
  let coming: Promise<void> | undefined

  async function saveNow(): Promise<void> {
    if (failed()) return
    try {
      await lease.save(takeChange())
    } catch (error) {
      failure = { error }
      onFailure(error)
    }
  }
  /** One is under way, and one gathers what comes meanwhile. */
  function save(): Promise<void> {
    coming ??= last.then(() => {
      coming = undefined
      last = saveNow()
      return last
    })
    return coming
  }
  function takeChange() {
    if (!wantsRecord) return { devices: next.takeFenced() }
    wantsRecord = false
    const { news, devices } = next.take()
    return { record: { worker, epoch: lease.epoch, news, underWay: underWay() }, devices }
  }
  const failed = () => failure ?? (lease.lost.aborted ? { error: lease.lost.reason } : undefined)
  return {
    async fence(index, kept) {
      if (!next.fence(index, kept)) wantsRecord = true
      if (!failed()) await save()
      // The signal of the run ends what waits.
      if (failed()) await new Promise<never>(() => {})
    },
    async record() {
      wantsRecord = true
      await save()
    },
    failure: failed,
  }
}

/** Another has the shard, or the queue is gone: as foreseen. */
export const isLoss = (error: unknown): boolean =>
  error instanceof LeaseLost || (error instanceof AgentError && error.code === 'ERR_NETWORK')
