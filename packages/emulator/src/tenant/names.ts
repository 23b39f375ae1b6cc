import { AgentError, type SubjectAltName } from '@certfleet/agent-core'
import { profileFacts, says } from '@certfleet/platforms'
import type { Problem, Remark } from './remark.ts'
import type { ScepShape } from './shapes.ts'
import { parseSubject } from './subject.ts'
import type { ScepIntent, SubjectNameFormat } from './types.ts'

/** The members that say whom a certificate is for. */
export type NamesShape = Pick<
  ScepShape,
  | 'subjectNameFormat'
  | 'subjectNameFormatString'
  | 'subjectAlternativeNameType'
  | 'subjectAlternativeNameFormatString'
  | 'customSubjectAlternativeNames'
  | 'subjectAlternativeNameFormats'
>

type Names = Pick<ScepIntent, 'subjectNameFormat' | 'subjectTemplate' | 'subjectAltNames'>

/** Subject and alternative names. `problems` are those that a member's shape cannot show: subjects and templates that do not parse. */
export function readNames(shape: NamesShape): { names: Names; remarks: Remark[]; problems: Problem[] } {
  const subjectNameFormat = shape.subjectNameFormat ?? 'custom'
  const subjectTemplate = subjectNameFormat === 'custom' ? (shape.subjectNameFormatString ?? '') : namedFormats[subjectNameFormat]
  const { subjectAltNames, remarks, problems } = altNames(shape)
  return {
    names: { subjectNameFormat, subjectTemplate, subjectAltNames },
    remarks,
    problems: [...subjectProblems(subjectTemplate), ...problems],
  }
}

/** No variable holds the durable device id, so that format has no template and cannot be delivered. */
const namedFormats: Readonly<Record<Exclude<SubjectNameFormat, 'custom'>, string | undefined>> = {
  commonName: 'CN={{UserName}}',
  commonNameIncludingEmail: 'CN={{UserName}},E={{EmailAddress}}',
  commonNameAsEmail: 'CN={{EmailAddress}}',
  commonNameAsIMEI: 'CN={{IMEI}}',
  commonNameAsSerialNumber: 'CN={{SerialNumber}}',
  commonNameAsAadDeviceId: 'CN={{AAD_Device_ID}}',
  commonNameAsIntuneDeviceId: 'CN={{DeviceId}}',
  commonNameAsDurableDeviceId: undefined,
}

function subjectProblems(template: string | undefined): Problem[] {
  if (template === undefined) return []
  const path = 'subjectNameFormatString'
  if (template.trim() === '') return [{ path, message: 'expected a distinguished name for the custom format, found nothing' }]
  try {
    parseSubject(template)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return [{ path, message: `expected a distinguished name: ${error.message}` }]
  }
  return variableProblems(template, path)
}

const altNameTypes = {
  emailAddress: 'email',
  userPrincipalName: 'upn',
  customAzureADAttribute: 'upn',
  domainNameService: 'dns',
  universalResourceIdentifier: 'uri',
} as const

/** What a flag stands for when no custom name gives a value for it. */
const flagValues = { emailAddress: '{{EmailAddress}}', userPrincipalName: '{{UserPrincipalName}}' } as const

/**
 * The custom names in their order, then a name for each flag of `subjectAlternativeNameType` that none of them covers:
 * portals set the flags as a summary of the custom names too.
 */
function altNames(shape: NamesShape): { subjectAltNames: SubjectAltName[]; remarks: Remark[]; problems: Problem[] } {
  const remarks: Remark[] = []
  const problems: Problem[] = []
  const subjectAltNames: SubjectAltName[] = []
  const member = shape.customSubjectAlternativeNames ? 'customSubjectAlternativeNames' : 'subjectAlternativeNameFormats'
  const custom = shape[member] ?? []
  for (const [i, { sanType, name }] of custom.entries()) {
    const path = `${member}[${i}].name`
    problems.push(...variableProblems(name, path))
    if ([...says(profileFacts.altNameCharacters, {})].some((character) => withoutVariables(name).includes(character)))
      remarks.push(forbiddenCharacter(path))
    for (const type of sanType) if (type !== 'none') subjectAltNames.push({ type: altNameTypes[type], value: name })
  }
  const covered = new Set(custom.flatMap(({ sanType }) => [...sanType]))
  for (const flag of shape.subjectAlternativeNameType ?? []) {
    if (flag === 'none' || covered.has(flag)) continue
    const value =
      flag === 'customAzureADAttribute'
        ? shape.subjectAlternativeNameFormatString
        : flag in flagValues
          ? flagValues[flag as keyof typeof flagValues]
          : undefined
    if (value === undefined || value === null || value === '') remarks.push(withoutValue(flag))
    else subjectAltNames.push({ type: altNameTypes[flag], value })
  }
  return { subjectAltNames, remarks, problems }
}

/** `{{` and `}}` come in pairs around a name. */
function variableProblems(template: string, path: string): Problem[] {
  if (!/\{\{|\}\}/.test(withoutVariables(template))) return []
  return [{ path, message: 'expected {{name}} for each variable, found an unpaired "{{" or "}}"' }]
}

function withoutVariables(template: string): string {
  return template.replace(/\{\{[^{}]*\}\}/g, '')
}

function forbiddenCharacter(path: string): Remark {
  const message = 'static text of a subject alternative name holds one of { } | ;'
  return { id: 'san-character', severity: 'warning', path, message, action: 'remove the character', source: 'M-SCEP' }
}

function withoutValue(flag: string): Remark {
  const message = `${flag} is asked for, and no member says with what value; it is left out`
  return {
    id: 'san-without-value',
    severity: 'warning',
    path: 'subjectAlternativeNameType',
    message,
    action: 'add the value to customSubjectAlternativeNames',
  }
}
