import { isDeepStrictEqual } from 'node:util'
import type { Finding, IntentProfile } from '../tenant/index.ts'
import { assignmentFindings } from './diff-assignments.ts'
import { type EditContext, editFindings } from './diff-edit.ts'
import { type Affected, type Effects, effectsOf } from './diff-effects.ts'
import { type MatchedProfile, matchProfiles, type ProfileMatch } from './diff-match.ts'
import { devicesText, fatesText, listText } from './diff-words.ts'
import { about } from './shown.ts'
import type { CheckFinding, CheckInput } from './types.ts'

/**
 * What replacing one export by another does to what is already on devices. Profiles are matched by id, else by a display name and type that
 * are unique in both. The tenant, where there is one, is that of both. Whether a device asks again is for the agent's own planner to say.
 */
export function diffExports(before: CheckInput, after: CheckInput): readonly CheckFinding[] {
  const match = matchProfiles(before.imported, after.imported)
  const comparison: Comparison = {
    ...{ before, after, match, effects: effectsOf(before, after, match) },
    context: { isStandIn: after.tenant === undefined, overrides: after.overrides },
  }
  return [
    ...[before, after].flatMap(({ imported }) => imported.findings.filter(isUnread)),
    ...match.matched.flatMap((one) => matchedFindings(one, comparison)),
    ...match.added.map((profile) => added(profile, comparison)),
    ...match.removed.map((profile) => removed(profile, comparison)),
  ]
}

export interface Comparison {
  readonly before: CheckInput
  readonly after: CheckInput
  readonly match: ProfileMatch
  readonly effects: Effects
  readonly context: EditContext
}

/** Half an export is another one. */
function isUnread({ id }: Finding): boolean {
  return id === 'file-malformed' || id === 'links-file-invalid'
}

const nobody: Affected = { kept: [], lost: [], gained: [], effects: [] }

function matchedFindings(one: MatchedProfile, comparison: Comparison): readonly CheckFinding[] {
  const { before, after, isCopy } = one
  if (before.typeName !== after.typeName) return [typeChanged(one, comparison)]
  if (isCopy) return [copied(one, comparison)]
  const affected = comparison.effects.get(before.id) ?? nobody
  const link = linkFinding(one, comparison)
  const edits = after.kind === 'trusted-root' && rootReplaced(one, comparison)
  return [
    ...(link ? [link] : []),
    ...(edits || editFindings(one, affected, link?.id === 'link-lost', comparison.context)),
    ...assignmentFindings(one, affected, comparison),
  ]
}

function typeChanged({ before, after }: MatchedProfile, comparison: Comparison): CheckFinding {
  const { text, source } = fateOfAll(before, comparison)
  const message = `it was of type ${before.typeName} and is of ${after.typeName}, which goes to other devices or brings another certificate. As if it were taken away: ${text}`
  return { id: 'type-changed', severity: 'warning', ...about(after), message, action: 'make a profile of its own of it', source }
}

function copied({ before, after }: MatchedProfile, comparison: Comparison): CheckFinding {
  const { text, source } = fateOfAll(before, comparison)
  const asks = after.kind === 'trusted-root' ? 'install the root again' : 'ask for a certificate of their own by it'
  const message = `it has the name and type of the old profile and another id: to devices it is another profile, and they ${asks}. Once the old one is gone, ${text}`
  return { id: 'profile-copied', severity: 'warning', ...about(after), message, action: 'edit the old profile in its place', source }
}

/** On the devices that had it, whoever has what came in its place. */
function fateOfAll(profile: IntentProfile, { effects, context, after }: Comparison): { text: string; source: string } {
  const { kept, lost } = effects.get(profile.id) ?? nobody
  const devices = [...kept, ...lost]
  if (devices.length === 0) return { text: 'nothing becomes of it: no device had it', source: 'profile.targets' }
  return fatesText(profile, devices, context, after.overrides)
}

function linkFinding({ before, after }: MatchedProfile, { match, after: { imported } }: Comparison): CheckFinding | undefined {
  if (!('link' in before) || !('link' in after)) return undefined
  const [old, now] = [before.link, after.link]
  const source = 'profile.root-choice'
  if ('problem' in now) {
    if ('problem' in old) return undefined
    const message = `its link to its root is lost, so that no device can be sent it: ${now.problem}`
    const action = 'bind it to its Trusted profile again, or name that in links.json'
    return { id: 'link-lost', severity: 'error', ...about(after), message, action, source }
  }
  const root = imported.profiles.find(({ id }) => id === now.rootProfileId)?.displayName ?? now.rootProfileId
  if ('problem' in old) {
    const message = `it names "${root}" as its root; what it named before is not known`
    return { id: 'link-changed', severity: 'info', ...about(after), message, source }
  }
  const oldId = match.matched.find((one) => one.after.id === now.rootProfileId)?.before.id ?? now.rootProfileId
  if (oldId === old.rootProfileId) return undefined
  const message = `it names another Trusted profile, "${root}", as its root`
  return { id: 'link-changed', severity: 'warning', ...about(after), message, action: 'see that its servers lead to that root', source }
}

/** What that does to certificates is told of their profiles. */
function rootReplaced({ before, after }: MatchedProfile, { after: { imported } }: Comparison): CheckFinding[] | undefined {
  if (before.kind !== 'trusted-root' || after.kind !== 'trusted-root') return undefined
  if (isDeepStrictEqual(before.certificate, after.certificate)) return undefined
  const names = imported.profiles.flatMap((profile) =>
    'link' in profile && 'rootProfileId' in profile.link && profile.link.rootProfileId === after.id ? [`"${profile.displayName}"`] : [],
  )
  const dependents = names.length === 0 ? 'no profile names it' : `the certificates of ${listText(names)} are asked for anew`
  const message = `it holds another certificate: ${dependents}, and the old one leaves a device once nothing there depends on it`
  return [{ id: 'root-replaced', severity: 'warning', ...about(after), message, source: 'removal.root-edited' }]
}

function added(profile: IntentProfile, { effects, context }: Comparison): CheckFinding {
  const { gained } = effects.get(profile.id) ?? nobody
  const whom = context.isStandIn
    ? 'whoever it is assigned to gets it'
    : gained.length === 0
      ? 'it reaches no device'
      : `it reaches ${devicesText(gained, context)}`
  return { id: 'profile-added', severity: 'info', ...about(profile), message: `it is new: ${whom}`, source: 'profile.targets' }
}

function removed(profile: IntentProfile, comparison: Comparison): CheckFinding {
  const { text, source } = fateOfAll(profile, comparison)
  const message = `it is not in the newer export; as if it were unassigned, ${text}`
  return { id: 'profile-removed', severity: 'warning', ...about(profile), message, action: 'see whether it is meant to go', source }
}
