import type { Device } from './device.ts'
import type { Certificate } from './pki/certificate.ts'
import { jitterShareOfWindow, renewalWindowMs } from './plan/schedule.ts'
import type { KeyHandle } from './ports.ts'
import { type CertificateProfile, type Identity, type KeyPlacement, keyOfProfile } from './types.ts'

/** A certificate that was judged, with its key. */
export interface NewIdentity {
  /** Leaf first, DER. */
  readonly chain: readonly Uint8Array[]
  readonly leaf: Certificate
  readonly key: KeyHandle
  readonly placement: KeyPlacement
}

/** Puts the identity in place of the profile's last one, and ends the attempt. */
export async function installIdentity(
  profile: CertificateProfile,
  { chain, leaf, key, placement }: NewIdentity,
  device: Device,
): Promise<void> {
  const windowMs = renewalWindowMs(leaf, profile.renewalThresholdPercent)
  const identity: Identity = {
    profileId: profile.id,
    principal: profile.principal,
    chain,
    keyLabel: key.label,
    placement,
    requested: profile.request,
    renewalJitterMs: Math.floor(device.jitter.between(0, windowMs * jitterShareOfWindow)),
  }
  await device.platform.identities.install(identity, profile.displayName)
  await device.state.endAttempt(keyOfProfile(profile), { clearFailure: true })
}
