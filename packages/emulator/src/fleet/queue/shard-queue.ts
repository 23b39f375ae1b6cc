import { AgentError, type Instant } from '@certfleet/agent-core'
import type { Step } from '../../measure/types.ts'
import type { FleetPlatform, Seed } from '../../scenario/schema.ts'
import type { ShardNews, ShardOrders } from '../shard.ts'
import type { KeptDevice } from './keeping.ts'

/** Which run it is, checked by everybody who joins it. Holds no secret: whoever reads the queue may read it. */
export interface RunManifest {
  readonly id: string
  /** Of certfleet: a worker of another version refuses. */
  readonly version: string
  readonly seed: Seed
  readonly devices: number
  readonly platforms: Readonly<Partial<Record<FleetPlatform, number>>>
  readonly shards: number
  /** How lengths are counted: histograms of another shape cannot be added up. */
  readonly histogram: string
  /** SHA-256, hexadecimal, of everything that says what is run: scenario with its options, profiles, tenant. */
  readonly scenario: string
  /** The run is bound to time, by a plan of arrivals or a duration: it begins once every shard has been taken. */
  readonly beginsTogether: boolean
  readonly submittedAt: Instant
}

/** What all shards of a run have in common; secrets are in it. */
export type SharedOrders = Omit<ShardOrders, 'name' | 'devices' | 'concurrency' | 'localAddress'> & {
  /** The files of the folder that `keys` names, where other machines are to have them. */
  readonly keyFiles?: ReadonlyMap<string, Uint8Array> | undefined
}

export type OwnOrders = Pick<ShardOrders, 'name' | 'devices' | 'concurrency' | 'localAddress'>

export interface RunSubmission {
  readonly manifest: RunManifest
  readonly shared: SharedOrders
  /** In the order in which they are to be taken; the position is the number of the shard. */
  readonly shards: readonly OwnOrders[]
}

export interface WorkerFacts {
  /** No other has it. */
  readonly name: string
  readonly host: string
  /** Of the host. */
  readonly cores: number
  readonly node: string
}

/** What a holder of a shard did since its last record: all of it, or nothing of it, is in the queue. Plain JSON; adding records up loses nothing. */
export interface ShardRecord {
  /** The name of the worker. */
  readonly worker: string
  readonly epoch: number
  readonly news: readonly ShardNews[]
  /** By index, the steps so far of the devices that it is at, as far as they are not in any `news`. */
  readonly underWay: Readonly<Record<number, StepCounts>>
}

export type StepCounts = Readonly<Partial<Record<Step, number>>>

export interface ShardChange {
  readonly record?: ShardRecord | undefined
  /** By index; undefined: it has ended, and nothing of it is kept any more. */
  readonly devices?: ReadonlyMap<number, KeptDevice | undefined> | undefined
}

export type ShardState = 'waiting' | 'active' | 'parked' | 'through'

export interface ShardStatus {
  readonly state: ShardState
  /** How often it was taken. */
  readonly epoch: number
  /** Who took it last. */
  readonly worker?: string | undefined
}

export interface RunStatus {
  readonly manifest: RunManifest
  readonly isStopped: boolean
  /** By the clock of this machine; undefined before it began. */
  readonly startedAt: Instant | undefined
  /** By number. */
  readonly shards: readonly ShardStatus[]
  /** Who took a shard of it. */
  readonly workers: readonly WorkerFacts[]
}

/** The lease of a shard was lost: another has it, or will. Nothing was changed. */
export class LeaseLost extends Error {
  constructor() {
    super('the lease of the shard is lost')
    this.name = 'LeaseLost'
  }
}

/** To reject `ShardQueue.takeMerge` with. */
export const noSuchRun = (run: string): AgentError => new AgentError('ERR_STATE_INVALID', `the queue has no run "${run}"`)

/** To reject `ShardQueue.records` with. */
export const recordsLost = (run: string): AgentError =>
  new AgentError('ERR_STATE_INVALID', `the queue has lost some of what it had recorded of run "${run}"`)

/** A shard, as its holder has it. It is kept for the holder until `complete`, `park` or `release`, or until it is not heard of for a while. */
export interface ShardLease {
  readonly manifest: RunManifest
  readonly shard: number
  readonly orders: ShardOrders & Pick<SharedOrders, 'keyFiles'>
  /** 1 for the first holder, and more for each after it. */
  readonly epoch: number
  /** What was recorded of the shard before, in order. */
  readonly records: readonly ShardRecord[]
  /** By index, those that were under way. */
  readonly devices: ReadonlyMap<number, KeptDevice>
  /** Aborted as soon as it shows that another has the shard or the queue is gone for longer than is waited for, with why. */
  readonly lost: AbortSignal
  /** Aborted when the run is to stop. */
  readonly stop: AbortSignal
  /** When the run began, by this machine's clock: now, for the first; where shards begin together, once each has been taken. */
  begin(signal: AbortSignal): Promise<Instant>
  /**
   * Adds the record and changes what is kept of devices in one step, unless another took the shard since: then `LeaseLost`, and nothing
   * is changed. A queue that is gone is waited for, at most for its patience: then `ERR_NETWORK`.
   */
  save(change: ShardChange): Promise<void>
  /** Every device has ended. Errors as `save`. */
  complete(): Promise<void>
  /** Nobody takes it until the run is resumed. Errors as `save`. */
  park(): Promise<void>
  /** Whoever comes next may take it at once. Errors as `save`. */
  release(): Promise<void>
}

/** The right to add up a run, of one process at a time. */
export interface MergeLease {
  /** It is done, and everything of the run is removed. `LeaseLost`, and nothing is changed, where another may have begun to add it up since. */
  complete(): Promise<void>
}

/** Where shards wait for workers. */
export interface ShardQueue {
  /** Makes the run known, and its shards wait. Once for each id; a second time changes nothing. */
  submit(run: RunSubmission): Promise<void>
  /**
   * The next shard that waits, of whichever run, in order of submission. Rejects with the signal's reason, and with what `check` throws of its
   * run: then nobody has taken it. Default: any run will do.
   */
  take(worker: WorkerFacts, signal: AbortSignal, check?: (manifest: RunManifest) => void): Promise<ShardLease>
  /** Undefined: no such run. */
  status(run: string): Promise<RunStatus | undefined>
  /** Every run that is known, the oldest first. */
  runs(): Promise<readonly string[]>
  /** For each shard what was recorded after so many of its records. `ERR_STATE_INVALID` where those are no longer what was read before. */
  records(run: string, after: readonly number[]): Promise<readonly (readonly ShardRecord[])[]>
  /**
   * Resolves once every shard is through, for one caller at a time. Rejects with the signal's reason, and with `ERR_STATE_INVALID` once there is
   * no such run.
   */
  takeMerge(run: string, signal: AbortSignal): Promise<MergeLease>
  /** Those who have a shard are to park it, and nobody takes another. */
  stop(run: string): Promise<void>
  /** Shards that are parked wait again. */
  resume(run: string): Promise<void>
  /** Removes everything of it. */
  forget(run: string): Promise<void>
  close(): Promise<void>
}
