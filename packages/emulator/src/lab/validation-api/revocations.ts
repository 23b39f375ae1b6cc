import { AgentError, type Clock } from '@certfleet/agent-core'
import { says, validationFacts } from '@certfleet/platforms'
import { z } from 'zod'
import type { Audit } from '../audit.ts'
import { sha256Hex } from '../digest.ts'
import { json, type Route } from '../http.ts'
import type { LabStore, LabTransaction } from '../store.ts'
import type { ForeignCertificate, RevocationRequest } from './records.ts'
import { action, badRequest, type ServiceOptions } from './service.ts'

export interface RevocationsOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
}

/** Requests of one download, and results of one upload (IRA). */
const maxRequests = says(validationFacts.revocationBatch, {})
/** Non-retryable 4000-4007, retryable 4100-4103, by the names under which the Java library sends them. */
const errorCodes = {
  None: 0,
  NonRetryableServiceException: 4000,
  DataSerializationError: 4001,
  ParameterDataInvalidError: 4002,
  CryptographyError: 4003,
  CertificateNotFoundError: 4004,
  ConflictError: 4005,
  NotSupportedError: 4006,
  PayloadTooLargeError: 4007,
  RetryableServiceException: 4100,
  ServiceUnavailableException: 4101,
  ServiceTooBusyException: 4102,
  AuthenticationException: 4103,
} as const
const codes: ReadonlySet<number> = new Set(Object.values(errorCodes))
const codeByName: ReadonlyMap<string, number> = new Map(Object.entries(errorCodes))
const [, , firstRetryable] = says(validationFacts.revocationErrors, {})

const text = (max: number) => z.string().max(max).nullish()
const downloadSchema = inCamelCase(
  z.object({
    downloadParameters: inCamelCase(
      z.object({ maxRequests: z.int().min(1).max(maxRequests), issuerName: text(1024), certificateProviderName: text(1024) }),
    ),
  }),
)
const errorCode = z
  .union([z.int(), z.string()])
  .nullish()
  .transform((code) => (typeof code === 'string' ? (codeByName.get(code) ?? Number(code)) : (code ?? 0)))
  .refine((code) => codes.has(code))
const resultSchema = z
  .object({ requestContext: z.string().min(1).max(128), succeeded: z.boolean(), errorCode, errorMessage: text(1024) })
  .refine(({ succeeded, errorCode: code }) => succeeded === (code === 0))
const uploadSchema = inCamelCase(z.object({ results: z.array(inCamelCase(resultSchema)).min(1).max(maxRequests) }))

type Result = z.output<typeof resultSchema>

/** CertificateAuthorityRequests (IRA): what the admin wants revoked is fetched by the CA's server, and answered. */
export function revocationActions(service: ServiceOptions, options: RevocationsOptions): Readonly<Record<string, Route>> {
  return {
    // Open ones are handed out at every download: a server that failed in between gets them again, and revoking twice does no harm.
    downloadRevocationRequests: action(service, downloadSchema, ({ downloadParameters: { maxRequests: count, issuerName } }) => {
      const wanted = issuerName?.toLowerCase()
      const open = [...options.store.list('revocationRequests')].filter(
        (request) => request.state === 'open' && (!wanted || request.issuerName.toLowerCase() === wanted),
      )
      const oldestFirst = open.sort((a, b) => a.requestedAt - b.requestedAt).slice(0, count)
      return json(200, { value: oldestFirst.map(handedOut) })
    }),
    uploadRevocationResults: action(service, uploadSchema, async ({ results }) => {
      const known = await options.store.transaction((tx) => enterAll(tx, results, options))
      return known ? json(200, { value: true }) : badRequest('body: results: a requestContext is unknown, or there twice')
    }),
  }
}

/** The admin's request. Asking again changes nothing while it is open; after a failure it opens it again. */
export async function requestRevocation(
  certificate: Pick<ForeignCertificate, 'serialNumber' | 'issuerName'>,
  { store, clock, audit }: RevocationsOptions,
): Promise<RevocationRequest> {
  const { serialNumber, issuerName } = certificate
  const enrolled = [...store.list('foreignEnrollments')].find(
    ({ outcome }) => outcome?.status === 'issued' && outcome.serialNumber === serialNumber && outcome.issuerName === issuerName,
  )
  if (enrolled?.outcome?.status !== 'issued')
    throw new AgentError('ERR_UNSUPPORTED', `no certificate with serial number ${serialNumber} was notified by "${issuerName}"`)
  const { caConfiguration } = enrolled.outcome
  const requestContext = sha256Hex(JSON.stringify([issuerName, serialNumber]))
  return store.transaction((tx) => {
    const known = tx.get('revocationRequests', requestContext)
    if (known && known.state !== 'failed') return known
    const request: RevocationRequest = {
      requestContext,
      serialNumber,
      issuerName,
      ...(caConfiguration !== undefined && { caConfiguration }),
      requestedAt: clock.now(),
      state: 'open',
    }
    tx.put('revocationRequests', requestContext, request)
    const { deviceId, profileId } = enrolled.binding
    audit.add(tx, { event: 'revocation-requested', serialNumber, deviceId, profileId })
    return request
  })
}

function handedOut({ requestContext, serialNumber, issuerName, caConfiguration }: RevocationRequest) {
  return { requestContext, serialNumber, issuerName, caConfiguration: caConfiguration ?? null }
}

/** All or none; false when one cannot be. A result that comes again changes nothing. */
function enterAll(tx: LabTransaction, results: readonly Result[], { clock, audit }: RevocationsOptions): boolean {
  const requests = results.map(({ requestContext }) => tx.get('revocationRequests', requestContext))
  const isEachOnce = new Set(results.map(({ requestContext }) => requestContext)).size === results.length
  if (!isEachOnce || requests.includes(undefined)) return false
  for (const [i, result] of results.entries()) {
    const request = requests[i] as RevocationRequest
    if (request.state !== 'open') continue
    const { succeeded, errorCode: code, errorMessage } = result
    const state = succeeded ? 'revoked' : code >= firstRetryable ? 'open' : 'failed'
    const error = succeeded ? {} : { error: { code, message: errorMessage ?? '' } }
    tx.put('revocationRequests', request.requestContext, { ...request, state, ...error, reportedAt: clock.now() })
    const { serialNumber } = request
    audit.add(tx, { event: 'revocation-reported', serialNumber, detail: succeeded ? 'revoked' : `error ${code}` })
  }
  return true
}

/** The C# library writes its members with a capital letter, the Java library without. */
function inCamelCase<T extends z.ZodType>(schema: T) {
  return z.preprocess(
    (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name.charAt(0).toLowerCase() + name.slice(1), member]))
        : value,
    schema,
  )
}
