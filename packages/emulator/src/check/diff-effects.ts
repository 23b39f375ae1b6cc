import type { PolicyDocument } from '@certfleet/agent-core'
import {
  type AssignedProfile,
  assignProfiles,
  type Device,
  type Intent,
  type IntentProfile,
  profilesReaching,
  renderPolicy,
  subscriberOf,
  type Tenant,
} from '../tenant/index.ts'
import { type Effect, effectsOn, unknownRootId } from './diff-device.ts'
import type { MatchedProfile, ProfileMatch } from './diff-match.ts'
import { standInTenant } from './stand-in.ts'
import type { CheckInput } from './types.ts'

/** What becomes of a profile's devices. */
export interface Affected {
  /** They have the profile before and after. */
  readonly kept: Device[]
  readonly lost: Device[]
  readonly gained: Device[]
  readonly effects: { readonly device: Device; readonly effect: Effect }[]
}

/** By the profile's id; in the older export where it is in both and no copy. */
export type Effects = ReadonlyMap<string, Affected>

/** Both exports on every device of the tenant, or of one that stands in for it, where all profiles reach everybody. */
export function effectsOf(before: CheckInput, after: CheckInput, match: ProfileMatch): Effects {
  const tenant = after.tenant ?? standInTenant
  const { old, now } = comparableIntents(before, after, match, tenant)
  const effects = new Map<string, Affected>()
  const effectsFor = (id: string): Affected => {
    const known = effects.get(id) ?? { kept: [], lost: [], gained: [], effects: [] }
    effects.set(id, known)
    return known
  }
  for (const device of tenant.devices.values()) compareOn(device, tenant, [old, now], effectsFor, after)
  return effects
}

function compareOn(
  device: Device,
  tenant: Tenant,
  [old, now]: readonly [Intent, Intent],
  effectsFor: (id: string) => Affected,
  { overrides }: CheckInput,
): void {
  const [had, has] = [old, now].map((intent) => reaching(intent, tenant, device)) as [Set<string>, Set<string>]
  if (had.size === 0 && has.size === 0) return
  const policies = [old, now].map((intent) => rendered(intent, tenant, device)) as [PolicyDocument, PolicyDocument]
  const effects = effectsOn(device, policies, overrides)
  for (const id of had) if (!has.has(id)) effectsFor(id).lost.push(device)
  for (const id of has) {
    const affected = effectsFor(id)
    if (!had.has(id)) affected.gained.push(device)
    else affected.kept.push(device)
    const effect = had.has(id) && effects.get(id)
    if (effect) affected.effects.push({ device, effect })
  }
}

function reaching(intent: Intent, tenant: Tenant, { id }: Device): Set<string> {
  return new Set(profilesReaching(intent, tenant, subscriberOf(tenant, id)).map(({ profile }) => profile.id))
}

/** Another purpose is another file; whether one was imported is a question of its own. */
function rendered(intent: Intent, tenant: Tenant, { id }: Device): PolicyDocument {
  return renderPolicy(intent, tenant, id, { revision: 1, importedRevision: (upn, purpose) => `${upn} ${purpose}` })
}

/** What differs in both after this differs on devices: ids of one and the same profile are made equal, and roots that were never told too. */
function comparableIntents(before: CheckInput, after: CheckInput, { matched }: ProfileMatch, tenant: Tenant): { old: Intent; now: Intent } {
  const sameIds = new Map(matched.filter(({ isCopy }) => !isCopy).map((match) => [match.after.id, match.before.id]))
  const rootless = new Set(matched.filter(lacksOldRoot).map((match) => match.before.id))
  const withRoot = (profile: IntentProfile): IntentProfile =>
    'link' in profile && rootless.has(profile.id) ? { ...profile, link: { rootProfileId: unknownRootId } } : profile
  const renamed = (profile: IntentProfile): IntentProfile => {
    const { id } = profile
    const linked = 'link' in profile && 'rootProfileId' in profile.link ? profile.link.rootProfileId : undefined
    const link = linked === undefined ? {} : { link: { rootProfileId: sameIds.get(linked) ?? linked } }
    return withRoot({ ...profile, id: sameIds.get(id) ?? id, ...link } as IntentProfile)
  }
  const intentOf = ({ imported }: CheckInput, change: (profile: IntentProfile) => IntentProfile) =>
    mapped(assignProfiles(imported, tenant).intent, change, (id) => sameIds.get(id) ?? id)
  return { old: intentOf(before, withRoot), now: intentOf(after, renamed) }
}

/** Nothing is known of the root that it had, so that nothing can be said of a change either. */
function lacksOldRoot({ before }: MatchedProfile): boolean {
  return 'link' in before && 'problem' in before.link
}

function mapped(intent: Intent, change: (profile: IntentProfile) => IntentProfile, idOf: (id: string) => string): Intent {
  const changed = ({ profile, targets }: AssignedProfile) => ({ profile: change(profile), targets })
  return {
    ...intent,
    byPlatform: new Map([...intent.byPlatform].map(([platform, assigned]) => [platform, assigned.map(changed)])),
    multiFactor: new Set([...intent.multiFactor].map(idOf)),
  }
}
