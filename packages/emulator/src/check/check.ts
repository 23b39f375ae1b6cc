import { checkContext, checkedDevice } from './context.ts'
import { deviceRules, profileRules, tenantRules } from './rules/index.ts'
import type { CheckContext, CheckFinding, CheckInput, CheckScope } from './types.ts'

export interface CheckResult {
  readonly context: CheckContext
  /** Ids of the devices that were checked, in the tenant's order. */
  readonly devices: readonly string[]
  readonly findings: readonly CheckFinding[]
}

/** Answers from what is known alone: no network, no clock, and the same findings in the same order each time. */
export function checkExport(input: CheckInput, scope: CheckScope = {}): CheckResult {
  const { context, findings: joining } = checkContext(input)
  const findings: CheckFinding[] = [...input.imported.findings, ...joining].filter((finding) => isOfPlatform(finding, context, scope))
  for (const profile of input.imported.profiles) {
    if (scope.platform !== undefined && profile.platform !== scope.platform) continue
    for (const rule of profileRules) findings.push(...rule(profile, context))
  }
  const reached = new Set<string>()
  const devices = [...devicesIn(context, scope)]
  for (const deviceId of devices) {
    const device = checkedDevice(context, deviceId)
    for (const { profile } of device.pairs) reached.add(profile.id)
    for (const rule of deviceRules) findings.push(...rule(device, context))
  }
  if (context.tenant && scope.device === undefined)
    for (const rule of tenantRules) findings.push(...rule(reached, context).filter((finding) => isOfPlatform(finding, context, scope)))
  return { context, devices, findings }
}

/** Findings about no profile stay. */
function isOfPlatform({ profile }: Pick<CheckFinding, 'profile'>, { imported }: CheckContext, { platform }: CheckScope): boolean {
  if (platform === undefined || profile === undefined) return true
  const namesakes = imported.profiles.filter(({ displayName }) => displayName === profile)
  return namesakes.length === 0 || namesakes.some((namesake) => namesake.platform === platform)
}

function* devicesIn({ tenant }: CheckContext, scope: CheckScope): Iterable<string> {
  for (const [id, device] of tenant?.devices ?? []) {
    if (scope.platform !== undefined && device.platform !== scope.platform) continue
    if (scope.device === undefined || scope.device === id) yield id
  }
}
