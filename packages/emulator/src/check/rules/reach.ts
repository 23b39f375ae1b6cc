import { facts, systemTitles } from '@certfleet/platforms'
import type { Platform } from '../../tenant/index.ts'
import { about } from '../shown.ts'
import type { CheckContext, CheckFinding, DeviceRule, ProfileRule, TenantRule } from '../types.ts'

/** Nothing is told of an export without any assignment: then it is the tenant's importer who says so. */
const isAssigned: ProfileRule = (profile, context) => {
  const assigned = assignedIn(context)
  if (assigned.size === 0 || assigned.has(profile.id)) return []
  return [
    {
      ...{ id: 'profile-unassigned', severity: 'warning', ...about(profile) },
      message: 'it has no assignment, and others have: no device gets it, not even where another profile names it',
      action: 'assign it, or delete it',
      source: 'profile.link-delivers-nothing',
    },
  ]
}

const assignedByContext = new WeakMap<CheckContext, ReadonlySet<string>>()

/** Ids of the profiles with a target. */
function assignedIn(context: CheckContext): ReadonlySet<string> {
  const known = assignedByContext.get(context)
  if (known) return known
  const { intent, imported } = context
  const byTenant = intent && [...intent.byPlatform.values()].flat().map(({ profile }) => profile.id)
  const made = new Set(byTenant ?? imported.assignments.flatMap(({ profileId, intent }) => (intent === 'apply' ? [profileId] : [])))
  assignedByContext.set(context, made)
  return made
}

const urlFacts = {
  ios: 'apple.scep.urls',
  macos: 'apple.scep.urls',
  android: 'android.scep.urls',
  windows: 'windows.scep.urls',
} as const satisfies Record<Platform, string>

const hasOneUrl: ProfileRule = (profile) => {
  if (profile.kind !== 'scep' || new Set(profile.scepUrls).size < 2) return []
  const fact = facts.find(({ id }) => id === urlFacts[profile.platform])
  return [
    {
      ...{ id: 'urls-several', severity: 'info', ...about(profile) },
      message: `one of its ${profile.scepUrls.length} SCEP URLs is picked at random, so that each has to answer: ${fact?.effect}`,
      action: 'keep each of them up, or give the one URL of a load balancer',
      source: urlFacts[profile.platform],
    },
  ]
}

const isForItsOs: DeviceRule = (device, { profiles }) =>
  device.notApplicable.flatMap(({ id, factId, reason }): CheckFinding[] => {
    const profile = profiles.get(id)
    if (profile === undefined) return []
    const message = `it is not for ${systemTitles[device.os.system]} ${device.os.version}, which shows it as not applicable: ${reason}`
    return [{ id: 'not-applicable', severity: 'info', ...about(profile, device), message, ...(factId !== undefined && { source: factId }) }]
  })

const reachesSomebody: TenantRule = (reached, { intent, tenant }) => {
  const platforms = new Set([...(tenant?.devices.values() ?? [])].map(({ platform }) => platform))
  const assigned = [...(intent?.byPlatform.values() ?? [])].flat().map(({ profile }) => profile)
  return assigned
    .filter(({ id }) => !reached.has(id))
    .map((profile) => ({
      ...{ id: 'nobody-reached', severity: 'warning', ...about(profile) },
      message: platforms.has(profile.platform)
        ? `it is assigned, and no ${systemTitles[profile.platform]} device gets it: none that its type is for is in its groups, by itself or by its user, or another group excludes it`
        : `it is assigned, and the tenant has no ${systemTitles[profile.platform]} device`,
      action: 'look at its groups and at who is in them',
      source: 'profile.targets',
    }))
}

export const profileRules: readonly ProfileRule[] = [isAssigned, hasOneUrl]

export const deviceRules: readonly DeviceRule[] = [isForItsOs]

export const tenantRules: readonly TenantRule[] = [reachesSomebody]
