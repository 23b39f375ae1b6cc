import { AgentError, type FailedProfile } from '@certfleet/agent-core'
import { profileFacts, variableFacts } from '@certfleet/platforms'
import type { ImportedPfxIntent, PkcsIntent, ScepIntent } from '../tenant/index.ts'
import { type Place, resolveVariables } from '../tenant/variables.ts'
import { type ExplainedStep, goesOn, reported, stops, told, type Walk } from './explain-walk.ts'

/** What the service makes of the profile for that device: variables one by one, and what it cannot deliver. */
export function delivery(walk: Walk): readonly ExplainedStep[] {
  const { profile, device } = walk
  const failed = device.policy.failedProfiles.find(({ id }) => id === profile.id)
  const variables = profile.kind === 'scep' || profile.kind === 'pkcs' ? variablesOf(profile, walk) : []
  const imported = profile.kind === 'imported-pfx' && !failed ? importedFor(profile, walk) : []
  const lacking = variables.some(({ outcome }) => outcome === 'stops')
  return [
    ...variables,
    ...imported,
    ...(failed && !lacking ? [stops('delivery', failed.message, sourceOf(failed))] : []),
    ...(failed ? [reported(failed.code, walk)] : []),
    ...(imported.some(({ outcome }) => outcome === 'stops') ? [reported('ERR_PROFILE_INVALID', walk)] : []),
  ]
}

function sourceOf({ code }: FailedProfile): string {
  return code === 'ERR_VARIABLE_UNRESOLVED' ? variableFacts.unresolved.id : profileFacts.linkIsNoDelivery.id
}

function variablesOf(profile: ScepIntent | PkcsIntent, walk: Walk): readonly ExplainedStep[] {
  const { subjectTemplate = '', subjectAltNames } = profile
  const places: readonly (readonly [Place, string])[] = [
    ['subject', subjectTemplate],
    ...subjectAltNames.map(({ type, value }) => [type, value] as const),
  ]
  const named = places.flatMap(([place, template]) =>
    [...template.matchAll(/\{\{[^{}]*\}\}/g)].map(([variable]) => [place, variable] as const),
  )
  const once = new Map(named.map(([place, variable]) => [`${place} ${variable}`, [place, variable] as const]))
  return [...once.values()].map(([place, variable]) => variableStep(place, variable, profile, walk))
}

function variableStep(place: Place, variable: string, profile: ScepIntent | PkcsIntent, { device }: Walk): ExplainedStep {
  const where = place === 'subject' ? 'the subject' : `an alternative name (${place})`
  try {
    return goesOn('variable', `${variable} in ${where} is "${resolveVariables(variable, place, profile, device.subscriber)}"`)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return stops('variable', `in ${where}: ${error.message}`, variableFacts.unresolved.id)
  }
}

/** The device has a user, without whom the service would have failed. */
function importedFor({ intendedPurpose }: ImportedPfxIntent, { tenant, device }: Walk): readonly ExplainedStep[] {
  const { user } = device.subscriber
  const source = 'M-PKCS'
  const whose = `for ${intendedPurpose} of "${user?.upn}"`
  if (tenant.importedPfx === undefined) return [told('imported', `whether a PFX ${whose} was imported is not known`, source)]
  const there = user !== undefined && tenant.importedPfx.get(user.id)?.has(intendedPurpose) === true
  return [there ? goesOn('imported', `a PFX ${whose} was imported`, source) : stops('imported', `no PFX ${whose} was imported`, source)]
}
