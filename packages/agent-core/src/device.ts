import { AgentError } from './errors.ts'
import type { ChallengeSource, Clock, Jitter, PfxSource, PlatformAdapter, PolicySource, Reporter, StateStore } from './ports.ts'
import type { CertificateProfile, DevicePolicy, Failure, IdentityKey, KeyProtection, TrustedRootProfile } from './types.ts'

/** Everything that one device is made of, as ports. */
export interface Device {
  readonly clock: Clock
  readonly jitter: Jitter
  readonly platform: PlatformAdapter
  readonly policySource: PolicySource
  readonly challengeSource: ChallengeSource
  /** Absent: PFX profiles fail with `ERR_UNSUPPORTED`. */
  readonly pfxSource?: PfxSource
  readonly state: StateStore
  readonly reporter: Reporter
  /** Holds every key there instead of where profiles say. It may be stricter than a profile; one that it would weaken fails. */
  readonly keyStorage?: KeyProtection
}

/** What the actions of one pass share. */
export interface PassContext {
  readonly device: Device
  readonly policy: DevicePolicy
  readonly failures: ReadonlyMap<IdentityKey, Failure>
  /** Why roots could not be installed in this pass, by fingerprint. */
  readonly missingRoots: Map<string, AgentError>
  readonly signal: AbortSignal
}

/**
 * S11, at the moment of acting: the root that the certificate must lead to is really in its store. One that waits for the user makes what
 * depends on it wait likewise, without a backoff of its own.
 */
export async function assertRootInstalled(profile: CertificateProfile, { device, policy, missingRoots }: PassContext): Promise<void> {
  const { fingerprint } = rootOf(profile, policy)
  const installed = await device.platform.certificateStores.list()
  if (installed.some((root) => root.fingerprint === fingerprint)) return
  const why = missingRoots.get(fingerprint)
  if (why?.code === 'ERR_USER_ACTION_REQUIRED')
    throw new AgentError(why.code, `"${profile.displayName}" waits for its root: ${why.message}`)
  throw new AgentError(
    'ERR_ROOT_NOT_INSTALLED',
    `the trusted root of "${profile.displayName}" could not be installed, so nothing was requested`,
  )
}

export function rootOf(profile: CertificateProfile, policy: DevicePolicy): TrustedRootProfile {
  const root = policy.trustedRoots.find((candidate) => candidate.id === profile.rootProfileId)
  if (!root) throw new AgentError('ERR_ROOT_NOT_DEPLOYED', `trusted root profile "${profile.rootProfileId}" is not deployed`)
  return root
}
