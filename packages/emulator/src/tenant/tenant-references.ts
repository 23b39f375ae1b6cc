import { type AssignmentShape, type DeviceShape, modesOf, type TenantShape } from './tenant-shapes.ts'
import type { AssignmentTarget } from './types.ts'

/** What is wrong, and where. */
export interface ReferenceProblem {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** Ids are unique, and every reference names something in the file. */
export function referenceProblems(tenant: TenantShape): ReferenceProblem[] {
  const { users = [], devices = [], groups = [], assignments = [] } = tenant
  const userIds = new Set(users.map((user) => user.id))
  const deviceIds = new Set(devices.map((device) => device.id))
  const groupNames = new Set(groups.flatMap((group) => [group.id, ...(group.name === undefined ? [] : [group.name])]))
  return [
    ...repeated('users', users),
    ...repeated('devices', devices),
    ...repeated('groups', groups),
    ...devices.flatMap((device, i) => deviceProblems(device, userIds, i)),
    ...groups.flatMap((group, i) => [
      ...unknown(userIds, 'user', group.users, 'groups', i, 'users'),
      ...unknown(deviceIds, 'device', group.devices, 'groups', i, 'devices'),
    ]),
    ...assignments.flatMap((assignment, i) => [
      ...unknown(groupNames, 'group', assignment.groups, 'assignments', i, 'groups'),
      ...unknown(groupNames, 'group', assignment.excludeGroups, 'assignments', i, 'excludeGroups'),
      ...(targetsOf(assignment).length === 0 ? [{ path: ['assignments', i], message: 'expected groups, allDevices or allUsers' }] : []),
    ]),
    ...authorityProblems(tenant),
    ...importedPfxProblems(tenant, userIds),
  ]
}

function unknown(known: ReadonlySet<string>, what: string, values: readonly string[] = [], ...path: PropertyKey[]): ReferenceProblem[] {
  return values.flatMap((value, i) => (known.has(value) ? [] : [{ path: [...path, i], message: idExpected(what, value) }]))
}

const idExpected = (what: string, found: string): string => `expected the id of a ${what} of this file, found "${found}"`

function deviceProblems({ user, platform, management, hardware }: DeviceShape, users: ReadonlySet<string>, i: number): ReferenceProblem[] {
  const at = (member: keyof DeviceShape, message: string): ReferenceProblem[] => [{ path: ['devices', i, member], message }]
  return [
    ...(user === undefined || users.has(user) ? [] : at('user', idExpected('user', user))),
    ...(management === undefined || modesOf(platform).includes(management)
      ? []
      : at('management', `expected one of ${modesOf(platform).join(', ')} for ${platform}`)),
    ...(hardware === undefined || platform === 'windows'
      ? []
      : at('hardware', `expected none for ${platform}: nothing keeps keys there but software`)),
  ]
}

/** One that nothing names has no profile. */
function authorityProblems({ authorities = [] }: TenantShape): ReferenceProblem[] {
  return authorities.flatMap(({ scepUrls = [], template }, i) =>
    scepUrls.length > 0 || template !== undefined ? [] : [{ path: ['authorities', i], message: 'expected scepUrls or template' }],
  )
}

function importedPfxProblems({ importedPfx = [] }: TenantShape, users: ReadonlySet<string>): ReferenceProblem[] {
  const seen = new Set<string>()
  return importedPfx.flatMap(({ user }, i) => {
    const path = ['importedPfx', i, 'user']
    if (!users.has(user)) return [{ path, message: idExpected('user', user) }]
    if (seen.has(user)) return [{ path, message: `the user "${user}" was named before; put all purposes into one list` }]
    seen.add(user)
    return []
  })
}

function repeated(list: string, items: readonly { id: string }[]): ReferenceProblem[] {
  const first = new Map(items.map(({ id }, i) => [id, i] as const).reverse())
  return items.flatMap(({ id }, i) => (first.get(id) === i ? [] : [{ path: [list, i, 'id'], message: `the id "${id}" is taken` }]))
}

/** Everyone whom an assignment names. */
export function targetsOf({ groups = [], excludeGroups = [], allDevices, allUsers }: AssignmentShape): AssignmentTarget[] {
  return [
    ...groups.map((group) => ({ kind: 'group' as const, group })),
    ...excludeGroups.map((group) => ({ kind: 'exclusionGroup' as const, group })),
    ...(allDevices ? [{ kind: 'allDevices' as const }] : []),
    ...(allUsers ? [{ kind: 'allUsers' as const }] : []),
  ]
}
