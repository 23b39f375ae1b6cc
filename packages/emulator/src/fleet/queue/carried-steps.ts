import type { StepCounts } from './shard-queue.ts'

/** What is told of a device from one holder to the next. */
export interface Carried {
  /** How often it made each step. */
  readonly made: StepCounts
  readonly isDelayed: boolean
}

/** Among the records of a device: no storage of its uses the name. */
const name = 'carried'

/** The records as they stand, with that among them. */
export function withCarried(records: ReadonlyMap<string, Uint8Array>, carried: Carried): ReadonlyMap<string, Uint8Array> {
  return new Map(records).set(name, Buffer.from(JSON.stringify(carried)))
}

export function carriedIn(records: ReadonlyMap<string, Uint8Array> | undefined): Carried {
  const bytes = records?.get(name)
  return bytes ? (JSON.parse(Buffer.from(bytes).toString()) as Carried) : { made: {}, isDelayed: false }
}
