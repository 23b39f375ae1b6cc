import type { KeyObject } from 'node:crypto'
import type { Clock, KeyStorageProvider } from '../../ports.ts'
import type { Disk } from '../../state/disk.ts'
import type { KeySpec } from '../../types.ts'
import type { KeyAttestation } from './attestation.ts'
import type { TpmConditions } from './device.ts'
import type { TpmLatency, TpmLockout, TpmVersion } from './facts.ts'
import type { TpmManufacturer } from './manufacturer.ts'

/** `isPresent`, `isBusy` and `slots` are as the TPM is found; `set` changes them. */
export interface ModelledTpmOptions extends Partial<TpmConditions> {
  readonly clock: Clock
  /** Default 2.0. */
  readonly version?: TpmVersion
  /** Default `swtpmLatency`; `noLatency` takes no time. */
  readonly latency?: TpmLatency
  /** Default `windowsLockout`. */
  readonly lockout?: TpmLockout
  /** Where it remembers: a folder of its own, made where it is missing in one that exists. Default: this process's memory. */
  readonly folder?: string
  /** Default: the machine's. */
  readonly disk?: Disk
  /** Who vouches for it. A TPM without one attests nothing. */
  readonly manufacturer?: TpmManufacturer
  /** Where its keys come from, a pool for instance. Default: made on the thread pool. */
  readonly makeKey?: (spec: KeySpec) => Promise<KeyObject>
}

export interface ModelledTpm extends KeyStorageProvider {
  readonly protection: 'tpm'
  /**
   * The TPM's signed word that the key is in it and never left, over `nonce` (1 to 64 octets). Fails as `sign` does; no such key:
   * `ERR_KEY_UNAVAILABLE`; an imported key, TPM 1.2, no manufacturer, or another nonce: `ERR_UNSUPPORTED`.
   */
  attest(label: string, nonce: Uint8Array): Promise<KeyAttestation>
  /** From the next command on. Keys outlive absence. */
  set(conditions: Partial<TpmConditions>): void
  /** Someone asked with a wrong authorization, so many times. It counts towards the lock-out; while that lasts nothing more counts. */
  failAuthorization(times?: number): Promise<void>
  /** As its owner clears it: every key and the attestation key are gone for good, and the failures are forgotten. Works while locked out. */
  clear(): Promise<void>
}
