import { type FactOverrides, profileFacts, removalOf } from '@certfleet/platforms'
import { type Device, managementOf, osVersionOf } from '../tenant/index.ts'
import type { Effect } from './diff-device.ts'
import type { Affected } from './diff-effects.ts'
import { changedSettings, type MatchedProfile } from './diff-match.ts'
import { devicesText, listText, reasonTexts } from './diff-words.ts'
import { managedKinds } from './rules/removal.ts'
import { about } from './shown.ts'
import type { CheckFinding } from './types.ts'

export interface EditContext {
  readonly isStandIn: boolean
  readonly overrides: FactOverrides | undefined
}

type Of<K extends Effect['kind']> = { readonly device: Device; readonly effect: Extract<Effect, { kind: K }> }

/** What an edit of one profile does on the devices that have it before and after. */
export function editFindings(match: MatchedProfile, { effects }: Affected, isLinkLost: boolean, context: EditContext): CheckFinding[] {
  const of = <K extends Effect['kind']>(kind: K) => effects.filter((one): one is typeof one & Of<K> => one.effect.kind === kind)
  const [reissued, broken, mended] = [of('reissued'), of('broken'), of('mended')]
  return [
    ...(isLinkLost ? [] : breaks(match, broken, context)),
    ...reissues(match, reissued, context),
    ...revokes(match, reissued, context),
    ...mends(match, mended, context),
    ...(effects.length > 0 || isLinkLost ? [] : harmless(match)),
  ]
}

function reissues({ before, after }: MatchedProfile, reissued: readonly Of<'reissued'>[], context: EditContext): CheckFinding[] {
  if (reissued.length === 0) return []
  const reasons = [...new Set(reissued.map(({ effect }) => reasonTexts[effect.reason] ?? effect.reason))]
  const asks = after.kind === 'scep' ? 'enrols anew with a new key' : 'gets another certificate and key delivered'
  const others = changedSettings(before, after)
  const changed = others.length === 0 ? '' : ` (changed: ${listText(others)})`
  return [
    {
      id: 'edit-reissues',
      severity: 'warning',
      ...about(after),
      message: `${each(reissued, context)} ${asks}, since ${listText(reasons)}${changed}`,
      action: 'choose a time for it, and let a pilot group go first: CA, connector and network carry all of them at once',
      source: profileFacts.editedMembers.id,
    },
  ]
}

const each = (affected: readonly { device: Device }[], context: EditContext): string => {
  const devices = affected.map(({ device }) => device)
  return devices.length === 1 || context.isStandIn ? devicesText(devices, context) : `each of ${devicesText(devices, context)}`
}

/** A certificate for another principal leaves the old one without a profile. */
function revokes({ before, after }: MatchedProfile, reissued: readonly Of<'reissued'>[], context: EditContext): CheckFinding[] {
  if (before.kind === 'invalid') return []
  const kind = managedKinds[before.kind]
  const factIds = new Set<string>()
  const revoked = reissued.filter(({ device, effect }) => {
    const event = effect.reason === 'IdentityMissing' ? 'unassigned' : 'edited'
    const fate = removalOf(kind, event, device.platform, osVersionOf(device), context.overrides, managementOf(device))
    if (fate.ca === 'revoked') for (const id of fate.factIds) factIds.add(id)
    return fate.ca === 'revoked'
  })
  if (revoked.length === 0) return []
  return [
    {
      id: 'edit-revokes',
      severity: 'warning',
      ...about(after),
      message: `the old certificate of ${each(revoked, context)} is revoked`,
      action: 'change first whatever knows the old certificate itself: pinned certificates, accounts mapped by its serial number',
      source: [...factIds].join('; '),
    },
  ]
}

function breaks({ after }: MatchedProfile, broken: readonly Of<'broken'>[], context: EditContext): CheckFinding[] {
  const byWhy = new Map<string, [Of<'broken'>, ...Of<'broken'>[]]>()
  for (const one of broken) {
    const alike = alikeText(one)
    const known = byWhy.get(alike)
    if (known) known.push(one)
    else byWhy.set(alike, [one])
  }
  return [...byWhy.values()].map((group): CheckFinding => {
    const devices = devicesText(
      group.map(({ device }) => device),
      context,
    )
    return {
      id: 'edit-breaks',
      severity: 'error',
      ...about(after),
      message: `with the profile as it is now, this fails, and an old certificate lasts until it expires: ${devices}: ${group[0].effect.why}`,
      action: 'correct the edit',
      source: profileFacts.editedMembers.id,
    }
  })
}

/** Without who it is: what ails many devices alike is told once. */
function alikeText({ device, effect }: Of<'broken'>): string {
  return effect.why.replaceAll(`"${device.id}"`, '').replaceAll(`"${device.user}"`, '')
}

function mends({ after }: MatchedProfile, mended: readonly Of<'mended'>[], context: EditContext): CheckFinding[] {
  if (mended.length === 0) return []
  const devices = mended.map(({ device }) => device)
  const message = `${devicesText(devices, context)} could not have the certificate before, and asks for it now`
  return [{ id: 'edit-mends', severity: 'info', ...about(after), message, source: profileFacts.editedMembers.id }]
}

function harmless({ before, after }: MatchedProfile): CheckFinding[] {
  const changed = changedSettings(before, after)
  if (changed.length === 0) return []
  const message = `no device asks for another certificate (changed: ${listText(changed)})`
  return [{ id: 'edit-harmless', severity: 'info', ...about(after), message, source: profileFacts.editedMembers.id }]
}
