import { isUtf8 } from 'node:buffer'
import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import type { z } from 'zod'
import { empty, json, type Route } from '../http.ts'

export interface ServiceOptions {
  /** What the header `api-version` has to say. */
  readonly apiVersion: string
  readonly isAllowed: (request: HttpRequest, url: URL) => boolean
}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * One action of a service, by POST. 401 without a good token; 400 for another api-version, for a client-request-id that is no GUID (it may
 * be missing, and is sent back), and for a body that is not by the schema, which is told by the member's name and never by its value.
 */
export function action<T>(
  { apiVersion, isAllowed }: ServiceOptions,
  schema: z.ZodType<T>,
  answer: (body: T) => HttpResponse | Promise<HttpResponse>,
): Route {
  return {
    async POST(request, url) {
      if (!isAllowed(request, url)) return empty(401, { 'www-authenticate': 'Bearer' })
      const { 'api-version': version, 'client-request-id': requestId } = request.headers
      if (version !== apiVersion) return badRequest(`header api-version: ${apiVersion} is expected`)
      if (requestId !== undefined && !guid.test(requestId)) return badRequest('header client-request-id: a GUID is expected')
      const body = schema.safeParse(jsonOf(request.body))
      if (!body.success) return badRequest(`body: ${body.error.issues[0]?.path.join('.') || 'JSON'} is missing or not as documented`)
      const response = await answer(body.data)
      return requestId === undefined ? response : { ...response, headers: { ...response.headers, 'client-request-id': requestId } }
    },
  }
}

export function badRequest(message: string): HttpResponse {
  return json(400, { error: { code: 'BadRequest', message } })
}

function jsonOf(body: Uint8Array | undefined): unknown {
  if (body === undefined || !isUtf8(body)) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
