import { AgentError, type Inapplicable, type InapplicableProfile, type Principal, type ProfileType } from '@certfleet/agent-core'
import { type Management, parseOs, whyInapplicable } from '@certfleet/platforms'
import type { AssignedProfile, Intent } from './intent.ts'
import { membershipsOf, type TargetIndex, targetsFor } from './memberships.ts'
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
  return reachOf(intent, tenant, subscriber).reaching
}

/** The profiles that reach that device and are not for its OS version (S2, S3, S4, S12). */
export function profilesBeyond(intent: Intent, tenant: Tenant, subscriber: Subscriber): readonly InapplicableProfile[] {
  return reachOf(intent, tenant, subscriber).beyond
}

interface Reach {
  readonly reaching: readonly ReachedBy[]
  readonly beyond: readonly InapplicableProfile[]
}

/** One is kept: whoever asks about a device asks for both, and more than once. */
const lastReach = new WeakMap<Intent, Subscriber & Reach & { readonly tenant: Tenant }>()

function reachOf(intent: Intent, tenant: Tenant, { device, user }: Subscriber): Reach {
  const last = lastReach.get(intent)
  if (last?.tenant === tenant && last.device === device && last.user === user) return last
  const made = { tenant, device, user, ...findReach(intent, tenant, { device, user }) }
  lastReach.set(intent, made)
  return made
}

function findReach(intent: Intent, tenant: Tenant, subscriber: Subscriber): Reach {
  const applies = applicability(subscriber.device, intent)
  const reaching: ReachedBy[] = []
  const beyond: InapplicableProfile[] = []
  for (const one of reached(intent, tenant, subscriber)) {
    const why = applies(one.profile)
    if (why) beyond.push({ id: one.profile.id, displayName: one.profile.displayName, ...why })
    else reaching.push(one)
  }
  return { reaching, beyond }
}

/** By the type alone: what is wrong with a profile does not matter where it is for nobody. */
function applicability(device: Device, { overrides }: Intent): (profile: IntentProfile) => Inapplicable | undefined {
  const os = parseOs(device.platform, osVersionOf(device), overrides)
  const known = new Map<ProfileType, Inapplicable | undefined>()
  return ({ typeName }) => {
    const kind = profileTypeOf(typeName)?.kind
    if (kind === undefined) return undefined
    const type = kind === 'trusted-root' || kind === 'scep' ? kind : 'pfx'
    if (!known.has(type)) known.set(type, whyInapplicable(type, os))
    return known.get(type)
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

/** Through whom each profile reaches the device: its user, itself or both; nobody where an excluded group holds either. */
function reached(intent: Intent, tenant: Tenant, { device, user }: Subscriber): readonly ReachedBy[] {
  const targets = targetsFor(device.platform, intent)
  if (targets === undefined) return []
  const { devices, users } = membershipsOf(tenant)
  const deviceGroups = devices.get(device.id) ?? []
  const userGroups = (user && users.get(user.id)) ?? []
  const byDevice = new Set([...targets.allDevices, ...placesOf(deviceGroups, targets.included)])
  const byUser = new Set([...(user ? targets.allUsers : []), ...placesOf(userGroups, targets.included)])
  const excluded = new Set([...placesOf(deviceGroups, targets.excluded), ...placesOf(userGroups, targets.excluded)])
  return [...new Set([...byDevice, ...byUser])]
    .filter((place) => !excluded.has(place))
    .sort((a, b) => a - b)
    .map((place) => ({ profile: profileAt(place, targets), assignedTo: principalsOf(byDevice.has(place), byUser.has(place)) }))
    .filter(({ profile }) => isManagedFor(profile, device))
}

function placesOf(groups: readonly string[], places: ReadonlyMap<string, readonly number[]>): number[] {
  return groups.flatMap((group) => places.get(group) ?? [])
}

function profileAt(place: number, { profiles }: TargetIndex): IntentProfile {
  return (profiles[place] as AssignedProfile).profile
}

function principalsOf(byDevice: boolean, byUser: boolean): readonly Principal[] {
  if (byDevice && byUser) return ['device', 'user']
  return [byDevice ? 'device' : 'user']
}

/** Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks. */
export function subscriberOf(tenant: Tenant, deviceId: string): Subscriber {
  const device = tenant.devices.get(deviceId)
  if (device === undefined) throw new AgentError('ERR_PROFILE_INVALID', `${tenant.file}: no device has the id "${deviceId}"`)
  return { device, user: device.user === undefined ? undefined : tenant.users.get(device.user) }
}

/** Whether profiles of that type are for devices that are managed so. */
export function isManagedFor({ family }: Pick<IntentProfile, 'family'>, device: Pick<Device, 'management'>): boolean {
  const { modes, modeOptional } = families[family]
  if (device.management === undefined) return modeOptional
  return modes.length === 0 ? !isPhoneMode(device) : modes.includes(device.management)
}

/** Windows 10X and Windows Phone 8.1 take no desktop profiles. */
function isPhoneMode({ management }: Pick<Device, 'management'>): boolean {
  return management === 'windowsPhone81' || management === 'windows10X'
}

/** Which of a device and its user a target holds, whether it is for them or excludes them. */
export function principalsIn(
  target: AssignmentTarget,
  intent: Pick<Intent, 'groupIds'>,
  tenant: Pick<Tenant, 'groups'>,
  { device, user }: Subscriber,
): readonly Principal[] {
  const group = 'group' in target ? tenant.groups.get(intent.groupIds.get(target.group) ?? '') : undefined
  const byDevice = target.kind === 'allDevices' || group?.devices.has(device.id) === true
  const byUser = user !== undefined && (target.kind === 'allUsers' || group?.users.has(user.id) === true)
  return [...(byDevice ? (['device'] as const) : []), ...(byUser ? (['user'] as const) : [])]
}
