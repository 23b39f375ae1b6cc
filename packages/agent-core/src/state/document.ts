import { z } from 'zod'
import { principalSchema } from '../policy/schema.ts'
import type { AgentState, EnrollmentAttempt, Failure, PendingEnrollment } from '../types.ts'
import { encodeJsonFile, parseJsonFile } from './json-file.ts'
import { placementSchema, requestSchema } from './specs.ts'

export const stateSchemaVersion = 2

const identityKeySchema = z.templateLiteral([principalSchema, '/', z.string().min(1)])

const instant = z.number()

const attemptSchema: z.ZodType<EnrollmentAttempt, EnrollmentAttempt> = z.strictObject({
  id: z.string(),
  keyLabel: z.string(),
  placement: placementSchema,
  requested: requestSchema,
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
    attempts: [...state.attempts],
    pending: [...state.pending],
    failures: [...state.failures],
  })
}

/** Reads what `encodeState` wrote. Anything else, torn, foreign or of another version, is `ERR_STATE_INVALID` and names `file`. */
export function parseState(bytes: Uint8Array, file: string): AgentState {
  const { attempts, pending, failures } = parseJsonFile<StateDocument>(bytes, file, stateFile)
  return { attempts: new Map(attempts), pending: new Map(pending), failures: new Map(failures) }
}
