import { z } from 'zod'

/** Ids enter key labels, reports and messages: no control character, no space at an end. */
export const idSchema = z.string().regex(/^(?! )[^\p{Cc}]{1,256}(?<! )$/u, 'expected 1 to 256 characters without control characters')

export const principalSchema = z.enum(['device', 'user'])

/** The profiles are read one by one, so that an error in one leaves the others. */
export const headerSchema = z.object({
  schemaVersion: z.literal(1),
  revision: z.int().nonnegative(),
  deviceId: idSchema,
  /** Once the device is managed no longer. */
  lifecycle: z.enum(['retired', 'wiped', 'unenrolled', 'unlicensed']).optional(),
  trustedRoots: z.array(z.unknown()),
  scepProfiles: z.array(z.unknown()),
  pfxProfiles: z.array(z.unknown()).optional(),
  failedProfiles: z.array(z.unknown()),
  notApplicable: z.array(z.unknown()).optional(),
})

const displayName = z.string().max(1024)
const assignedTo = z.array(principalSchema).min(1).max(2)

export const trustedRootSchema = z.object({
  id: idSchema,
  displayName,
  /** Base64 of the DER. */
  certificate: z.base64('expected base64').min(1).max(65_536),
  destinationStore: z.enum(['computer-root', 'computer-intermediate', 'user-intermediate']),
  assignedTo,
})

const scepUrl = z.string().max(2048).refine(isScepUrl, 'expected an absolute http or https URL without credentials')

function isScepUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === ''
}

const dottedOid = z
  .string()
  .max(256)
  .regex(/^([01]\.[1-3]?\d|2\.(0|[1-9]\d*))(\.(0|[1-9]\d*))*$/, 'expected a dotted OID')

/** Of one request. More is a malformed profile. */
export const nameLimits = { altNames: 256, altNameCharacters: 2048 } as const

export const subjectAltNameSchema = z.object({
  type: z.enum(['email', 'upn', 'dns', 'uri']),
  value: z.string().min(1).max(nameLimits.altNameCharacters),
})

export const keyStorageSchema = z.enum([
  'useTpmKspOtherwiseUseSoftwareKsp',
  'useTpmKspOtherwiseFail',
  'usePassportForWorkKspOtherwiseFail',
  'useSoftwareKsp',
])

export const keyUsageSchema = z.enum(['digitalSignature', 'keyEncipherment'])

export const validitySchema = z.object({ value: z.int().positive(), scale: z.enum(['days', 'months', 'years']) })

export const scepProfileSchema = z.object({
  id: idSchema,
  displayName,
  principal: principalSchema,
  assignedTo,
  scepUrls: z.array(scepUrl).min(1).max(32),
  rootProfileId: idSchema,
  hash: z.enum(['sha256', 'sha384', 'sha512']).optional(),
  /** S28. */
  multiFactor: z.boolean().optional(),
  /** S24. */
  renewalThresholdPercent: z.int().min(1).max(99),
  subject: z.string().max(4096),
  subjectAltNames: z.array(subjectAltNameSchema).max(nameLimits.altNames),
  keyBits: z.literal([1024, 2048, 3072, 4096]),
  keyStorage: keyStorageSchema,
  keyUsages: z.array(keyUsageSchema).max(2),
  extendedKeyUsages: z.array(dottedOid).max(64),
  validity: validitySchema,
})

export const pfxKindSchema = z.enum(['pkcs', 'imported'])

export const pfxProfileSchema = z.object({
  id: idSchema,
  displayName,
  principal: principalSchema,
  assignedTo,
  rootProfileId: idSchema,
  /** S41. */
  renewalThresholdPercent: z.int().min(1).max(99),
  kind: pfxKindSchema,
  /** Another text wherever another certificate is to be delivered: of the template and the names for `pkcs`, of the file for `imported`. */
  certificateRevision: z.string().min(1).max(256),
  keyStorage: keyStorageSchema,
  /** Default false. */
  exportable: z.boolean().optional(),
})

/** A profile that the service knows not to be for this device's OS (S12). */
export const inapplicableProfileSchema = z.object({
  id: idSchema,
  displayName,
  factId: z.string().max(256).exactOptional(),
  reason: z.string().max(4096),
})

export const failedProfileSchema = z.object({
  id: idSchema,
  displayName,
  principal: principalSchema,
  code: z.enum(['ERR_PROFILE_INVALID', 'ERR_VARIABLE_UNRESOLVED', 'ERR_UNSUPPORTED']),
  message: z.string().max(4096),
})
