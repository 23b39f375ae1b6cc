import type { AssignedProfile, Intent } from './intent.ts'
import type { Group, Tenant } from './tenant-types.ts'
import type { AssignmentTarget, Platform } from './types.ts'

/** Profiles, by their places in `profiles`, and what each hangs on: so that a device costs what reaches it, not what its tenant has. */
export interface TargetIndex {
  /** In the order of the export. */
  readonly profiles: readonly AssignedProfile[]
  readonly allDevices: readonly number[]
  readonly allUsers: readonly number[]
  /** By group id. */
  readonly included: ReadonlyMap<string, readonly number[]>
  readonly excluded: ReadonlyMap<string, readonly number[]>
}

/** The ids of the groups that hold a device or a user, by its id. */
export interface Memberships {
  readonly devices: ReadonlyMap<string, readonly string[]>
  readonly users: ReadonlyMap<string, readonly string[]>
}

// Both are plain data that travels between processes, so that neither can carry an index of its own.
const targetsByIntent = new WeakMap<Intent, Map<Platform, TargetIndex>>()
const membershipsByTenant = new WeakMap<Tenant, Memberships>()

/** Made at the first call: takes the intent for what it was. */
export function targetsFor(platform: Platform, intent: Intent): TargetIndex | undefined {
  const known = targetsByIntent.get(intent)
  if (known) return known.get(platform)
  const made = new Map([...intent.byPlatform].map(([name, profiles]) => [name, indexTargets(profiles, intent)]))
  targetsByIntent.set(intent, made)
  return made.get(platform)
}

/** Made at the first call: takes the tenant for what it was. */
export function membershipsOf(tenant: Tenant): Memberships {
  const known = membershipsByTenant.get(tenant)
  if (known) return known
  const made = { devices: groupsByMember(tenant, ({ devices }) => devices), users: groupsByMember(tenant, ({ users }) => users) }
  membershipsByTenant.set(tenant, made)
  return made
}

function indexTargets(profiles: readonly AssignedProfile[], { groupIds }: Intent): TargetIndex {
  const included = new Map<string, number[]>()
  const excluded = new Map<string, number[]>()
  for (const [place, { targets }] of profiles.entries()) {
    for (const target of targets) {
      const group = 'group' in target ? groupIds.get(target.group) : undefined
      if (group !== undefined) append(target.kind === 'exclusionGroup' ? excluded : included, group, place)
    }
  }
  const placesWith = (kind: AssignmentTarget['kind']) =>
    [...profiles.keys()].filter((place) => profiles[place]?.targets.some((target) => target.kind === kind))
  return { profiles, allDevices: placesWith('allDevices'), allUsers: placesWith('allUsers'), included, excluded }
}

function groupsByMember({ groups }: Tenant, membersOf: (group: Group) => ReadonlySet<string>): Map<string, string[]> {
  const byMember = new Map<string, string[]>()
  for (const [id, group] of groups) for (const member of membersOf(group)) append(byMember, member, id)
  return byMember
}

function append<Value>(lists: Map<string, Value[]>, name: string, value: Value): void {
  const known = lists.get(name)
  if (known) known.push(value)
  else lists.set(name, [value])
}
