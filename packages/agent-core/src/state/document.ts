import { z } from 'zod'
import { base64 } from '../keys/key-documents.ts'
import { principalSchema } from '../policy/schema.ts'
import type { AgentState, EnrollmentAttempt, Failure, PendingEnrollment } from '../types.ts'
import { encodeJsonFile, parseJsonFile } from './json-file.ts'
import { placementSchema, requestSchema } from './specs.ts'

export const stateSchemaVersion = 2

const identityKeySchema = z.templateLiteral([principalSchema, '/', z.string().min(1)])

const instant = z.number()

/** As the file has it. */
interface StoredAttempt extends Omit<EnrollmentAttempt, 'issued'> {
  /** DER in base64. */
  readonly issued?: readonly string[]
}

const attemptSchema: z.ZodType<StoredAttempt, StoredAttempt> = z.strictObject({
  id: z.string(),
  keyLabel: z.string(),
  placement: placementSchema,
  requested: requestSchema,
  issued: z.array(base64()).min(1).exactOptional(),
})

const pendingSchema: z.ZodType<PendingEnrollment, PendingEnrollment> = z.strictObject({
  transactionId: z.string(),
  pollAt: instant,
  pollsLeft: z.int(),
})

const failureSchema: z.ZodType<Failure, Failure> = z.strictObject({
  code: z.string(),
  retry: z.enum(['now', 'backoff', 'on-new-policy', 'on-user', 'on-unlock', 'never']),
  count: z.int(),
  lastAt: instant,
  retryAt: instant,
  revision: z.int(),
  digest: z.string().exactOptional(),
})

/** Pairs, not members: a key from outside never names a member of an object. */
const stateSchema = z.strictObject({
  kind: z.literal('certfleet-agent-state'),
  schemaVersion: z.literal(stateSchemaVersion),
  attempts: z.array(z.tuple([identityKeySchema, attemptSchema])),
  pending: z.array(z.tuple([identityKeySchema, pendingSchema])),
  failures: z.array(z.tuple([identityKeySchema, failureSchema])),
})

type StateDocument = z.output<typeof stateSchema>

const stateFile = { name: 'the state of an agent', schemaVersion: stateSchemaVersion, schema: stateSchema } as const

export function encodeState(state: AgentState): Uint8Array {
  return encodeJsonFile<StateDocument>({
    kind: 'certfleet-agent-state',
    schemaVersion: stateSchemaVersion,
    attempts: [...state.attempts].map(([key, attempt]) => [key, storedOf(attempt)]),
    pending: [...state.pending],
    failures: [...state.failures],
  })
}

/** Reads what `encodeState` wrote. Anything else, torn, foreign or of another version, is `ERR_STATE_INVALID` and names `file`. */
export function parseState(bytes: Uint8Array, file: string): AgentState {
  const { attempts, pending, failures } = parseJsonFile<StateDocument>(bytes, file, stateFile)
  return {
    attempts: new Map(attempts.map(([key, stored]) => [key, attemptOf(stored)])),
    pending: new Map(pending),
    failures: new Map(failures),
  }
}

function storedOf({ issued, ...attempt }: EnrollmentAttempt): StoredAttempt {
  return issued ? { ...attempt, issued: issued.map((der) => Buffer.from(der).toString('base64')) } : attempt
}

function attemptOf({ issued, ...stored }: StoredAttempt): EnrollmentAttempt {
  return issued ? { ...stored, issued: issued.map((text) => new Uint8Array(Buffer.from(text, 'base64'))) } : stored
}
