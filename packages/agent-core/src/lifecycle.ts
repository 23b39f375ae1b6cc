/** What certificates come from: each kind has rules of its own for what becomes of it. `pkcs` and `imported` are PFX. */
export type ManagedKind = 'trusted-root' | 'scep' | 'pkcs' | 'imported'

/** Why a device is managed no longer. `unlicensed`: its licence is lost, or its user or group was deleted in the directory. */
export type Departure = 'retired' | 'wiped' | 'unenrolled' | 'unlicensed'

/** What can take from a device what it was given. `unassigned`: one profile, the device stays managed. */
export type RemovalEvent = 'unassigned' | Departure

/** What becomes of certificates at one event. A kind in neither list stays, and stays good. */
export interface RemovalRule {
  /** What is taken from the device, with its keys. */
  readonly removed: readonly ManagedKind[]
  /** What the CA revokes. One that stays all the same is of no use to a profile that comes back. */
  readonly revoked: readonly ManagedKind[]
}

/** How an OS renews certificates of SCEP profiles (S24). */
export interface RenewalRules {
  /** Who begins: the device by a timer of its own, or the service, so that it happens at a check-in. */
  readonly begunBy: 'device' | 'check-in'
  /** A locked device waits. */
  readonly onlyUnlocked: boolean
  /** `stuck`: nothing replaces an expired certificate until its profile was taken away and assigned again, or changed. */
  readonly afterExpiry: 'enroll' | 'stuck'
}

/** What an OS does with certificates after their first day. Data alone: the planner reads it. */
export interface LifecycleRules {
  readonly renewal: RenewalRules
  readonly removal: Readonly<Record<RemovalEvent, RemovalRule>>
}
