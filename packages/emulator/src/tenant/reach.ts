import { AgentError, type Inapplicable, type InapplicableProfile, type Principal } from '@certfleet/agent-core'
import { type Management, parseOs, whyInapplicable } from '@certfleet/platforms'
import type { Intent } from './intent.ts'
import { families, profileTypeOf } from './profile-types.ts'
import type { Device, Tenant } from './tenant-types.ts'
import type { AssignmentTarget, IntentProfile } from './types.ts'
import type { Subscriber } from './variables.ts'

/** A profile and through whom it reaches a device: its user, itself or both. */
export interface ReachedBy {
  readonly profile: IntentProfile
  readonly assignedTo: readonly Principal[]
}

/** The profiles that are for that device and reach it, in the order of the export. */
export function profilesReaching(intent: Intent, tenant: Tenant, subscriber: Subscriber): readonly ReachedBy[] {
  const applies = applicability(subscriber.device)
  return reached(intent, tenant, subscriber).filter(({ profile }) => applies(profile) === undefined)
}

/** The profiles that reach that device and are not for its OS version (S2, S3, S4, S12). */
export function profilesBeyond(intent: Intent, tenant: Tenant, subscriber: Subscriber): readonly InapplicableProfile[] {
  const applies = applicability(subscriber.device)
  return reached(intent, tenant, subscriber).flatMap(({ profile }) => {
    const why = applies(profile)
    return why ? [{ id: profile.id, displayName: profile.displayName, ...why }] : []
  })
}

/** By the type alone: what is wrong with a profile does not matter where it is for nobody. */
function applicability(device: Device): (profile: IntentProfile) => Inapplicable | undefined {
  const os = parseOs(device.platform, osVersionOf(device))
  return ({ typeName }) => {
    const kind = profileTypeOf(typeName)?.kind
    return kind && whyInapplicable(kind === 'trusted-root' || kind === 'scep' ? kind : 'pfx', os)
  }
}

/** As `parseOs` reads it: a tenant tells phones by their management. */
export function osVersionOf({ osVersion, management }: Pick<Device, 'osVersion' | 'management'>): string {
  return management === 'windowsPhone81' ? `Phone ${osVersion}` : osVersion
}

/** As `parseOs` reads it; the two that name a system are in the version. */
export function managementOf({ management }: Pick<Device, 'management'>): Management | undefined {
  return management === 'windowsPhone81' || management === 'windows10X' ? undefined : management
}

function reached(intent: Intent, tenant: Tenant, subscriber: Subscriber): readonly ReachedBy[] {
  return (intent.byPlatform.get(subscriber.device.platform) ?? [])
    .filter(({ profile }) => isManagedFor(profile, subscriber.device))
    .map(({ profile, targets }) => ({ profile, assignedTo: principalsReached(targets, intent, tenant, subscriber) }))
    .filter(({ assignedTo }) => assignedTo.length > 0)
}

/** Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks. */
export function subscriberOf(tenant: Tenant, deviceId: string): Subscriber {
  const device = tenant.devices.get(deviceId)
  if (device === undefined) throw new AgentError('ERR_PROFILE_INVALID', `${tenant.file}: no device has the id "${deviceId}"`)
  return { device, user: device.user === undefined ? undefined : tenant.users.get(device.user) }
}

/** Whether profiles of that type are for devices that are managed so. */
function isManagedFor({ family }: IntentProfile, device: Device): boolean {
  const { modes, modeOptional } = families[family]
  if (device.management === undefined) return modeOptional
  return modes.length === 0 ? !isPhoneMode(device) : modes.includes(device.management)
}

/** Windows 10X and Windows Phone 8.1 take no desktop profiles. */
function isPhoneMode({ management }: Device): boolean {
  return management === 'windowsPhone81' || management === 'windows10X'
}

/** Through whom a profile reaches the device: its user, itself or both; nobody where an excluded group holds either. */
function principalsReached(
  targets: readonly AssignmentTarget[],
  intent: Intent,
  tenant: Tenant,
  { device, user }: Subscriber,
): Principal[] {
  const reached = new Set<Principal>()
  for (const target of targets) {
    const group = 'group' in target ? tenant.groups.get(intent.groupIds.get(target.group) ?? '') : undefined
    const byDevice = target.kind === 'allDevices' || group?.devices.has(device.id) === true
    const byUser = user !== undefined && (target.kind === 'allUsers' || group?.users.has(user.id) === true)
    if (target.kind === 'exclusionGroup' && (byDevice || byUser)) return []
    if (target.kind === 'exclusionGroup') continue
    if (byDevice) reached.add('device')
    if (byUser) reached.add('user')
  }
  return [...reached].sort()
}
