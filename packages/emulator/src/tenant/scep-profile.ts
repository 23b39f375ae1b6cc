import type { KeyStorageOption, SubjectAltName } from '@certfleet/agent-core'
import { AgentError } from '@certfleet/agent-core'
import type { ScepShape } from './shapes.ts'
import { hasBackslashEscape, parseSubject } from './subject.ts'
import type { Finding, ScepIntent, SubjectNameFormat } from './types.ts'

/** What a SCEP profile says beyond its name and place. */
export type ScepSettings = Pick<
  ScepIntent,
  | 'principal'
  | 'scepUrls'
  | 'hash'
  | 'renewalThresholdPercent'
  | 'subjectNameFormat'
  | 'subjectTemplate'
  | 'subjectAltNames'
  | 'keyBits'
  | 'keyStorage'
  | 'keyUsages'
  | 'extendedKeyUsages'
  | 'validity'
>

/** A finding before it is placed in its file. */
export type Remark = Omit<Finding, 'file' | 'profile'>

/** What makes a profile undeliverable, and in which member. */
export interface Problem {
  readonly path: string
  readonly message: string
}

/**
 * Settings of checked members, with Graph's defaults put in: 2048 bits, software KSP, the user's store.
 * `problems` are those that a member's shape cannot show: subjects and templates that do not parse.
 */
export function scepSettings(shape: ScepShape): { settings: ScepSettings; remarks: Remark[]; problems: Problem[] } {
  const subjectNameFormat = shape.subjectNameFormat ?? 'custom'
  const subjectTemplate = subjectNameFormat === 'custom' ? (shape.subjectNameFormatString ?? '') : namedFormats[subjectNameFormat]
  const names = altNames(shape)
  const settings: ScepSettings = {
    principal: shape.certificateStore === 'machine' ? 'device' : 'user',
    scepUrls: shape.scepServerUrls,
    ...(hashes(shape).size > 0 ? { hash: 'sha256' as const } : {}),
    renewalThresholdPercent: shape.renewalThresholdPercentage,
    subjectNameFormat,
    subjectTemplate,
    subjectAltNames: names.subjectAltNames,
    keyBits: bits[shape.keySize ?? 'size2048'],
    keyStorage: shape.keyStorageProvider ?? defaultKeyStorage,
    keyUsages: [...shape.keyUsage].sort(),
    extendedKeyUsages: [...new Set((shape.extendedKeyUsages ?? []).map((usage) => usage.objectIdentifier))],
    validity: { value: shape.certificateValidityPeriodValue, scale: shape.certificateValidityPeriodScale },
  }
  return {
    settings,
    remarks: [...names.remarks, ...hashRemarks(shape), ...subjectRemarks(subjectTemplate)],
    problems: [...subjectProblems(subjectTemplate), ...names.problems],
  }
}

const bits = { size1024: 1024, size2048: 2048, size4096: 4096 } as const

const defaultKeyStorage: KeyStorageOption = 'useSoftwareKsp'

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
function altNames(shape: ScepShape): { subjectAltNames: SubjectAltName[]; remarks: Remark[]; problems: Problem[] } {
  const remarks: Remark[] = []
  const problems: Problem[] = []
  const subjectAltNames: SubjectAltName[] = []
  const member = shape.customSubjectAlternativeNames ? 'customSubjectAlternativeNames' : 'subjectAlternativeNameFormats'
  const custom = shape[member] ?? []
  for (const [i, { sanType, name }] of custom.entries()) {
    const path = `${member}[${i}].name`
    problems.push(...variableProblems(name, path))
    if (/[{}|;]/.test(withoutVariables(name))) remarks.push(forbiddenCharacter(path))
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

function hashes(shape: ScepShape): ReadonlySet<string> {
  const { hashAlgorithm } = shape
  if (hashAlgorithm === undefined || hashAlgorithm === null) return new Set()
  return hashAlgorithm instanceof Set
    ? hashAlgorithm
    : new Set([...(hashAlgorithm as readonly ReadonlySet<string>[])].flatMap((set) => [...set]))
}

function hashRemarks(shape: ScepShape): Remark[] {
  const asked = hashes(shape)
  if (!asked.has('sha1') || asked.has('sha2')) return []
  return [
    {
      id: 'hash-outdated',
      severity: 'warning',
      path: 'hashAlgorithm',
      message: 'SHA-1 is asked for; SHA-256 is used',
      action: 'choose SHA-2',
      source: 'S38',
    },
  ]
}

function subjectRemarks(template: string | undefined): Remark[] {
  if (template === undefined || !hasBackslashEscape(template)) return []
  const message =
    'the subject escapes a character by backslash; the request of a real device then differs from its challenge, and is refused'
  return [
    {
      id: 'subject-escape',
      severity: 'warning',
      path: 'subjectNameFormatString',
      message,
      action: 'quote the value instead',
      source: 'M-SCEP',
    },
  ]
}
