import type { ProfileStanding } from '@certfleet/agent-core'
import { type FactOverrides, habitsOf, type Os, type OsStatus, osStatusOf, osStatusText, parseOs } from '@certfleet/platforms'
import type { FleetPlatform } from '../scenario/schema.ts'
import type { Enrolled, Rejection } from './enroll-once.ts'

/** Releases that the platforms' rules are written for; any other would look the same on the wire. */
const osVersions: Readonly<Record<FleetPlatform, string>> = { ios: '18.1', macos: '15.1', android: '15', windows: '10.0.26100' }

/** The release of a platform that is acted like. */
export function osOf(platform: FleetPlatform, overrides?: FactOverrides): Os {
  return parseOs(platform, osVersions[platform], overrides)
}

/** What the OS that was acted like would show. */
export interface ShownByOs {
  readonly os: OsStatus
  /** The same for people. */
  readonly text: string
}

interface Asked {
  readonly platform: FleetPlatform
  readonly urls: readonly string[]
}

export function shownOfIssued({ leaf }: Enrolled, { platform, urls }: Asked): OsStatus {
  // Which of several answered is not known here.
  const respondentUrl = urls.length === 1 ? `${urls[0]}${habitsOf(platform, osVersions[platform], '').urlSuffix}` : undefined
  const standing = { certificate: leaf.raw, ...(respondentUrl !== undefined && { respondentUrl }), at: leaf.notBefore }
  return shownOf({ status: { state: 'installed' }, ...standing }, platform).os
}

export function shownOfRejection({ failInfo, text = '' }: Rejection, { platform }: Asked): ShownByOs {
  const code = failInfo === 'badTime' ? 'ERR_CLOCK_SKEW' : 'ERR_ENROLLMENT_REJECTED'
  return shownOfFailure({ code, message: text }, platform)
}

export function shownOfFailure(failure: Pick<ProfileStanding['status'], 'code' | 'message'>, platform: FleetPlatform): ShownByOs {
  return shownOf({ status: { state: 'unknown', ...failure }, at: 0 }, platform)
}

function shownOf(known: Omit<ProfileStanding, 'isPfx' | 'keyUsable'>, platform: FleetPlatform): ShownByOs {
  const standing = { ...known, isPfx: false, keyUsable: true }
  const os = osOf(platform)
  return { os: osStatusOf(standing, os), text: osStatusText(standing, os) }
}
