import type { Principal, ProfileType } from '@certfleet/agent-core'
import { applicabilityFacts, holds, profileFacts, says, systemTitles } from '@certfleet/platforms'
import type { AssignmentTarget, IntentProfile } from '../tenant/index.ts'
import { families, profileTypeOf } from '../tenant/profile-types.ts'
import { isManagedFor, principalsIn } from '../tenant/reach.ts'
import { type ExplainedStep, goesOn, stops, type Walk } from './explain-walk.ts'

const assignments = profileFacts.targets.id
const otherDevices = 'SEED S12'

export function assigned(walk: Walk): readonly ExplainedStep[] {
  const { profile, device } = walk
  const why = whyElsewhere(walk)
  if (why !== undefined) return [stops('assigned', why, otherDevices)]
  const targets = targetsOf(walk)
  if (targets.length === 0) return [stops('assigned', 'nobody: the profile has no assignment', assignments)]
  const held = targets.map((target) => ({ target, by: principalsIn(target, walk.intent, walk.tenant, device.subscriber) }))
  const excluded = held.find(({ target, by }) => target.kind === 'exclusionGroup' && by.length > 0)
  if (excluded) return [stops('assigned', `${targetText(excluded.target, walk)} excludes ${whose(excluded.by)}`, assignments)]
  const included = held.filter(({ target, by }) => target.kind !== 'exclusionGroup' && by.length > 0)
  if (included.length > 0) {
    const through = included.map(({ target, by }) => `to ${whose(by)} through ${targetText(target, walk)}`)
    return [
      goesOn(
        'assigned',
        `${through.join(', ')}${'principal' in profile ? `, for a certificate of the ${profile.principal}` : ''}`,
        assignments,
      ),
    ]
  }
  const others = targets.filter(({ kind }) => kind !== 'exclusionGroup').map((target) => targetText(target, walk))
  const among = others.length === 0 ? 'only exclusions name it' : `${others.join(', ')}: ${notThere(walk)} among them`
  return [stops('assigned', among, assignments)]
}

function whyElsewhere({ profile, device: { subscriber } }: Walk): string | undefined {
  const { device } = subscriber
  if (profile.platform !== device.platform) return `the profile is for ${profile.platform}, and the device is of ${device.platform}`
  if (isManagedFor(profile, device)) return undefined
  const { modes } = families[profile.family]
  const wanted = modes.length === 0 ? 'desktops' : `devices managed as ${modes.join(' or ')}`
  return `${profile.typeName} is for ${wanted}, and the device is managed as ${device.management ?? 'its platform usually is'}`
}

function targetsOf({ profile, intent }: Walk): readonly AssignmentTarget[] {
  return intent.byPlatform.get(profile.platform)?.find((one) => one.profile.id === profile.id)?.targets ?? []
}

function targetText(target: AssignmentTarget, { tenant, intent }: Walk): string {
  if (!('group' in target)) return target.kind === 'allDevices' ? 'all devices' : 'all users'
  const group = tenant.groups.get(intent.groupIds.get(target.group) ?? '')
  return group ? `the group "${group.name}"` : `the group "${target.group}", which the tenant file lacks`
}

function whose(by: readonly Principal[]): string {
  return by.length === 2 ? 'the device and its user' : by[0] === 'user' ? 'its user' : 'the device'
}

function notThere({ device: { subscriber } }: Walk): string {
  const { user } = subscriber
  return user ? `neither the device nor its user "${user.id}" is` : 'the device, which has no user, is not'
}

/** Whether its kind is for the OS version. */
export function applicable({ profile, device }: Walk): readonly ExplainedStep[] {
  const { os, notApplicable } = device
  const title = `${systemTitles[os.system]} ${os.version}`
  const not = notApplicable.find(({ id }) => id === profile.id)
  if (not) return [stops('applies', `not to ${title}, and no error is shown: ${not.reason}`, not.factId)]
  const type = typeOf(profile)
  const fact = applicabilityFacts.find((row) => says(row, os).includes(type) && holds(row, os))
  return [goesOn('applies', `to ${title}${fact?.since ? `, as from ${fact.since} on` : ''}`, fact?.id)]
}

function typeOf({ typeName }: IntentProfile): ProfileType {
  const kind = profileTypeOf(typeName)?.kind
  return kind === 'trusted-root' || kind === 'scep' ? kind : 'pfx'
}
