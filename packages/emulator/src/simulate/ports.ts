import type {
  CertificateStores,
  ChallengeSource,
  IdentityStore,
  KeyStorageProvider,
  PfxSource,
  PolicySource,
  Reporter,
  StateStore,
} from '@certfleet/agent-core'
import type { LabStore } from '../lab/index.ts'
import type { SimulatedDisk } from './disk.ts'

/** What the agent of one device keeps things in, and whom it talks to. */
export interface DevicePorts {
  readonly keyStorageProviders: readonly KeyStorageProvider[]
  readonly certificateStores: CertificateStores
  readonly identities: IdentityStore
  readonly state: StateStore
  readonly policySource: PolicySource
  readonly challengeSource: ChallengeSource
  /** Only where the device receives PFX. */
  readonly pfxSource?: PfxSource
  readonly reporter: Reporter
}

/** Breaks a part on purpose, so that a test sees its invariant violated: a check that cannot fail shows nothing. */
export interface Sabotage {
  /** The agent's view of its ports: a broken agent. */
  readonly agent?: (ports: DevicePorts) => DevicePorts
  /** What is under the witness: broken storage. */
  readonly storage?: (ports: DevicePorts) => DevicePorts
  readonly disk?: (disk: SimulatedDisk) => SimulatedDisk
  readonly labStore?: (store: LabStore) => LabStore
}
