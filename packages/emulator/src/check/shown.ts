import type { AgentErrorCode, Principal } from '@certfleet/agent-core'
import { type Os, osStatusText } from '@certfleet/platforms'
import type { IntentProfile } from '../tenant/index.ts'
import type { CheckedDevice, CheckFinding } from './types.ts'

/** What places a finding: the profile, and the device where it is about one. */
export function about(
  profile: IntentProfile,
  device?: CheckedDevice,
): Pick<CheckFinding, 'profile' | 'profileId' | 'device' | 'file' | 'path'> {
  const { displayName, id, file, path } = profile
  return {
    profile: displayName,
    profileId: id,
    ...(device && { device: device.subscriber.device.id }),
    file,
    ...(path !== '' && { path }),
  }
}

/** How a profile that fails with `code` looks on the device: what its agent reports, and what its OS shows. */
export function failure(code: AgentErrorCode, profile: IntentProfile, { os }: CheckedDevice): Pick<CheckFinding, 'code' | 'shown'> {
  return { code, shown: shownText(code, profile, os) }
}

function shownText(code: AgentErrorCode, { kind }: IntentProfile, os: Os): string {
  const isPfx = kind === 'pkcs' || kind === 'imported-pfx'
  return osStatusText({ status: { state: 'requestCreationFailed', code, message: '' }, isPfx, keyUsable: false, at: 0 }, os)
}

/** Whom a profile's certificate is for. */
export function principalOf(profile: IntentProfile): Principal {
  return 'principal' in profile ? profile.principal : 'device'
}
