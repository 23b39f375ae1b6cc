import { isUtf8 } from 'node:buffer'
import type { z } from 'zod'
import { AgentError } from '../errors.ts'
import type { HttpResponse, Transport } from '../ports.ts'

/** The URL of another service of the same host: `register`, `push`, `challenge`, `pfx`, `report` stand beside `policy`. */
export function besidePolicy(policyUrl: string, name: string): string {
  if (!URL.canParse(policyUrl)) throw new AgentError('ERR_UNSUPPORTED', 'the policy URL must be an absolute http or https URL')
  return new URL(name, policyUrl).href
}

/** RFC 6750 2.1. */
export function bearer(credential: string): { readonly authorization: string } {
  return { authorization: `Bearer ${credential}` }
}

function jsonBody(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** Refuses 401 and 403 with `ERR_UNAUTHORIZED`. */
export function checkAuthorized(response: HttpResponse, what: string): void {
  if (response.status !== 401 && response.status !== 403) return
  throw new AgentError('ERR_UNAUTHORIZED', `the policy service refused ${what} (${response.status})`)
}

/** A small JSON answer by its schema, or `undefined`; the answer may be a secret, so nothing of it is told. */
export function readJson<T>(response: HttpResponse, schema: z.ZodType<T>): T | undefined {
  if (!isUtf8(response.body)) return undefined
  try {
    return schema.safeParse(JSON.parse(new TextDecoder().decode(response.body))).data
  } catch {
    return undefined
  }
}

/** Sends JSON, and asks for some. */
export function postJson(transport: Transport, url: string, credential: string, body: unknown, signal: AbortSignal | undefined) {
  const headers = { ...bearer(credential), 'content-type': 'application/json', accept: 'application/json' }
  return transport.send({ method: 'POST', url, headers, body: jsonBody(body) }, signal)
}
