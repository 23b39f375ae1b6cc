import type { Instant } from '@certfleet/agent-core'
import type { AssignmentTarget } from '../../tenant/index.ts'

/** A profile that the admin made over the API. */
export interface AdminProfile {
  readonly id: string
  /** JSON of the Graph object as it was posted, without id, dates, version and assignments. */
  readonly document: string
  readonly assignments: readonly AdminAssignment[]
  readonly createdAt: Instant
  readonly modifiedAt: Instant
  /** Counts up from 1 with every change of the document. */
  readonly version: number
}

export interface AdminAssignment {
  readonly intent: 'apply' | 'remove'
  readonly target: AssignmentTarget
}

/** A user in Graph's words; a password is never kept. */
export interface AdminUser {
  readonly id: string
  readonly displayName: string
  readonly userPrincipalName: string
  readonly mailNickname?: string | undefined
  readonly mail?: string | undefined
  readonly department?: string | undefined
  readonly onPremisesDistinguishedName?: string | undefined
  readonly onPremisesSamAccountName?: string | undefined
  readonly onPremisesUserPrincipalName?: string | undefined
  readonly onPremisesSecurityIdentifier?: string | undefined
}

/** Holds users, devices or both (S13). */
export interface AdminGroup {
  readonly id: string
  readonly displayName: string
  readonly description?: string | undefined
  /** Ids. One that is gone counts for nothing. */
  readonly users: readonly string[]
  readonly devices: readonly string[]
}

/** What the admin decided about one device. */
export interface AdminDevice {
  readonly deviceId: string
  /** Its primary user; missing where the tenant file or the guest rule says it. */
  readonly userId?: string | undefined
  /** Counts until the device registers again. */
  readonly retiredAt?: Instant | undefined
}

/** How often the admin's side changed, and how much of everything there is. */
export interface AdminChanges {
  readonly version: number
  readonly profiles: number
  readonly users: number
  readonly groups: number
}
