import type { Instant } from '@certfleet/agent-core'
import type { AssignmentTarget, Device, IntentProfile, Platform } from '../../tenant/index.ts'
import type { CheckContext, CheckFinding, CheckScope } from '../types.ts'
import { type FindingGroup, findingGroups, groupedBy } from './groups.ts'
import type { CheckReportParts } from './index.ts'
import { type DeviceOutcome, findingsByProfile, isWithin, outcomesByProfile, type ProfileFindings, worstOf } from './outcomes.ts'
import { clipped, kindTexts, nameLength, type Outcome, outcomes, platformTexts, type Severity } from './words.ts'

export type OutcomeCounts = Readonly<Record<Outcome, number>>

/** One profile with all that is said of it. */
export interface ProfileView {
  readonly profile: IntentProfile
  /** Of its page within the report. */
  readonly anchor: string
  /** Without the names that it sends. */
  readonly findings: readonly CheckFinding[]
  readonly names: readonly CheckFinding[]
  readonly worst: Severity | undefined
  /** Worst first. */
  readonly devices: readonly DeviceOutcome[]
  readonly counts: OutcomeCounts
  readonly targets: readonly AssignmentTarget[]
  /** Profiles that name it as their root. */
  readonly rootOf: readonly IntentProfile[]
}

/** What the page shows, joined and counted. */
export interface CheckView {
  readonly context: CheckContext
  readonly at: Instant
  readonly scope: CheckScope
  /** By kind, then platform, then name. */
  readonly profiles: readonly ProfileView[]
  readonly platforms: readonly Platform[]
  readonly devices: readonly Device[]
  /** Whether anything tells what is assigned to whom: many exports do not. */
  readonly assignmentsKnown: boolean
  /** Each device once, by the worst that becomes of a profile on it. */
  readonly deviceOutcomes: ReadonlyMap<Device, Outcome | undefined>
  /** Without those that tell the names that each device sends: they stand with their profiles. */
  readonly findings: readonly CheckFinding[]
  /** The same, those of many devices as one. */
  readonly groups: readonly FindingGroup[]
  readonly profileOf: (finding: CheckFinding) => IntentProfile | undefined
  /** Undefined for one that the page does not show. */
  readonly anchorOf: (profile: IntentProfile) => string | undefined
  /** What people call a device; its id where that is no one name. */
  readonly labelOf: (deviceId: string) => string
  readonly limits: Limits
}

/** What is listed of one profile at most; the rest is counted. */
export interface Limits {
  readonly devices: number
  readonly findings: number
  readonly names: number
}

/** The more profiles, the less of each: the page stays one that a browser opens. */
function limitsOf(profiles: number): Limits {
  const share = (whole: number, least: number, most: number) => Math.max(least, Math.min(most, Math.floor(whole / Math.max(1, profiles))))
  return { devices: share(20_000, 10, 200), findings: share(6_000, 3, 50), names: share(10_000, 5, 200) }
}

const isOfNames = ({ id }: CheckFinding): boolean => id === 'names-sent'

export function checkView(parts: CheckReportParts): CheckView {
  const { result, at, scope = {} } = parts
  const { context } = result
  const shown = inOrder(context.imported.profiles.filter(({ platform }) => scope.platform === undefined || platform === scope.platform))
  const said = findingsByProfile(shown, result.findings)
  const anchors = new Map(shown.map((profile, i) => [profile.id, `profile-${i + 1}`]))
  const profiles = profileViews(shown, said, anchors, parts)
  const devices = [...(context.tenant?.devices.values() ?? [])].filter((device) => isWithin(device, scope))
  const findings = result.findings.filter((finding) => !isOfNames(finding))
  const profileOf = profileByFinding(said)
  return {
    ...{ context, at, scope, profiles, devices, findings, profileOf },
    platforms: platformsOf(shown, devices),
    assignmentsKnown: context.intent !== undefined || context.imported.assignments.length > 0,
    deviceOutcomes: byDevice(devices, profiles, findings),
    groups: findingGroups(findings, profileOf),
    anchorOf: ({ id }) => anchors.get(id),
    labelOf: labels(context),
    limits: limitsOf(profiles.length),
  }
}

