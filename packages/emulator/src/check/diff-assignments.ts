import type { Assignment, IntentProfile } from '../tenant/index.ts'
import type { Comparison } from './diff.ts'
import type { Affected } from './diff-effects.ts'
import type { MatchedProfile } from './diff-match.ts'
import { devicesText, fatesText, listText } from './diff-words.ts'
import { about } from './shown.ts'
import type { CheckFinding, CheckInput } from './types.ts'

/** Who loses and gains a profile that is in both. */
export function assignmentFindings({ before, after }: MatchedProfile, { lost, gained }: Affected, comparison: Comparison): CheckFinding[] {
  if (comparison.context.isStandIn) return targetsChanged(before, after, comparison)
  const findings: CheckFinding[] = []
  if (lost.length > 0) {
    const { text, source } = fatesText(before, lost, comparison.context, comparison.after.overrides)
    const message = `it no longer reaches ${text}`
    const action = 'see whether they are meant to; an export that was made without assignments looks the same'
    findings.push({ id: 'assignment-lost', severity: 'warning', ...about(after), message, action, source })
  }
  if (gained.length > 0) {
    const message = `it reaches ${devicesText(gained, comparison.context)} more`
    findings.push({ id: 'assignment-gained', severity: 'info', ...about(after), message, source: 'profile.targets' })
  }
  return findings
}

/** Without a tenant nobody knows whom that reaches. */
function targetsChanged(before: IntentProfile, after: IntentProfile, comparison: Comparison): CheckFinding[] {
  const [old, now] = [targetsOf(before, comparison.before), targetsOf(after, comparison.after)]
  const [gone, come] = [old.filter((target) => !now.includes(target)), now.filter((target) => !old.includes(target))]
  if (gone.length + come.length === 0) return []
  const message = [gone.length > 0 && `no more to ${listText(gone)}`, come.length > 0 && `now to ${listText(come)}`]
    .filter(Boolean)
    .join(', ')
  const action = 'give the tenant with --tenant to see which devices lose or gain it'
  return [
    {
      id: 'assignments-changed',
      severity: 'warning',
      ...about(after),
      message: `it is assigned ${message}`,
      action,
      source: 'profile.targets',
    },
  ]
}

function targetsOf({ id }: IntentProfile, { imported }: CheckInput): readonly string[] {
  return [...new Set(imported.assignments.filter(({ profileId }) => profileId === id).map(targetText))]
}

function targetText({ intent, target }: Assignment): string {
  const whom = 'group' in target ? `group "${target.group}"` : target.kind === 'allDevices' ? 'all devices' : 'all users'
  return `${intent === 'remove' ? 'the removal for ' : ''}${target.kind === 'exclusionGroup' ? 'all but ' : ''}${whom}`
}
