import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { retryAfterOf } from '../backoff.ts'
import { AgentError } from '../errors.ts'
import type { CachedPolicy, HttpResponse, PolicyCache, PolicySource, Transport } from '../ports.ts'
import type { DevicePolicy } from '../types.ts'
import { parsePolicy } from './document.ts'
import { bearer, checkAuthorized } from './http.ts'

export interface PolicyServiceOptions {
  /** `…/device/policy`; the other services are beside it. */
  readonly policyUrl: string
  /** From the registration. A secret. */
  readonly credential: string
  readonly deviceId: string
  readonly transport: Transport
  readonly cache: PolicyCache
  /** Told each time that the last good copy stands in for a service that cannot be reached, and why. */
  readonly onStale?: (reason: AgentError) => void
}

/**
 * The policy by GET with `If-None-Match`. It is in the cache before it is returned.
 *
 * The last good copy answers for 304, and for a service that cannot be reached or is in trouble (429, 5xx) after
 * `onStale` was told; without a copy that is the error. A lower revision, or the same with other content, is
 * `ERR_POLICY_ROLLBACK`; that and `ERR_POLICY_INVALID` leave the copy in the cache. A copy that cannot be read is
 * `ERR_STATE_INVALID`: without its revision nothing stands against a rollback.
 */
export function policySource({ policyUrl, credential, deviceId, transport, cache, onStale }: PolicyServiceOptions): PolicySource {
  // Most passes end in a 304: the copy is read each time, and parsed when it is another.
  let parsed: ParsedPolicy | undefined
  return {
    async fetch(signal) {
      const last = await loadLast(cache, deviceId, parsed)
      try {
        const headers = { ...bearer(credential), accept: 'application/json', ...ifNoneMatch(last?.entry) }
        const response = await transport.send({ method: 'GET', url: policyUrl, headers }, signal)
        parsed = await accept(response, last, cache, deviceId)
        return parsed.policy
      } catch (error) {
        if (last === undefined || signal.aborted || !isOutage(error)) throw error
        onStale?.(error)
        return last.policy
      }
    },
  }
}

interface ParsedPolicy {
  /** SHA-256 of its octets, which the cache alone keeps. */
  readonly digest: string
  readonly policy: DevicePolicy
}

interface LastPolicy extends ParsedPolicy {
  readonly entry: CachedPolicy
}

async function loadLast(cache: PolicyCache, deviceId: string, parsed: ParsedPolicy | undefined): Promise<LastPolicy | undefined> {
  const entry = await cache.load()
  if (entry === undefined) return undefined
  const digest = digestOf(entry.body)
  if (parsed?.digest === digest) return { entry, ...parsed }
  try {
    return { entry, digest, policy: parsePolicy(entry.body, deviceId) }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    throw new AgentError('ERR_STATE_INVALID', `the cached policy cannot be read: ${error.message}`, { cause: error })
  }
}

function digestOf(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('base64')
}

function ifNoneMatch(entry: CachedPolicy | undefined): Readonly<Record<string, string>> {
  return entry?.etag === undefined ? {} : { 'if-none-match': entry.etag }
}

async function accept(response: HttpResponse, last: LastPolicy | undefined, cache: PolicyCache, deviceId: string): Promise<ParsedPolicy> {
  checkAuthorized(response, 'the policy')
  if (response.status === 304 && last !== undefined) return { digest: last.digest, policy: last.policy }
  if (response.status !== 200) throw new PolicyStatusError(response)
  const policy = parsePolicy(response.body, deviceId)
  if (last !== undefined) checkRevision(policy, response.body, last)
  const { etag } = response.headers
  await cache.save(etag === undefined ? { body: response.body } : { etag, body: response.body })
  return { digest: digestOf(response.body), policy }
}

function checkRevision({ revision }: DevicePolicy, body: Uint8Array, last: LastPolicy): void {
  if (revision > last.policy.revision) return
  if (revision < last.policy.revision) {
    throw new AgentError(
      'ERR_POLICY_ROLLBACK',
      `policy revision ${revision} is lower than ${last.policy.revision}, which was accepted before`,
    )
  }
  if (!isDeepStrictEqual(json(body), json(last.entry.body))) {
    throw new AgentError('ERR_POLICY_ROLLBACK', `policy revision ${revision} was accepted before with other content`)
  }
}

/** Both were parsed as JSON before. */
function json(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes))
}

class PolicyStatusError extends AgentError {
  readonly status: number
  constructor(response: HttpResponse) {
    const retryAfterMs = retryAfterOf(response)
    super('ERR_HTTP_STATUS', `the policy service answered ${response.status}, expected a policy`, { retryAfterMs })
    this.status = response.status
  }
}

/** The service cannot answer now; anything else is an answer. */
function isOutage(error: unknown): error is AgentError {
  if (error instanceof PolicyStatusError) return error.status === 429 || error.status >= 500
  return error instanceof AgentError && error.code === 'ERR_NETWORK'
}
