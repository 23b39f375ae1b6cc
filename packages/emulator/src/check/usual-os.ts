import { currentReleases, type FactOverrides, type Os, parseOs } from '@certfleet/platforms'
import type { IntentProfile } from '../tenant/index.ts'
import { families } from '../tenant/profile-types.ts'
import { managementOf, osVersionOf } from '../tenant/reach.ts'

/** What a profile goes to where no device is known: its system at a current release, managed as its type says. */
export function usualOs(profile: IntentProfile, overrides: FactOverrides | undefined): Os {
  const [management] = families[profile.family].modes
  return parseOs(profile.platform, usualRelease(profile), overrides, management && managementOf({ management }))
}

/** The release of `usualOs`, as `parseOs` reads it. */
export function usualRelease({ platform, family }: IntentProfile): string {
  if (family === 'windowsPhone81') return osVersionOf({ osVersion: '8.1', management: family })
  return currentReleases[platform]
}
