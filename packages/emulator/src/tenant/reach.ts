import { AgentError, type Principal } from '@certfleet/agent-core'
import type { AssignedProfile, Intent } from './intent.ts'
import { families, profileTypeOf } from './profile-types.ts'
import type { AssignmentTarget, Device, IntentProfile, Tenant } from './types.ts'
import type { Subscriber } from './variables.ts'

/** A profile and through whom it reaches a device: its user, itself or both. */
export interface ReachedBy {
  readonly profile: IntentProfile
  readonly assignedTo: readonly Principal[]
}

/** The profiles that are for that device and reach it, in the order of the export. */
export function profilesReaching(intent: Intent, tenant: Tenant, subscriber: Subscriber): readonly ReachedBy[] {
  return applicable(intent, subscriber.device)
    .map(({ profile, targets }) => ({ profile, assignedTo: principalsReached(targets, intent, tenant, subscriber) }))
    .filter(({ assignedTo }) => assignedTo.length > 0)
}

/** Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks. */
export function subscriberOf(tenant: Tenant, deviceId: string): Subscriber {
  const device = tenant.devices.get(deviceId)
  if (device === undefined) throw new AgentError('ERR_PROFILE_INVALID', `${tenant.file}: no device has the id "${deviceId}"`)
  return { device, user: device.user === undefined ? undefined : tenant.users.get(device.user) }
}

/** Whether profiles of that type are for that device at all: platform, management mode, minimum OS (S2, S3, S4, S12). */
export function isApplicable(profile: Pick<IntentProfile, 'family' | 'typeName'>, device: Device): boolean {
  const { platform, modes, modeOptional, minimumOs: ofFamily } = families[profile.family]
  const minimumOs = profileTypeOf(profile.typeName)?.minimumOs ?? ofFamily
  if (platform !== device.platform) return false
  const modeFits =
    device.management === undefined ? modeOptional : modes.length === 0 ? !isPhoneMode(device) : modes.includes(device.management)
  return modeFits && compareVersions(platform === 'windows' ? ntVersion(device.osVersion) : device.osVersion, minimumOs) >= 0
}

function applicable(intent: Intent, device: Device): readonly AssignedProfile[] {
  return (intent.byPlatform.get(device.platform) ?? []).filter(({ profile }) => isApplicable(profile, device))
}

/** Windows 10X and Windows Phone 8.1 take no desktop profiles. */
function isPhoneMode({ management }: Device): boolean {
  return management === 'windowsPhone81' || management === 'windows10X'
}

const ntByName = new Map([
  ['7', '6.1'],
  ['8', '6.2'],
  ['8.0', '6.2'],
  ['8.1', '6.3'],
])

/** People write Windows 8.1 by its name; it calls itself 6.3. */
function ntVersion(version: string): string {
  return ntByName.get(version) ?? version
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.'), b.split('.')]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = Number(left[i] ?? 0) - Number(right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
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
