import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { AgentError } from '../errors.ts'
import { keyProtections, keyStorageReasons } from '../keys/choice.ts'
import { keyStorageSchema, keyUsageSchema, pfxKindSchema, principalSchema, subjectAltNameSchema, validitySchema } from '../policy/schema.ts'
import type {
  AgentState,
  CertificateSpec,
  EnrollmentAttempt,
  Failure,
  KeyPlacement,
  PendingEnrollment,
  PfxSpec,
  RequestSpec,
} from '../types.ts'

export const stateSchemaVersion = 2

const identityKeySchema = z.templateLiteral([principalSchema, '/', z.string().min(1)])

const instant = z.number()

const scepSchema: z.ZodType<RequestSpec> = z.strictObject({
  subject: z.string(),
  subjectAltNames: z.array(subjectAltNameSchema),
  keySpec: z.discriminatedUnion('algorithm', [
    z.strictObject({ algorithm: z.literal('rsa'), bits: z.int() }),
    z.strictObject({ algorithm: z.literal('ec'), curve: z.enum(['P-256', 'P-384']) }),
  ]),
  keyStorage: keyStorageSchema,
  keyUsages: z.array(keyUsageSchema),
  extendedKeyUsages: z.array(z.string()),
  validity: validitySchema,
  rootFingerprint: z.string(),
})

const pfxSchema: z.ZodType<PfxSpec> = z.strictObject({
  kind: pfxKindSchema,
  certificateRevision: z.string(),
  keyStorage: keyStorageSchema,
  exportable: z.boolean(),
  rootFingerprint: z.string(),
})

const requestSchema: z.ZodType<CertificateSpec> = z.union([scepSchema, pfxSchema])

const placementSchema: z.ZodType<KeyPlacement> = z.strictObject({
  protection: z.enum(keyProtections),
  provider: z.string(),
  reason: z.enum(keyStorageReasons),
})

const attemptSchema: z.ZodType<EnrollmentAttempt> = z.strictObject({
  id: z.string(),
  keyLabel: z.string(),
  placement: placementSchema,
  requested: requestSchema,
})

const pendingSchema: z.ZodType<PendingEnrollment> = z.strictObject({ transactionId: z.string(), pollAt: instant, pollsLeft: z.int() })

const failureSchema: z.ZodType<Failure> = z.strictObject({
  code: z.string(),
  retry: z.enum(['now', 'backoff', 'on-new-policy', 'on-user', 'on-unlock', 'never']),
  count: z.int(),
  lastAt: instant,
  retryAt: instant,
  revision: z.int(),
})

/** Pairs, not members: a key from outside never names a member of an object. */
const stateSchema = z.strictObject({
  kind: z.literal('certfleet-agent-state'),
  schemaVersion: z.literal(stateSchemaVersion),
  attempts: z.array(z.tuple([identityKeySchema, attemptSchema])),
  pending: z.array(z.tuple([identityKeySchema, pendingSchema])),
  failures: z.array(z.tuple([identityKeySchema, failureSchema])),
})

const versionSchema = z.object({ schemaVersion: z.number() })

export function encodeState(state: AgentState): Uint8Array {
  const document: z.input<typeof stateSchema> = {
    kind: 'certfleet-agent-state',
    schemaVersion: stateSchemaVersion,
    attempts: [...state.attempts],
    pending: [...state.pending],
    failures: [...state.failures],
  }
  return new TextEncoder().encode(JSON.stringify(document))
}

/** Reads what `encodeState` wrote. Anything else, torn, foreign or of another version, is `ERR_STATE_INVALID` and names `file`. */
export function parseState(bytes: Uint8Array, file: string): AgentState {
  const json = parseJson(bytes, file)
  const version = versionSchema.safeParse(json).data?.schemaVersion
  if (version !== undefined && version !== stateSchemaVersion) {
    throw unreadable(file, `it has schema version ${version}, expected ${stateSchemaVersion}`)
  }
  const parsed = stateSchema.safeParse(json)
  if (!parsed.success) throw unreadable(file, `unexpected content at "${parsed.error.issues[0]?.path.join('.') ?? ''}"`)
  const { attempts, pending, failures } = parsed.data
  return { attempts: new Map(attempts), pending: new Map(pending), failures: new Map(failures) }
}

function parseJson(bytes: Uint8Array, file: string): unknown {
  if (!isUtf8(bytes)) throw unreadable(file, 'it is not JSON in UTF-8')
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    throw unreadable(file, 'it is not JSON')
  }
}

function unreadable(file: string, problem: string): AgentError {
  return new AgentError('ERR_STATE_INVALID', `${file} is not the state of an agent: ${problem}; it was left as it is`)
}
