import { isOid } from '@certfleet/agent-core/der'
import { profileFacts, renewalFacts, says, windowsFacts } from '@certfleet/platforms'
import { z } from 'zod'
import { readRootCertificate } from './certificate.ts'
import type { Family } from './types.ts'

/** The members that certfleet reads of a Trusted root profile, checked. */
export type TrustedRootShape = z.infer<typeof trustedRootShape>

/** The members that certfleet reads of a SCEP profile, checked; flags are sets. */
export type ScepShape = z.infer<typeof scepShape>

/** The members that certfleet reads of a PKCS profile, checked; flags are sets. */
export type PkcsShape = z.infer<typeof pkcsShape>

/** The members that certfleet reads of an imported PFX profile, checked. */
export type ImportedPfxShape = z.infer<typeof importedPfxShape>

const keyUsages = ['keyEncipherment', 'digitalSignature'] as const
const sanTypes = [
  'none',
  'emailAddress',
  'userPrincipalName',
  'customAzureADAttribute',
  'domainNameService',
  'universalResourceIdentifier',
] as const
const keyStorageOptions = says(windowsFacts.keyStorageOptions, {})
const appleSubjectFormats = [
  'commonName',
  'commonNameIncludingEmail',
  'commonNameAsEmail',
  'custom',
  'commonNameAsIMEI',
  'commonNameAsSerialNumber',
] as const
const subjectFormats = [
  ...appleSubjectFormats,
  'commonNameAsAadDeviceId',
  'commonNameAsIntuneDeviceId',
  'commonNameAsDurableDeviceId',
] as const

const maxNameCharacters = 1000
const tooLong = `expected at most ${maxNameCharacters} characters`

const certificate = text('a certificate in base64').transform((base64, context) => {
  const read = readRootCertificate(base64)
  if (typeof read !== 'string') return read
  context.addIssue({ code: 'custom', message: read })
  return z.NEVER
})

export const trustedRootShape = z.object({
  trustedRootCertificate: certificate,
  destinationStore: member(['computerCertStoreRoot', 'computerCertStoreIntermediate', 'userCertStoreIntermediate']).nullish(),
})

const customNames = list(
  z.object({ sanType: flags(sanTypes), name: text('the value of the name').min(1, 'expected the value of the name') }),
).nullish()

const threshold = wholeNumber(...says(renewalFacts.thresholdRange, {}))

const lifetime = {
  renewalThresholdPercentage: threshold,
  certificateValidityPeriodValue: wholeNumber(1, 0x7fffffff),
  certificateValidityPeriodScale: member(says(profileFacts.validityUnits, {})),
}

const storage = { keyStorageProvider: member(keyStorageOptions).nullish(), certificateStore: member(['user', 'machine']).nullish() }

const contents = {
  extendedKeyUsages: list(z.object({ objectIdentifier: text('a dotted OID').refine(isOid, 'expected a dotted OID') })).nullish(),
  subjectNameFormat: member(appleSubjectFormats).nullish(),
  subjectNameFormatString: text('a distinguished name').nullish(),
  subjectAlternativeNameType: flags(sanTypes).nullish(),
  subjectAlternativeNameFormatString: text('a string').nullish(),
  customSubjectAlternativeNames: customNames,
  subjectAlternativeNameFormats: customNames,
}

const appleScepShape = z.object({
  ...lifetime,
  keyUsage: flags(keyUsages).refine((usages) => usages.size > 0, `expected one or both of ${keyUsages.join(', ')}`),
  keySize: member(['size1024', 'size2048', 'size4096']).nullish(),
  hashAlgorithm: z.union([flags(['sha1', 'sha2']), z.array(flags(['sha1', 'sha2']))], 'expected sha1, sha2 or both').nullish(),
  ...storage,
  scepServerUrls: list(text('a URL').superRefine(checkScepUrl)).refine((urls) => urls.length > 0, 'expected at least one URL'),
  ...contents,
})

const applePkcsShape = z.object({
  ...lifetime,
  ...storage,
  certificateTemplateName: required('the name of a certificate template'),
  certificationAuthority: required('the host name of a CA'),
  certificationAuthorityName: text('the name of a CA').max(maxNameCharacters, tooLong).nullish(),
  ...contents,
})

const otherFormats = { subjectNameFormat: member(subjectFormats).nullish() }
const scepShape = appleScepShape.extend(otherFormats)
const pkcsShape = applePkcsShape.extend(otherFormats)

/** Apple's types know fewer subject name formats. */
export function scepShapeOf(family: Family): z.ZodType<ScepShape> {
  return isApple(family) ? appleScepShape : scepShape
}

/** As of SCEP profiles. */
export function pkcsShapeOf(family: Family): z.ZodType<PkcsShape> {
  return isApple(family) ? applePkcsShape : pkcsShape
}

export const importedPfxShape = z.object({
  renewalThresholdPercentage: threshold.nullish(),
  keyStorageProvider: member(keyStorageOptions).nullish(),
  intendedPurpose: member(['unassigned', 'smimeEncryption', 'smimeSigning', 'vpn', 'wifi']).nullish(),
})

function isApple(family: Family): boolean {
  return family === 'ios' || family === 'macos'
}

export const identityShape = z.object({
  id: text('an id')
    .regex(/^(?! )[^\p{Cc}]{1,200}(?<! )$/u, 'expected an id of 1 to 200 characters, none of them a control character')
    .nullish(),
  displayName: required('a name'),
})

function required(expected: string) {
  return text(expected).min(1, `expected ${expected}`).max(maxNameCharacters, tooLong)
}

function text(expected: string) {
  return z.string(`expected ${expected}`)
}

function wholeNumber(min: number, max: number) {
  const message = `expected a whole number from ${min} to ${max}`
  return z.int(message).min(min, message).max(max, message)
}

/** In any case, as Graph reads them. */
function member<const T extends readonly string[]>(values: T) {
  const message = `expected one of ${values.join(', ')}`
  return z.string(message).transform((text, context): T[number] => {
    const found = inAnyCase(values, text)
    if (found !== undefined) return found
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
}

function inAnyCase<const T extends readonly string[]>(values: T, text: string): T[number] | undefined {
  return values.find((value) => value.toLowerCase() === text.toLowerCase())
}

/** Graph's limit on collections; held first, so that one that is too long is one problem. */
function list<T extends z.ZodType>(element: T) {
  const most = says(profileFacts.mostElements, {})
  return z.array(z.unknown(), 'expected an array').max(most, `expected at most ${most} elements`).pipe(z.array(element))
}

/** OData flags: members joined by commas, in any order. */
function flags<const T extends readonly string[]>(values: T) {
  const message = `expected a comma-joined list of ${values.join(', ')}`
  return z.string(message).transform((joined, context): ReadonlySet<T[number]> => {
    const members = joined
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => inAnyCase(values, name))
    if (members.every((name) => name !== undefined)) return new Set(members)
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
}

/** S30. The value is not repeated where it could hold a password. */
function checkScepUrl(url: string, context: z.RefinementCtx): void {
  const parsed = /^[a-z]+:\/\//i.test(url) && !/\s/.test(url) && URL.canParse(url) ? new URL(url) : undefined
  const schemes = says<readonly string[]>(profileFacts.scepUrl, {})
  if (parsed === undefined || !schemes.includes(parsed.protocol))
    context.addIssue({ code: 'custom', message: `expected a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}` })
  else if (parsed.username !== '' || parsed.password !== '')
    context.addIssue({ code: 'custom', message: 'expected a URL without user name and password' })
}
