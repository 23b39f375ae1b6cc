import { profileFacts } from '@certfleet/platforms'
import type { ImportedPfxIntent, IntentProfile } from '../../tenant/index.ts'
import { about, failure } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

export const profileRules: readonly ProfileRule[] = []

export const deviceRules: readonly DeviceRule[] = [importedPfx]

/** Whether nobody's PFX can be meant on that device. */
export function lacksUser(profile: IntentProfile, { subscriber }: CheckedDevice): boolean {
  return profile.kind === 'imported-pfx' && subscriber.user === undefined
}

function importedPfx(device: CheckedDevice, context: CheckContext): readonly CheckFinding[] {
  const findings: CheckFinding[] = []
  for (const { profile } of device.pairs) {
    if (profile.kind !== 'imported-pfx') continue
    if (lacksUser(profile, device)) findings.push(withoutUser(profile, device))
    else findings.push(...notImported(profile, device, context))
  }
  return findings
}

function withoutUser(profile: ImportedPfxIntent, device: CheckedDevice): CheckFinding {
  return {
    id: 'pfx-without-user',
    severity: 'error',
    ...about(profile, device),
    message: 'PFX are imported for users, and the device has none: it gets no certificate',
    action: 'assign the profile to users, or use a SCEP or PKCS profile for devices without a user',
    source: profileFacts.pfxOfUser.id,
    ...failure('ERR_PROFILE_INVALID', profile, device),
  }
}

/** Where nothing is known of what was imported, nothing is told. */
function notImported(profile: ImportedPfxIntent, device: CheckedDevice, { tenant }: CheckContext): readonly CheckFinding[] {
  const { user } = device.subscriber
  const { intendedPurpose } = profile
  if (tenant?.importedPfx === undefined || user === undefined) return []
  if (tenant.importedPfx.get(user.id)?.has(intendedPurpose)) return []
  return [
    {
      id: 'pfx-not-imported',
      severity: 'error',
      ...about(profile, device),
      message: `no PFX for ${intendedPurpose} was imported for user "${user.id}"`,
      action: `import one for ${user.upn}, or leave the user out of the profile's groups`,
      source: profileFacts.pfxOfUser.id,
      ...failure('ERR_PROFILE_INVALID', profile, device),
    },
  ]
}
