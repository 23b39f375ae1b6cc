import { parseOs } from '@certfleet/platforms'
import {
  assignProfiles,
  type CertificateConsumer,
  type Finding,
  managementOf,
  osVersionOf,
  profilesBeyond,
  profilesReaching,
  renderPolicy,
  subscriberOf,
} from '../tenant/index.ts'
import type { CheckContext, CheckedDevice, CheckInput } from './types.ts'

/** Joins what is known. `findings`: what cannot be joined. */
export function checkContext(input: CheckInput): { context: CheckContext; findings: readonly Finding[] } {
  const { imported, tenant } = input
  const joined = tenant && assignProfiles(imported, tenant)
  const profiles = new Map(imported.profiles.map((profile) => [profile.id, profile]))
  const context = {
    ...input,
    profiles,
    consumers: consumersOf(imported.consumers),
    ...(joined && { intent: { ...joined.intent, overrides: input.overrides } }),
  }
  return { context, findings: joined?.findings ?? [] }
}

function consumersOf(all: readonly CertificateConsumer[]): ReadonlyMap<string, readonly CertificateConsumer[]> {
  const byProfile = new Map<string, CertificateConsumer[]>()
  for (const consumer of all) {
    if (consumer.certificateProfileId === undefined) continue
    const known = byProfile.get(consumer.certificateProfileId)
    if (known) known.push(consumer)
    else byProfile.set(consumer.certificateProfileId, [consumer])
  }
  return byProfile
}

/** One device with all that is for it. Fails with `ERR_PROFILE_INVALID` for one that the tenant lacks. */
export function checkedDevice(context: CheckContext, deviceId: string): CheckedDevice {
  const { intent, tenant, overrides } = context
  if (!intent || !tenant) throw new Error('without a tenant there is no device to check')
  const subscriber = subscriberOf(tenant, deviceId)
  const { device } = subscriber
  return {
    subscriber,
    os: parseOs(device.platform, osVersionOf(device), overrides, managementOf(device)),
    pairs: profilesReaching(intent, tenant, subscriber),
    notApplicable: profilesBeyond(intent, tenant, subscriber),
    // Whether a PFX was imported is a question of its own.
    policy: renderPolicy(intent, tenant, deviceId, { revision: 1, importedRevision: () => 'any' }),
  }
}
