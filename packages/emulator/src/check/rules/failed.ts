import { AgentError } from '@certfleet/agent-core'
import { profileFacts, variableFacts } from '@certfleet/platforms'
import type { IntentProfile, PkcsIntent, ScepIntent } from '../../tenant/index.ts'
import { type Place, resolveVariables, type Subscriber } from '../../tenant/variables.ts'
import { about, failure } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding } from '../types.ts'
import { lacksUser } from './pfx.ts'

type Failed = CheckedDevice['policy']['failedProfiles'][number]

/** What the service cannot make for a device: its agent reports it as it was told. */
export function failedDeliveries(device: CheckedDevice, { profiles }: CheckContext): readonly CheckFinding[] {
  const { failedProfiles } = device.policy
  return failedProfiles.length === 0 ? [] : failedProfiles.flatMap((failed) => findingsOf(failed, profiles.get(failed.id), device))
}

function findingsOf(failed: Failed, profile: IntentProfile | undefined, device: CheckedDevice): readonly CheckFinding[] {
  if (profile === undefined) return []
  if (failed.code === 'ERR_VARIABLE_UNRESOLVED') return unresolved(profile as ScepIntent | PkcsIntent, device)
  // Told of by its own name.
  if (lacksUser(profile, device) && !hasLinkProblem(profile)) return []
  return [
    {
      id: 'delivery-failed',
      severity: 'error',
      ...about(profile, device),
      message: `the service cannot make it: ${failed.message}`,
      ...remedyOf(failed, profile),
      ...failure(failed.code, profile, device),
    },
  ]
}

type Remedy = Required<Pick<CheckFinding, 'action' | 'source'>>

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
function unresolved(profile: ScepIntent | PkcsIntent, device: CheckedDevice): readonly CheckFinding[] {
  const { subscriber } = device
  const ownDevice = `device "${subscriber.device.id}"`
  return [...variablesByReason(profile, subscriber)].map(([told, variables]) => {
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

function variablesByReason(profile: ScepIntent | PkcsIntent, subscriber: Subscriber): ReadonlyMap<string, ReadonlySet<string>> {
  const byReason = new Map<string, Set<string>>()
  for (const [variable, place] of variablesOf(profile)) {
    const reason = whyUnresolved(variable, place, profile, subscriber)
    if (reason === undefined) continue
    const known = byReason.get(reason)
    if (known) known.add(variable)
    else byReason.set(reason, new Set([variable]))
  }
  return byReason
}

function variablesOf({ subjectTemplate = '', subjectAltNames }: ScepIntent | PkcsIntent): readonly (readonly [string, Place])[] {
  const places: (readonly [string, Place])[] = [
    [subjectTemplate, 'subject'],
    ...subjectAltNames.map(({ value, type }) => [value, type] as const),
  ]
  return places.flatMap(([template, place]) => (template.match(/\{\{[^{}]*\}\}/g) ?? []).map((variable) => [variable, place] as const))
}

function whyUnresolved(variable: string, place: Place, profile: ScepIntent | PkcsIntent, subscriber: Subscriber): string | undefined {
  try {
    resolveVariables(variable, place, profile, subscriber)
    return undefined
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return error.message.replace(`${variable} cannot be resolved: `, '')
  }
}

/** By the reason as `resolveVariables` words it. */
const remedies: readonly (readonly [reason: RegExp, source: string, action: (names: string, attribute: string) => string])[] = [
  [/^no such variable/, `${variableFacts.device.id}; ${variableFacts.user.id}`, (names) => `correct ${names}, or write the value itself`],
  [/machine store/, profileFacts.certificateType.id, () => 'use variables of the device, or make the profile one for users'],
  [/^the device has no user$/, variableFacts.userless.id, () => 'use variables of the device, or leave devices without a user out'],
  [/work profile/, variableFacts.workProfile.id, (names) => `leave ${names} out; {{DeviceId}} tells devices apart too`],
  [/AOSP/, variableFacts.aosp.id, (names) => `leave ${names} out; {{UserPrincipalName}} tells users apart too`],
  [/^corporate-owned/, variableFacts.deviceOwner.id, (names) => `leave ${names} out; {{UserPrincipalName}} tells users apart too`],
  [/URI subject alternative name/, profileFacts.strongMapping.id, (names) => `move ${names} to a URI subject alternative name`],
  [/users only$/, profileFacts.strongMappingUsers.id, (names) => `leave ${names} out, or make the profile one for users`],
  [
    /^the (user|device) has no sid$/,
    profileFacts.strongMapping.id,
    (_, who) => `synchronise the ${who} from the directory, and tell its sid`,
  ],
  [
    /^user .* has no (\w+)$/,
    variableFacts.unresolved.id,
    (names, has) => `give the user ${valueNamed(has)} in the directory, or leave ${names} out`,
  ],
  [
    /^the device has no (\w+)$/,
    variableFacts.unresolved.id,
    (names, has) => `leave ${names} out, or the devices without ${valueNamed(has)}`,
  ],
]

function remedyOfVariables(names: string, reason: string): Remedy {
  for (const [pattern, source, action] of remedies) {
    const found = pattern.exec(reason)
    if (found) return { source, action: action(names, found[1] ?? '') }
  }
  return { source: variableFacts.unresolved.id, action: `leave ${names} out` }
}

function valueNamed(attribute: string): string {
  return attributeNames.get(attribute) ?? `a value for ${attribute}`
}

const attributeNames: ReadonlyMap<string, string> = new Map([
  ['email', 'an email address'],
  ['department', 'a department'],
  ['onPremDistinguishedName', 'a distinguished name'],
  ['onPremSamAccountName', 'a SAM account name'],
  ['onPremUserPrincipalName', 'an on-premises user principal name'],
  ['aadDeviceId', 'an id in Microsoft Entra'],
  ['serial', 'a serial number'],
  ['imei', 'an IMEI'],
  ['meid', 'a MEID'],
  ['wifiMac', 'a Wi-Fi address'],
  ['deviceName', 'a name'],
  ['fqdn', 'a domain name'],
])
