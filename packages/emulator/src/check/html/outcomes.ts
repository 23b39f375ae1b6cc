import type { Principal } from '@certfleet/agent-core'
import { type Device, type IntentProfile, profilesBeyond, profilesReaching, subscriberOf } from '../../tenant/index.ts'
import type { CheckContext, CheckFinding, CheckScope } from '../types.ts'
import { groupedBy } from './groups.ts'
import type { Outcome, Severity } from './words.ts'

/** What is said of one profile, by how far it goes. */
export interface ProfileFindings {
  /** Of the profile on every device. */
  readonly wide: readonly CheckFinding[]
  /** By device id. */
  readonly byDevice: ReadonlyMap<string, readonly CheckFinding[]>
}

/** One profile on one device. */
export interface DeviceOutcome {
  readonly device: Device
  readonly outcome: Outcome
  readonly assignedTo: readonly Principal[]
  /** One sentence, where the profile is not for the device. */
  readonly reason?: string
}

export function worstOf(findings: readonly CheckFinding[]): Severity | undefined {
  let worst: Severity | undefined
  for (const { severity } of findings) {
    if (severity === 'error') return 'error'
    if (worst === undefined || severity === 'warning') worst = severity
  }
  return worst
}

/** By profile id, in the order of the tenant's devices; what is wrong with a profile everywhere is wrong with it on each of them. */
export function outcomesByProfile(
  { intent, tenant, profiles }: CheckContext,
  scope: CheckScope,
  findings: ReadonlyMap<IntentProfile, ProfileFindings>,
): ReadonlyMap<string, readonly DeviceOutcome[]> {
  const outcomes = new Map<string, DeviceOutcome[]>([...profiles.keys()].map((id) => [id, []]))
  if (intent === undefined || tenant === undefined) return outcomes
  const wide = new Map([...findings].map(([profile, said]) => [profile, worstOf(said.wide)]))
  for (const device of tenant.devices.values()) {
    if (!isWithin(device, scope)) continue
    const subscriber = subscriberOf(tenant, device.id)
    for (const { profile, assignedTo } of profilesReaching(intent, tenant, subscriber)) {
      const outcome = outcomeOf(wide.get(profile), worstOf(findings.get(profile)?.byDevice.get(device.id) ?? []))
      outcomes.get(profile.id)?.push({ device, outcome, assignedTo })
    }
    for (const { id, reason } of profilesBeyond(intent, tenant, subscriber))
      outcomes.get(id)?.push({ device, outcome: 'beyond', assignedTo: [], reason })
  }
  return outcomes
}

export function isWithin({ id, platform }: Device, scope: CheckScope): boolean {
  return (scope.platform === undefined || scope.platform === platform) && (scope.device === undefined || scope.device === id)
}

function outcomeOf(...said: readonly (Severity | undefined)[]): Outcome {
  if (said.includes('error')) return 'fails'
  return said.includes('warning') ? 'warned' : 'fine'
}

/** Each finding with the profile that it is about; the importer's name it by its display name and place. */
export function findingsByProfile(
  profiles: readonly IntentProfile[],
  findings: readonly CheckFinding[],
): ReadonlyMap<IntentProfile, ProfileFindings> {
  const byId = new Map(profiles.map((profile) => [profile.id, profile]))
  const byName = groupedBy(profiles, ({ displayName }) => displayName)
  const said = new Map(profiles.map((profile) => [profile, { wide: [] as CheckFinding[], byDevice: new Map<string, CheckFinding[]>() }]))
  for (const finding of findings) {
    const profile = finding.profileId === undefined ? placed(finding, byName) : byId.get(finding.profileId)
    const own = profile && said.get(profile)
    if (own === undefined) continue
    const { device } = finding
    if (device === undefined) own.wide.push(finding)
    else if (own.byDevice.has(device)) own.byDevice.get(device)?.push(finding)
    else own.byDevice.set(device, [finding])
  }
  return said
}

/** Namesakes of one file are told apart by their places in it; where that does not do, it is about none of them in particular. */
function placed(
  { profile, file, path = '' }: CheckFinding,
  byName: ReadonlyMap<string, readonly IntentProfile[]>,
): IntentProfile | undefined {
  const namesakes = profile === undefined ? [] : (byName.get(profile) ?? [])
  if (namesakes.length === 1) return namesakes[0]
  const there = namesakes.filter((candidate) => candidate.file === file && isInside(path, candidate.path))
  return there.length === 1 ? there[0] : undefined
}

function isInside(path: string, whole: string): boolean {
  return whole === '' || path === whole || path.startsWith(`${whole}.`) || path.startsWith(`${whole}[`)
}
