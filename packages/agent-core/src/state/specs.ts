import { z } from 'zod'
import { keyProtections, keyStorageReasons } from '../keys/choice.ts'
import { keyStorageSchema, keyUsageSchema, pfxKindSchema, subjectAltNameSchema, validitySchema } from '../policy/schema.ts'
import type { CertificateSpec, KeyPlacement, PfxSpec, RequestSpec } from '../types.ts'

const scepSchema: z.ZodType<RequestSpec, RequestSpec> = z.strictObject({
  subject: z.string(),
  subjectAltNames: z.array(subjectAltNameSchema.strict()),
  keySpec: z.discriminatedUnion('algorithm', [
    z.strictObject({ algorithm: z.literal('rsa'), bits: z.int() }),
    z.strictObject({ algorithm: z.literal('ec'), curve: z.enum(['P-256', 'P-384']) }),
  ]),
  keyStorage: keyStorageSchema,
  keyUsages: z.array(keyUsageSchema),
  extendedKeyUsages: z.array(z.string()),
  validity: validitySchema.strict(),
  rootFingerprint: z.string(),
})

const pfxSchema: z.ZodType<PfxSpec, PfxSpec> = z.strictObject({
  kind: pfxKindSchema,
  certificateRevision: z.string(),
  keyStorage: keyStorageSchema,
  exportable: z.boolean(),
  rootFingerprint: z.string(),
})

/** What was asked for, as files keep it. */
export const requestSchema: z.ZodType<CertificateSpec, CertificateSpec> = z.union([scepSchema, pfxSchema])

export const placementSchema: z.ZodType<KeyPlacement, KeyPlacement> = z.strictObject({
  protection: z.enum(keyProtections),
  provider: z.string(),
  reason: z.enum(keyStorageReasons),
})
