import { AgentError } from './errors.ts'
import type { PlatformAdapter } from './ports.ts'
import type { CertificateProfile, DevicePolicy, FailedProfile } from './types.ts'

/** The policy as this OS takes it: its own stores and requests; what it refuses fails, and nothing else does. */
export function adapt(policy: DevicePolicy, platform: PlatformAdapter): DevicePolicy {
  const failedProfiles = [...policy.failedProfiles]
  const take = <P extends CertificateProfile>(profile: P, requestFor: (profile: P) => P['request']): P[] => {
    try {
      return [{ ...profile, request: requestFor(profile), ignoredSettings: platform.ignoredSettings(profile) }]
    } catch (error) {
      failedProfiles.push(refused(profile, error))
      return []
    }
  }
  const trustedRoots = policy.trustedRoots.map((root) => ({ ...root, destinationStore: platform.storeFor(root) }))
  const scepProfiles = policy.scepProfiles.flatMap((profile) => take(profile, (scep) => platform.requestFor(scep)))
  const pfxProfiles = policy.pfxProfiles.flatMap((profile) => take(profile, (pfx) => platform.pfxRequestFor(pfx)))
  return { ...policy, trustedRoots, scepProfiles, pfxProfiles, failedProfiles }
}

function refused({ id, displayName, principal }: CertificateProfile, error: unknown): FailedProfile {
  if (!(error instanceof AgentError)) throw error
  return { id, displayName, principal, code: 'ERR_UNSUPPORTED', message: error.message }
}