function profileViews(
  shown: readonly IntentProfile[],
  said: ReadonlyMap<IntentProfile, ProfileFindings>,
  anchors: ReadonlyMap<string, string>,
  { result: { context }, scope = {} }: CheckReportParts,
): readonly ProfileView[] {
  const reached = outcomesByProfile(context, scope, said)
  const targets = targetsByProfile(context)
  const roots = groupedBy(shown, rootIdOf)
  return shown.map((profile): ProfileView => {
    const all = allOf(said.get(profile))
    const findings = all.filter((finding) => !isOfNames(finding))
    const devices = worstFirst(reached.get(profile.id) ?? [])
    return {
      ...{ profile, findings, devices },
      anchor: anchors.get(profile.id) as string,
      names: all.filter(isOfNames),
      worst: worstOf(findings),
      counts: countsOf(devices.map(({ outcome }) => outcome)),
      targets: targets.get(profile.id) ?? [],
      rootOf: roots.get(profile.id) ?? [],
    }
  })
}

function allOf(said: ProfileFindings | undefined): readonly CheckFinding[] {
  return said ? [...said.wide, ...[...said.byDevice.values()].flat()] : []
}

function worstFirst(devices: readonly DeviceOutcome[]): readonly DeviceOutcome[] {
  return [...devices].sort((one, other) => outcomes.indexOf(one.outcome) - outcomes.indexOf(other.outcome))
}

function profileByFinding(said: ReadonlyMap<IntentProfile, ProfileFindings>): CheckView['profileOf'] {
  const profiles = new Map([...said].flatMap(([profile, own]) => allOf(own).map((finding) => [finding, profile] as const)))
  return (finding) => profiles.get(finding)
}

/** `Wi-Fi 2` before `Wi-Fi 10`. */
const byName = new Intl.Collator('en', { numeric: true })

function inOrder(profiles: readonly IntentProfile[]): readonly IntentProfile[] {
  const [kinds, platforms] = [Object.keys(kindTexts), Object.keys(platformTexts)]
  const compare = (one: IntentProfile, other: IntentProfile) =>
    kinds.indexOf(one.kind) - kinds.indexOf(other.kind) ||
    platforms.indexOf(one.platform) - platforms.indexOf(other.platform) ||
    byName.compare(one.displayName, other.displayName)
  return [...profiles].sort(compare)
}

function rootIdOf(profile: IntentProfile): string | undefined {
  return 'link' in profile && 'rootProfileId' in profile.link ? profile.link.rootProfileId : undefined
}

export function countsOf(all: Iterable<Outcome | undefined>): OutcomeCounts {
  const counts = { fails: 0, warned: 0, fine: 0, beyond: 0 }
  for (const outcome of all) if (outcome !== undefined) counts[outcome]++
  return counts
}

function platformsOf(profiles: readonly IntentProfile[], devices: readonly Device[]): readonly Platform[] {
  const used = new Set([...profiles, ...devices].map(({ platform }) => platform))
  return (Object.keys(platformTexts) as Platform[]).filter((platform) => used.has(platform))
}

/** Of what is said of a device and of no profile, errors count as well. */
function byDevice(
  devices: readonly Device[],
  profiles: readonly ProfileView[],
  findings: readonly CheckFinding[],
): ReadonlyMap<Device, Outcome | undefined> {
  const worst = new Map<Device, Outcome | undefined>(devices.map((device) => [device, undefined]))
  const add = (device: Device, outcome: Outcome) => {
    const known = worst.get(device)
    if (known === undefined || outcomes.indexOf(outcome) < outcomes.indexOf(known)) worst.set(device, outcome)
  }
  for (const profile of profiles) for (const { device, outcome } of profile.devices) add(device, outcome)
  const byId = new Map(devices.map((device) => [device.id, device]))
  for (const { device: id, profile, severity } of findings) {
    const device = profile === undefined && id !== undefined && severity !== 'info' ? byId.get(id) : undefined
    if (device) add(device, severity === 'error' ? 'fails' : 'warned')
  }
  return worst
}

function targetsByProfile({ intent, imported }: CheckContext): ReadonlyMap<string, readonly AssignmentTarget[]> {
  if (intent) return new Map([...intent.byPlatform.values()].flat().map(({ profile, targets }) => [profile.id, targets]))
  const applied = groupedBy(
    imported.assignments.filter((assignment) => assignment.intent === 'apply'),
    ({ profileId }) => profileId,
  )
  return new Map([...applied].map(([id, assignments]) => [id, assignments.map(({ target }) => target)]))
}

function labels({ tenant }: CheckContext): (deviceId: string) => string {
  const named = groupedBy(tenant?.devices.values() ?? [], ({ deviceName }) => deviceName)
  return (id) => {
    const name = tenant?.devices.get(id)?.deviceName
    return clipped(name === undefined || named.get(name)?.length !== 1 ? id : name, nameLength)
  }
}
