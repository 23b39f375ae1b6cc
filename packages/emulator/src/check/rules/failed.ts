import { AgentError } from '@certfleet/agent-core'
import { profileFacts, variableFacts } from '@certfleet/platforms'
import type { IntentProfile, PkcsIntent, ScepIntent } from '../../tenant/index.ts'
import { type Place, resolveVariables, type Subscriber } from '../../tenant/variables.ts'
import { about, failure } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding } from '../types.ts'
import { lacksUser } from './pfx.ts'
import { type Remedy, remedyOfVariables } from './remedies.ts'

type Failed = CheckedDevice['policy']['failedProfiles'][number]

/** What the service cannot make for a device: its agent reports it as it was told. */
export function failedDeliveries(device: CheckedDevice, { profiles }: CheckContext): readonly CheckFinding[] {
  const { failedProfiles } = device.policy
  return failedProfiles.length === 0 ? [] : failedProfiles.flatMap((failed) => findingsOf(failed, profiles.get(failed.id), device))
}

function findingsOf(failed: Failed, profile: IntentProfile | undefined, device: CheckedDevice): readonly CheckFinding[] {
  if (profile === undefined) return []
  if (failed.code === 'ERR_VARIABLE_UNRESOLVED') return unresolved(profile as ScepIntent | PkcsIntent, failed, device)
  // Told of by its own name.
  if (lacksUser(profile, device) && !hasLinkProblem(profile)) return []
  return [
    {
      id: 'delivery-failed',
      severity: 'error',
      ...about(profile, device),
      message: `the service cannot make it${hasLinkProblem(profile) ? ' as exported' : ''}: ${failed.message}`,
      ...remedyOf(failed, profile),
      ...failure(failed.code, profile, device),
    },
  ]
}

function remedyOf({ code }: Failed, profile: IntentProfile): Remedy {
  if (profile.kind === 'invalid') return { action: 'correct the profile, or leave it out', source: 'G-WIN' }
  if (hasLinkProblem(profile)) return { action: 'name its Trusted profile, in links.json if need be', source: profileFacts.rootChoice.id }
  if (code === 'ERR_UNSUPPORTED')
    return { action: 'choose another subject name format, such as custom', source: profileFacts.subjectFormats.id }
  return { action: 'correct the distinguished name of the user in the directory', source: variableFacts.user.id }
}

function hasLinkProblem(profile: IntentProfile): boolean {
  return 'link' in profile && 'problem' in profile.link
}

/** One for each reason: the policy tells the first variable alone, and the next would be met only once that is put right. */
function unresolved(profile: ScepIntent | PkcsIntent, failed: Failed, device: CheckedDevice): readonly CheckFinding[] {
  const { subscriber } = device
  const ownDevice = `device "${subscriber.device.id}"`
  return [...variablesByReason(profile, failed, subscriber)].map(([told, variables]) => {
    const reason = told.replace(ownDevice, 'the device')
    const names = [...variables].join(', ')
    return {
      id: 'variable-unresolved',
      severity: 'error',
      ...about(profile, device),
      message: `${names} cannot be resolved: ${reason}`,
      ...remedyOfVariables(names, reason),
      ...failure('ERR_VARIABLE_UNRESOLVED', profile, device),
    }
  })
}

function variablesByReason(
  profile: ScepIntent | PkcsIntent,
  { message }: Failed,
  subscriber: Subscriber,
): ReadonlyMap<string, ReadonlySet<string>> {
  const byReason = new Map<string, Set<string>>()
  for (const [variable, places] of placesOf(profile)) {
    const reason = reasonIn(message, variable) ?? whyUnresolved(variable, places, profile, subscriber)
    if (reason === undefined) continue
    const known = byReason.get(reason)
    if (known) known.add(variable)
    else byReason.set(reason, new Set([variable]))
  }
  return byReason
}

type PlacesByVariable = ReadonlyMap<string, ReadonlySet<Place>>

const placesByProfile = new WeakMap<ScepIntent | PkcsIntent, PlacesByVariable>()

/** Each variable as it is written, with where it stands. */
function placesOf(profile: ScepIntent | PkcsIntent): PlacesByVariable {
  const known = placesByProfile.get(profile)
  if (known) return known
  const { subjectTemplate = '', subjectAltNames } = profile
  const found = new Map<string, Set<Place>>()
  for (const { value, type } of [{ value: subjectTemplate, type: 'subject' as const }, ...subjectAltNames])
    for (const [variable] of value.matchAll(/\{\{[^{}]*\}\}/g)) found.set(variable, (found.get(variable) ?? new Set()).add(type))
  placesByProfile.set(profile, found)
  return found
}

/** In the first place that it cannot stand in. */
function whyUnresolved(
  variable: string,
  places: Iterable<Place>,
  profile: ScepIntent | PkcsIntent,
  subscriber: Subscriber,
): string | undefined {
  try {
    for (const place of places) resolveVariables(variable, place, profile, subscriber)
    return undefined
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return reasonIn(error.message, variable)
  }
}

function reasonIn(message: string, variable: string): string | undefined {
  const start = `${variable} cannot be resolved: `
  return message.startsWith(start) ? message.slice(start.length) : undefined
}
