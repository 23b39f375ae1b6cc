import type { KeptDevice } from '../keeping.ts'
import { LeaseLost, type ShardChange } from '../shard-queue.ts'
import type { ShardKeys } from './key-names.ts'
import type { RedisLink, ScriptArgument } from './link.ts'
import type { RunSeal } from './seal.ts'

export interface Saves {
  /** Errors as `ShardLease.save`. */
  save(change: ShardChange): Promise<void>
  /** Resolves once none is under way, however it went. */
  idle(): Promise<void>
}

export interface SavesOptions {
  readonly link: RedisLink
  readonly seal: RunSeal
  readonly keys: ShardKeys
  readonly shard: number
  readonly epoch: number
}

/** What goes in one step. */
interface Batch {
  readonly records: Uint8Array[]
  readonly devices: Map<number, Uint8Array | ''>
  readonly saved: Promise<void>
}

/**
 * Saves one after the other; those that come while one is under way go together in the next. So they arrive in order, each with a number of
 * its own, and one that is sent again as its answer was lost is known by it.
 */
export function orderedSaves({ link, seal, keys, shard, epoch }: SavesOptions): Saves {
  let last: Promise<unknown> = Promise.resolve()
  let next: Batch | undefined
  let number = 0

  async function send({ records, devices }: Omit<Batch, 'saved'>): Promise<void> {
    next = undefined
    const values: ScriptArgument[] = [epoch, ++number, records.length, ...records, ...[...devices].flat()]
    const isSaved = await link.run('save', [keys.shard, keys.records, keys.devices], values)
    if (isSaved !== 1) throw new LeaseLost()
  }

  function begin(): Batch {
    const contents = { records: [], devices: new Map() }
    const saved = last.then(() => send(contents))
    last = saved.catch(() => {})
    next = { ...contents, saved }
    return next
  }

  const sealed = (index: number, device: KeptDevice | undefined) =>
    device === undefined ? '' : seal.seal({ kind: 'device', shard, index }, device)

  return {
    async save({ record, devices }) {
      const batch = next ?? begin()
      if (record) batch.records.push(seal.seal({ kind: 'record', shard }, record))
      for (const [index, device] of devices ?? []) batch.devices.set(index, sealed(index, device))
      await batch.saved
    },
    idle: async () => void (await last),
  }
}
