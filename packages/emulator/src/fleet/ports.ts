import type {
  CertificateStores,
  Clock,
  IdentityStore,
  Jitter,
  KeyProtection,
  KeyStorageProvider,
  PfxSource,
  PolicyCache,
  PolicyService,
  PushChannel,
  Registration,
  StateStore,
  Transport,
} from '@certfleet/agent-core'
import type { DeviceSpec } from './device.ts'

/** Everything that one emulated device keeps: in memory, or in the fleet's database, where it outlasts the process. */
export interface DeviceStorage {
  readonly keyStorageProviders: readonly KeyStorageProvider[]
  /** Where every key goes. Absent: where profiles say. */
  readonly keyStorage?: KeyProtection
  /** Holds the key that the device's own secrets are encrypted to, if it has one (`managementIdentity`). */
  managementKeys(): KeyStorageProvider
  readonly certificateStores: CertificateStores
  readonly identities: IdentityStore
  readonly state: StateStore
  readonly policyCache: PolicyCache
  /** What its registration gave; undefined before it. A secret is in it. */
  registration(): Promise<Registration | undefined>
  saveRegistration(registration: Registration): Promise<void>
  /** The device is gone for good, or only its process, in which case what it keeps stays where it outlasts that. */
  close(): Promise<void>
}

/** What one device needs to be let in. */
export interface Admission {
  readonly spec: DeviceSpec
  readonly transport: Transport
  readonly clock: Clock
  readonly jitter: Jitter
  readonly storage: DeviceStorage
}

/** Where one device gets its policy, its challenges and its PFX from, and reports to. */
export interface DeviceService extends PolicyService {
  readonly pfxSource?: PfxSource
  /** Absent where there is no push. */
  readonly connectPush?: (onWake: () => void, events: PushEvents) => PushChannel
}

export interface PushEvents {
  /** The connection is open, so long after it was begun. */
  onOpen(durationMs: number): void
  /** It has ended or could not be had. */
  onDown(wasOpen: boolean): void
}

/** What a fleet enrols with. */
export interface FleetTarget {
  /** Registers the device, unless it is on record that it is, and connects it. Errors as `registerDevice` has them. */
  admit(admission: Admission, signal: AbortSignal): Promise<DeviceService>
}
