import type { FactOverrides } from '@certfleet/platforms'
import type { Tenant } from './tenant-types.ts'
import type { Assignment, AssignmentTarget, Finding, Import, IntentProfile, Platform } from './types.ts'

/** A profile and everyone it is for. */
export interface AssignedProfile {
  readonly profile: IntentProfile
  /** Device or user is decided by who is reached: members of a group are users or devices. */
  readonly targets: readonly AssignmentTarget[]
}

/** All that is wanted of a tenant's devices: the profiles with a target, by platform. */
export interface Intent {
  readonly byPlatform: ReadonlyMap<Platform, readonly AssignedProfile[]>
  /** Group ids by id and by name. */
  readonly groupIds: ReadonlyMap<string, string>
  /** Ids of the profiles that require multi-factor authentication. */
  readonly multiFactor: ReadonlySet<string>
  /** What decides for which OS a profile is. Default: every fact as sourced. */
  readonly overrides?: FactOverrides | undefined
}

/**
 * Joins an export with its tenant: the assignments of both, or all devices and all users where the tenant says `assign: all`.
 * What cannot be joined (no assignment anywhere, an unknown profile or group) is told.
 */
export function assignProfiles(imported: Import, tenant: Tenant): { intent: Intent; findings: Finding[] } {
  const groupIds = new Map([...tenant.groups.values()].flatMap(({ id, name }) => [[name, id] as const, [id, id] as const]))
  const own = tenantAssignments(imported, tenant)
  const assignments = [...imported.assignments, ...own.assignments]
  const everywhere = tenant.assign === 'all'
  const { multiFactor, findings: factorFindings } = multiFactorProfiles(imported, tenant)
  const findings = [
    ...own.findings,
    ...factorFindings,
    ...(everywhere
      ? overridden(assignments, tenant)
      : [...unknownGroups(assignments, groupIds), ...noneAtAll(imported, assignments, tenant)]),
  ]
  const targets = everywhere ? undefined : targetsByProfile(assignments)
  const assigned = imported.profiles.map((profile) => ({ profile, targets: targets ? (targets.get(profile.id) ?? []) : everyone }))
  return { intent: { byPlatform: byPlatform(assigned.filter((profile) => profile.targets.length > 0)), groupIds, multiFactor }, findings }
}

const everyone: readonly AssignmentTarget[] = [{ kind: 'allDevices' }, { kind: 'allUsers' }]

function tenantAssignments({ profiles }: Import, { assignments, file }: Tenant): { assignments: Assignment[]; findings: Finding[] } {
  const findings: Finding[] = []
  const resolved = assignments.flatMap(({ profile: wanted, intent, targets, path }) => {
    const profile = profileNamed(wanted, profiles)
    if (typeof profile !== 'string') return targets.map((target): Assignment => ({ profileId: profile.id, intent, target, file, path }))
    findings.push({
      id: 'assignment-profile-unknown',
      severity: 'error',
      file,
      path,
      message: profile,
      action: 'name the profile by its id',
    })
    return []
  })
  return { assignments: resolved, findings }
}

/** By its id, else by its name where that is unique; otherwise what is wrong. */
function profileNamed(wanted: string, profiles: readonly IntentProfile[]): IntentProfile | string {
  const byId = profiles.filter(({ id }) => id === wanted)
  const found = byId.length > 0 ? byId : profiles.filter(({ displayName }) => displayName === wanted)
  const [profile] = found
  if (profile === undefined) return `no profile has the id or name "${wanted}"`
  return found.length === 1 ? profile : `${found.length} profiles are named "${wanted}"`
}

/** The setting counts only for a key in Passport for Work (S28). */
function multiFactorProfiles({ profiles }: Import, { multiFactor = [], file }: Tenant): { multiFactor: Set<string>; findings: Finding[] } {
  const required = new Set<string>()
  const findings = multiFactor.flatMap((wanted, i): Finding[] => {
    const profile = profileNamed(wanted, profiles)
    const finding = { id: 'multi-factor-profile', severity: 'error', file, path: `multiFactor[${i}]`, source: 'S28' } as const
    if (typeof profile === 'string') return [{ ...finding, message: profile, action: 'name the profile by its id' }]
    if (profile.kind !== 'scep' || profile.keyStorage !== 'usePassportForWorkKspOtherwiseFail') {
      const message = `"${profile.displayName}" does not keep its key in Passport for Work, the only storage that can require more factors`
      return [{ ...finding, message, action: 'choose usePassportForWorkKspOtherwiseFail, or leave the profile out of multiFactor' }]
    }
    required.add(profile.id)
    return []
  })
  return { multiFactor: required, findings }
}

function targetsByProfile(assignments: readonly Assignment[]): Map<string, AssignmentTarget[]> {
  const targets = new Map<string, AssignmentTarget[]>()
  for (const { profileId, intent, target } of assignments) {
    if (intent === 'remove') continue
    const known = targets.get(profileId)
    if (known) known.push(target)
    else targets.set(profileId, [target])
  }
  return targets
}

function byPlatform(assigned: readonly AssignedProfile[]): Map<Platform, AssignedProfile[]> {
  const platforms = new Map<Platform, AssignedProfile[]>()
  for (const item of assigned) {
    const known = platforms.get(item.profile.platform)
    if (known) known.push(item)
    else platforms.set(item.profile.platform, [item])
  }
  return platforms
}

function overridden(assignments: readonly Assignment[], { file }: Tenant): Finding[] {
  if (assignments.length === 0) return []
  return [
    {
      id: 'assignments-overridden',
      severity: 'info',
      file,
      message: `assign: all sends every profile to all devices and users; ${assignments.length} assignments have no effect`,
    },
  ]
}

function noneAtAll({ profiles }: Import, assignments: readonly Assignment[], { file }: Tenant): Finding[] {
  if (profiles.length === 0 || assignments.length > 0) return []
  const message = 'neither the export nor the tenant assigns a profile; no device gets any'
  return [
    {
      id: 'assignments-missing',
      severity: 'warning',
      file,
      message,
      action: 'add assignments, or "assign: all", to the tenant file',
      source: 'S10',
    },
  ]
}

function unknownGroups(assignments: readonly Assignment[], groupIds: ReadonlyMap<string, string>): Finding[] {
  return assignments.flatMap(({ target, file, path }): Finding[] => {
    if (!('group' in target) || groupIds.has(target.group)) return []
    const message = `no group of the tenant has the id or name "${target.group}"; nobody is reached through it`
    return [
      {
        id: 'assignment-group-unknown',
        severity: 'warning',
        file,
        ...(path === '' ? {} : { path }),
        message,
        action: 'add the group to the tenant file',
      },
    ]
  })
}
