import type { Measurements, Meter } from '../../measure/types.ts'

/** What is kept of a device that is under way, so that another process can go on with it. Plain data; private keys are in it. */
export interface KeptDevice {
  /** By name, what it has stored. */
  readonly records: ReadonlyMap<string, Uint8Array>
  /** Of it, as far as it is not in any record of the shard. */
  readonly measured: Omit<Measurements, 'cost'>
  /** It is through with its first pass, which is in a record of the shard: it stays. */
  readonly isThrough: boolean
}

/** One device, as those see it that run it for a shard under a lease. */
export interface DeviceKeeper {
  /** By name, what it has stored; to be changed in place. */
  readonly records: Map<string, Uint8Array>
  readonly meter: Meter
  /** It was under way when the shard was taken over, or was due before. */
  readonly isDelayed: boolean
  /** Resolves once everything that it has stored is in the queue under this lease: before what cannot be taken back. Errors as `ShardLease.save`. */
  fence(): Promise<void>
  /** What it did so far is done for good, and so is the whole pass where that is over: whoever goes on with it does none of it again. */
  settled(isPassOver: boolean): void
}

export interface ShardKeeping {
  /** The same for every call with that index, until the device has ended. */
  keeperOf(index: number): DeviceKeeper
}
