import type { AgentErrorCode, InapplicableProfile, Instant, PolicyDocument, Principal } from '@certfleet/agent-core'
import type { FactOverrides, Os } from '@certfleet/platforms'
import type { CertificateConsumer, Finding, Import, Intent, IntentProfile, Platform, Subscriber, Tenant } from '../tenant/index.ts'
import type { RuleFindingId } from './finding-ids.ts'

/** One thing that an admin should know before rollout. */
export interface CheckFinding {
  readonly id: Finding['id'] | RuleFindingId
  /** `error`: it cannot work as written. `warning`: it may not do what was meant. `info`: said for completeness. */
  readonly severity: Finding['severity']
  /** The display name of the profile that it is about. */
  readonly profile?: string
  readonly profileId?: string
  /** The id of the device that it is about; absent where it is about all. */
  readonly device?: string
  readonly file?: string
  /** The place in the file. */
  readonly path?: string
  /** What will happen, and why. */
  readonly message: string
  readonly action?: string
  /** Fact ids or source keys. */
  readonly source?: string
  /** What the device itself would show, in its own terms. */
  readonly shown?: string
  /**
   * What the device's agent would report, or of a warning may. Of findings about one profile on one device: it is what an emulation is held
   * against.
   */
  readonly code?: AgentErrorCode
  /** Of findings that an emulation was held against. */
  readonly emulation?: 'confirmed' | 'refuted'
}

/** What is known before rollout. */
export interface CheckInput {
  readonly imported: Import
  /** Absent: only what the export says by itself can be told. */
  readonly tenant?: Tenant | undefined
  readonly now: Instant
  readonly overrides?: FactOverrides | undefined
}

/** A check's ground: the input, joined. */
export interface CheckContext extends CheckInput {
  readonly profiles: ReadonlyMap<string, IntentProfile>
  /** Profiles of other kinds that use a certificate, by the id of its profile. */
  readonly consumers: ReadonlyMap<string, readonly CertificateConsumer[]>
  /** Absent without a tenant. */
  readonly intent?: Intent | undefined
}

/** A profile and through whom it reaches a device. */
export interface Pair {
  readonly profile: IntentProfile
  readonly assignedTo: readonly Principal[]
}

/** One device of the tenant, with all that is for it. */
export interface CheckedDevice {
  readonly subscriber: Subscriber
  readonly os: Os
  /** What reaches it and is for its OS version, in the order of the export. */
  readonly pairs: readonly Pair[]
  readonly notApplicable: readonly InapplicableProfile[]
  /** What it is sent: a profile of `pairs` is either delivered or in `failedProfiles`. */
  readonly policy: PolicyDocument
}

/** Told once a profile. */
export type ProfileRule = (profile: IntentProfile, context: CheckContext) => readonly CheckFinding[]

/** Told once a device; with no tenant there are none. */
export type DeviceRule = (device: CheckedDevice, context: CheckContext) => readonly CheckFinding[]

/** Narrows what is told, not what is known. */
export interface CheckScope {
  readonly platform?: Platform | undefined
  /** A device's id. */
  readonly device?: string | undefined
}

/** Told once, after all devices; not where a device was chosen. `reached`: ids of the profiles that a device gets. */
export type TenantRule = (reached: ReadonlySet<string>, context: CheckContext) => readonly CheckFinding[]
