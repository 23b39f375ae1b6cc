import { createHash } from 'node:crypto'
import type { DevicePolicy, ScepProfile } from '@certfleet/agent-core'
import type { Delivery, PfxDelivery, RootDelivery, ScepDelivery } from './delivery.ts'

/** Where the secrets of a delivery come from. */
export interface DeliverySecrets {
  /** By profile id. Absent: rendered without one. */
  readonly challenges: ReadonlyMap<string, string>
  /** By profile id. A PFX profile without an entry is left out. */
  readonly pfx: ReadonlyMap<string, { readonly pfx: Uint8Array; readonly password: string }>
}

/** A device's policy with its secrets, ready to be rendered. */
export function deliveryOf(deviceId: string, policy: DevicePolicy, secrets: DeliverySecrets): Delivery {
  const roots: RootDelivery[] = policy.trustedRoots.map(({ id, displayName, certificate, destinationStore }) => ({
    id,
    displayName,
    certificate,
    destinationStore,
  }))
  const scep = policy.scepProfiles.map((profile) => scepDelivery(profile, roots, secrets.challenges.get(profile.id)))
  const pfx = policy.pfxProfiles.flatMap(({ id, displayName, principal, request: { keyStorage, exportable } }): PfxDelivery[] => {
    const delivered = secrets.pfx.get(id)
    return delivered ? [{ id, displayName, principal, ...delivered, keyStorage, exportable }] : []
  })
  return { deviceId, roots, scep, pfx }
}

function scepDelivery(profile: ScepProfile, roots: readonly RootDelivery[], challenge: string | undefined): ScepDelivery {
  const { id, displayName, principal, scepUrls: urls, request, hash, renewalThresholdPercent } = profile
  const { subject, subjectAltNames, keySpec, keyStorage, keyUsages, extendedKeyUsages, validity } = request
  const root = roots.find((candidate) => candidate.id === profile.rootProfileId)
  return {
    ...{ id, displayName, principal, urls, subject, subjectAltNames, keyStorage, keyUsages, extendedKeyUsages, validity },
    renewalThresholdPercent,
    ...(challenge !== undefined && { challenge }),
    ...(keySpec.algorithm === 'rsa' && { keyBits: keySpec.bits }),
    ...(hash && { hashes: [hash] }),
    ...(root && { rootId: root.id, rootThumbprint: createHash('sha1').update(root.certificate).digest('hex') }),
  }
}
