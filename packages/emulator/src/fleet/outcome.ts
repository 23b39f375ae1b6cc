import type { AgentErrorCode, InapplicableProfile, KeyPlacement, ProfileStatus } from '@certfleet/agent-core'
import type { FleetPlatform } from '../scenario/devices.ts'

export interface DeviceFailure {
  /** The profile or root it was about, as in the device's report; absent where the device itself failed (no registration, no policy). */
  readonly subject?: string
  readonly code: AgentErrorCode
  readonly message: string
}

/** Where one profile stands, in Graph's words and in those of its OS. */
export type ProfileOutcome = Pick<ProfileStatus, 'profileId' | 'principal' | 'state' | 'os'>

/** How one device ended. */
export interface DeviceOutcome {
  readonly deviceId: string
  readonly platform: FleetPlatform
  readonly rootsInstalled: number
  readonly certificatesInstalled: number
  /** Requests that the CA has not decided. */
  readonly pending: number
  readonly failures: readonly DeviceFailure[]
  /** What goes on once its user has done something: no failure, and tried at every pass. */
  readonly waitingForUser: readonly DeviceFailure[]
  /** Profiles that are not for its OS: no failure (S12). */
  readonly notApplicable: readonly InapplicableProfile[]
  /** Where the key of each certificate is, and why. */
  readonly keys: readonly KeyPlacement[]
  /** Settings of its profiles that have no effect on its OS, once a profile. */
  readonly ignoredSettings: readonly string[]
  /** By its last report. */
  readonly profiles: readonly ProfileOutcome[]
}

/** How the fleet ended. */
export interface FleetOutcome {
  /** By position in the options; devices that an interruption left out are missing. */
  readonly devices: readonly DeviceOutcome[]
  readonly durationMs: number
  /** The signal was aborted before every device was through. */
  readonly interrupted: boolean
}
