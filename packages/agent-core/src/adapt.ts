import { AgentError } from './errors.ts'
import type { PlatformAdapter } from './ports.ts'
import type { DevicePolicy, ScepProfile } from './types.ts'

/** The policy as this OS takes it: its own stores and requests; what it refuses fails, and nothing else does. */
export function adapt(policy: DevicePolicy, platform: PlatformAdapter): DevicePolicy {
  const scepProfiles: ScepProfile[] = []
  const failedProfiles = [...policy.failedProfiles]
  for (const profile of policy.scepProfiles) {
    try {
      scepProfiles.push({ ...profile, request: platform.requestFor(profile), ignoredSettings: platform.ignoredSettings(profile) })
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      const { id, displayName, principal } = profile
      failedProfiles.push({ id, displayName, principal, code: 'ERR_UNSUPPORTED', message: error.message })
    }
  }
  const trustedRoots = policy.trustedRoots.map((root) => ({ ...root, destinationStore: platform.storeFor(root) }))
  return { ...policy, trustedRoots, scepProfiles, failedProfiles }
}
