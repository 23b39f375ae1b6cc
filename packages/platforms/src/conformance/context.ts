import type {
  HttpRequest,
  HttpResponse,
  Jitter,
  KeyProtection,
  KeyStorageProvider,
  PlatformAdapter,
  Transport,
} from '@certfleet/agent-core'
import type { UserConsent } from '../consent.ts'
import type { Os } from '../os.ts'
import type { ReadDelivery, Retries } from '../rendering/delivery.ts'
import type { ConformanceDevice } from './device.ts'
import type { TargetSession, TargetSetup } from './target.ts'

/** What a check has to work with. */
export interface CheckContext {
  /** The system under test. */
  readonly os: Os
  /** A device that has nothing yet, before a target of its own. A setup that the target cannot make: the check is skipped. */
  device(wishes?: DeviceWishes): Promise<ConformanceDevice>
  /** What the system under test makes of a delivery in its own form. What it would refuse: `ERR_PROFILE_INVALID`, `ERR_UNSUPPORTED`. */
  read(text: string): ReadDelivery
}

export interface DeviceWishes {
  readonly setup?: TargetSetup
  /** What it has to keep keys in. Default: software alone. */
  readonly keyStorage?: readonly Exclude<KeyProtection, 'pkcs11'>[]
  /** Stands between the device and the server. Default: every request reaches it. */
  readonly between?: (request: HttpRequest, send: Transport['send']) => Promise<HttpResponse>
  /** What the device puts into a request in place of the challenge that it was given. */
  readonly challenge?: (given: () => Promise<string | undefined>, session: TargetSession) => Promise<string | undefined>
  /** Default: always the least. */
  readonly jitter?: Jitter
  /** As of the platform's bindings. */
  readonly userConsent?: UserConsent
  /** As of the platform's bindings. */
  readonly fullDiskEncryption?: { hasPin(): Promise<boolean> }
  /** What the delivery says of pending requests. Default: nothing, so that the OS's own defaults count. */
  readonly retries?: Partial<Retries>
}

/** Keys for one device. */
export type MakeKeys = () => KeyStorageProvider

/** Breaks a part of the device on purpose, so that a check is seen to fail: a check that cannot fail shows nothing. */
export interface Sabotage {
  readonly adapter?: (adapter: PlatformAdapter, transport: Transport) => PlatformAdapter
  /** What the device sends, before it is recorded. */
  readonly transport?: (transport: Transport) => Transport
  /** A delivery in the OS's own form on its way to the device. */
  readonly delivery?: (text: string) => string
  /** The challenge as it was given, whatever the check does with it. */
  readonly goodChallenge?: true
}

/** Thrown by the kit where a check cannot be run; its message says why. */
export class Skipped extends Error {
  override readonly name: string = 'Skipped'
}
