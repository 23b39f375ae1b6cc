import { AgentError, nameLimits, type SubjectAltName } from '@certfleet/agent-core'
import { encodeName, encodeSubjectAltNames, parseDistinguishedName, quoteNameValue } from '@certfleet/agent-core/pki'
import { androidFacts, profileFacts, variableFacts } from '@certfleet/platforms'
import type { IntentProfile, PkcsIntent, ScepIntent } from '../../tenant/index.ts'
import { resolvedNames } from '../../tenant/resolved.ts'
import { parseSubject } from '../../tenant/subject.ts'
import { about, failure } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'
import { failedDeliveries } from './failed.ts'

export const profileRules: readonly ProfileRule[] = [androidWithoutAltName]

export const deviceRules: readonly DeviceRule[] = [failedDeliveries, delivered]

/** Subject and alternative names of one device, without variables. */
interface Names {
  readonly subject: string
  readonly subjectAltNames: readonly SubjectAltName[]
}

type Named = ScepIntent | PkcsIntent

function androidWithoutAltName(profile: IntentProfile): readonly CheckFinding[] {
  if (profile.kind !== 'scep' || profile.platform !== 'android' || profile.subjectAltNames.length > 0) return []
  return [
    {
      id: 'android-san-missing',
      severity: 'warning',
      ...about(profile),
      message:
        'the request has no subject alternative name; admins report that it is refused then ("No SAN specified in certificate request")',
      action: `add one, such as ${profile.principal === 'device' ? 'the DNS name {{DeviceId}}.example.com' : 'the UPN {{UserPrincipalName}}'}`,
      source: androidFacts.altNameRequired.id,
    },
  ]
}

function delivered(device: CheckedDevice, { profiles }: CheckContext): readonly CheckFinding[] {
  const findings: CheckFinding[] = []
  for (const wire of device.policy.scepProfiles) {
    const profile = profiles.get(wire.id)
    if (profile?.kind === 'scep') tell(profile, wire, device, findings)
  }
  for (const { id } of device.policy.pfxProfiles ?? []) {
    const profile = profiles.get(id)
    if (profile?.kind === 'pkcs') tell(profile, resolvedNames(profile, device.subscriber), device, findings)
  }
  return findings
}

function tell(profile: Named, names: Names, device: CheckedDevice, findings: CheckFinding[]): void {
  const problem = whyUnwritable(names) ?? (profile.kind === 'scep' ? whyTooLong(names) : undefined)
  if (problem !== undefined) {
    findings.push(unwritable(profile, names, problem, device))
    return
  }
  findings.push(sent(profile, names, device))
  const quoted = profile.kind === 'scep' ? quotedByVariables(profile, names) : []
  if (quoted.length > 0) findings.push(subjectQuoted(profile, names, quoted, device))
}

function sent(profile: Named, names: Names, device: CheckedDevice): CheckFinding {
  return {
    id: 'names-sent',
    severity: 'info',
    ...about(profile, device),
    message: profile.kind === 'pkcs' ? `the connector asks for ${namesText(names)}` : namesText(names),
    source: (profile.principal === 'user' ? variableFacts.user : variableFacts.device).id,
  }
}

function namesText({ subject, subjectAltNames }: Names): string {
  let text = `subject ${subject}`
  for (const { type, value } of subjectAltNames) text += `; ${type} ${value}`
  return text
}

/** Attributes that take fewer characters than ASCII has, as `renderSubject` writes them. */
const narrowAttribute = /(?:^|[,+])(?:C|SERIALNUMBER|DNQUALIFIER)=/

/** What keeps the names out of a certificate. */
function whyUnwritable({ subject, subjectAltNames }: Names): string | undefined {
  if (isPlain(subject) && !narrowAttribute.test(subject) && subjectAltNames.every(({ value }) => isPlain(value))) return undefined
  try {
    encodeName(parseDistinguishedName(subject))
    encodeSubjectAltNames(subjectAltNames)
    return undefined
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return error.message
  }
}

/** What an agent does not take in a policy; a connector is asked otherwise. */
function whyTooLong({ subjectAltNames }: Names): string | undefined {
  const { altNames, altNameCharacters } = nameLimits
  if (subjectAltNames.length > altNames) return `at most ${altNames} alternative names are taken, and these are ${subjectAltNames.length}`
  const long = subjectAltNames.find(({ value }) => value.length > altNameCharacters)
  return long && `an alternative name has at most ${altNameCharacters} characters, this one ${long.value.length}`
}

/** Of a length that no limit comes near to. */
function isPlain(text: string): boolean {
  return /^[\x20-\x7e]{1,1024}$/.test(text)
}

const shortened = (text: string): string => (text.length > 400 ? `${text.slice(0, 400)}…` : text)

/** A device writes the request of a SCEP profile itself; for PKCS it hears only that there is no file. */
function unwritable(profile: Named, names: Names, problem: string, device: CheckedDevice): CheckFinding {
  return {
    id: 'name-unwritable',
    severity: 'error',
    ...about(profile, device),
    message: `no request can be written for ${shortened(namesText(names))}: ${problem}`,
    action: 'leave out the variable, or change its value in the directory',
    source: profileFacts.nameCharacters.id,
    ...failure(profile.kind === 'scep' ? 'ERR_PROFILE_INVALID' : 'ERR_PFX_UNAVAILABLE', profile, device),
  }
}

function subjectQuoted(profile: Named, names: Names, quoted: readonly string[], device: CheckedDevice): CheckFinding {
  const values = quoted.join(' and ')
  return {
    id: 'subject-quoted',
    severity: 'warning',
    ...about(profile, device),
    message: `it sends the subject ${names.subject}, in which a variable brings ${values}: admins report that request and challenge differ then`,
    action: 'try it on one device, or use a variable whose values need no quotes, such as {{UserPrincipalName}}',
    source: `${profileFacts.quotesReported.id}; ${profileFacts.subjectEscape.id}`,
  }
}

/** In the template's own text quotes are what the admin chose; told are the values that need them for what a variable brought. */
function quotedByVariables(profile: ScepIntent, { subject }: Names): readonly string[] {
  if (!subject.includes('"')) return []
  const own = ownQuoted(profile)
  const quoted = quotedValues(parseDistinguishedName(subject).flat())
  return quoted.length > own.length ? quoted.filter((value) => !own.includes(value)) : []
}

const ownByProfile = new WeakMap<ScepIntent, readonly string[]>()

/** Values of the template that need quotes whatever stands in the place of their variables. */
function ownQuoted(profile: ScepIntent): readonly string[] {
  const known = ownByProfile.get(profile)
  if (known) return known
  const values = parseSubject(profile.subjectTemplate ?? '').flat()
  const own = quotedValues(values.map(({ value }) => ({ value: value.replace(/\{\{[^{}]*\}\}/g, 'x') })))
  ownByProfile.set(profile, own)
  return own
}

function quotedValues(attributes: readonly { readonly value: string }[]): readonly string[] {
  return attributes.map(({ value }) => quoteNameValue(value)).filter((value) => value.startsWith('"'))
}
