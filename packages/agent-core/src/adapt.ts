import { createHash } from 'node:crypto'
import { AgentError } from './errors.ts'
import type { PlatformAdapter } from './ports.ts'
import { exactly } from './sharing.ts'
import type {
  CertificateProfile,
  DevicePolicy,
  FailedProfile,
  InapplicableProfile,
  ProfileType,
  StoreName,
  TrustedRootProfile,
} from './types.ts'

const adapted = new WeakMap<DevicePolicy, { readonly platform: PlatformAdapter; readonly policy: DevicePolicy }>()

/** The policy as this OS takes it, worked out when it is first seen: most passes find the one of the pass before. */
export function adapt(policy: DevicePolicy, platform: PlatformAdapter): DevicePolicy {
  const known = adapted.get(policy)
  if (known?.platform === platform) return known.policy
  const fresh = { platform, policy: adaptTo(platform, policy) }
  adapted.set(policy, fresh)
  return fresh.policy
}

/** Its own stores and requests; what it refuses fails, and nothing else does. */
function adaptTo(platform: PlatformAdapter, delivered: DevicePolicy): DevicePolicy {
  if (delivered.lifecycle)
    return { ...delivered, trustedRoots: [], scepProfiles: [], pfxProfiles: [], failedProfiles: [], notApplicable: [] }
  const policy = withoutInapplicable(delivered, platform)
  const failedProfiles = [...policy.failedProfiles]
  const take = <P extends CertificateProfile>(profile: P, requestFor: (profile: P) => P['request']): P[] => {
    try {
      const taken = { ...profile, request: requestFor(profile), ignoredSettings: platform.ignoredSettings(profile) }
      return [{ ...taken, digest: digestOf(taken, policy) }]
    } catch (error) {
      failedProfiles.push(refused(profile, error))
      return []
    }
  }
  const trustedRoots = policy.trustedRoots.map((root) => inStore(root, platform.storeFor(root)))
  const scepProfiles = exactly(policy.scepProfiles.flatMap((profile) => take(profile, (scep) => platform.requestFor(scep))))
  const pfxProfiles = exactly(policy.pfxProfiles.flatMap((profile) => take(profile, (pfx) => platform.pfxRequestFor(pfx))))
  return { ...policy, trustedRoots, scepProfiles, pfxProfiles, failedProfiles }
}

/** The same object where nothing changes: all devices of the process share it. */
function inStore(root: TrustedRootProfile, destinationStore: StoreName): TrustedRootProfile {
  return root.destinationStore === destinationStore ? root : { ...root, destinationStore }
}

/** What is not for this OS leaves no trace but in the report. */
function withoutInapplicable(policy: DevicePolicy, platform: PlatformAdapter): DevicePolicy {
  const notApplicable = [...(policy.notApplicable ?? [])]
  const take = <P extends Pick<InapplicableProfile, 'id' | 'displayName'>>(profiles: readonly P[], type: ProfileType): readonly P[] => {
    const why = profiles.length > 0 ? platform.inapplicable?.(type) : undefined
    if (!why) return profiles
    notApplicable.push(...profiles.map(({ id, displayName }) => ({ id, displayName, ...why })))
    return []
  }
  const { trustedRoots, scepProfiles, pfxProfiles } = policy
  return {
    ...policy,
    trustedRoots: take(trustedRoots, 'trusted-root'),
    scepProfiles: take(scepProfiles, 'scep'),
    pfxProfiles: take(pfxProfiles, 'pfx'),
    notApplicable,
  }
}

/**
 * What an attempt depends on, and nothing that leaves it as it is: neither its name nor when it is renewed.
 * The issuers that a PFX leaves out may be any of the Trusted profiles.
 */
function digestOf(profile: CertificateProfile, { trustedRoots }: DevicePolicy): string {
  const depends =
    'scepUrls' in profile ? [profile.scepUrls, profile.hash, profile.multiFactor] : trustedRoots.map(({ fingerprint }) => fingerprint)
  return createHash('sha256')
    .update(JSON.stringify([profile.request, ...depends]))
    .digest('hex')
}

function refused({ id, displayName, principal }: CertificateProfile, error: unknown): FailedProfile {
  if (!(error instanceof AgentError)) throw error
  return { id, displayName, principal, code: 'ERR_UNSUPPORTED', message: error.message }
}
