import { isUtf8 } from 'node:buffer'
import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import type { z } from 'zod'

/** No request to the lab needs a body as large as this. */
export const maxBodyBytes = 1024 * 1024
/** S56: what IIS and HTTP.sys are set to take; path and query together here. */
export const maxUrlCharacters = 65_534

/** One method of one path. */
export type Handler = (request: HttpRequest, url: URL) => HttpResponse | Promise<HttpResponse>
export type Route = Readonly<Partial<Record<HttpRequest['method'], Handler>>>

/**
 * Answers by path, whatever its case, and method. 400 for a URL that is none, 414 for one that is too long,
 * 413 for a body that is too large, 404 and 405 for what no route takes. A route `/name/` takes everything beneath it.
 */
export function router(routes: ReadonlyMap<string, Route>): (request: HttpRequest) => Promise<HttpResponse> {
  return async (request) => {
    const url = parseUrl(request.url)
    if (url === undefined) return empty(400)
    if (targetLength(request.url) > maxUrlCharacters) return empty(414)
    if ((request.body?.length ?? 0) > maxBodyBytes) return empty(413)
    const path = url.pathname.toLowerCase()
    const route = routes.get(path) ?? routes.get(path.slice(0, path.indexOf('/', 1) + 1))
    if (route === undefined) return empty(404)
    const handler = route[request.method]
    return handler ? handler(request, url) : empty(405, { allow: Object.keys(route).join(', ') })
  }
}

const shortUrls = new Map<string, URL>()
const maxShortUrls = 64
const maxShortCharacters = 128

/** Short ones are few and come again and again. Handlers change none. */
function parseUrl(text: string): URL | undefined {
  const known = shortUrls.get(text)
  if (known) return known
  try {
    const url = new URL(text, 'http://lab.invalid')
    if (text.length > maxShortCharacters) return url
    shortUrls.set(text, url)
    if (shortUrls.size > maxShortUrls) shortUrls.delete(shortUrls.keys().next().value as string)
    return url
  } catch {
    return undefined
  }
}

/** Characters of path and query as they were sent: parsing would escape some of them into more. */
function targetLength(url: string): number {
  return url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').length
}

export function empty(status: number, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  return { status, headers, body: new Uint8Array() }
}

const encoder = new TextEncoder()

export function content(status: number, type: string, body: Uint8Array | string): HttpResponse {
  return { status, headers: { 'content-type': type }, body: typeof body === 'string' ? encoder.encode(body) : body }
}

/** Answers that are secrets or that belong to one device are kept by nobody on the way. */
export function json(status: number, value: unknown): HttpResponse {
  const { headers, ...answer } = content(status, 'application/json', JSON.stringify(value))
  return { ...answer, headers: { ...headers, 'cache-control': 'no-store' } }
}

const decoder = new TextDecoder()

/** The body by its schema; `undefined` for one that is not UTF-8, not JSON, or not so. */
export function readBody<T>({ body }: HttpRequest, schema: z.ZodType<T>): T | undefined {
  if (body === undefined || !isUtf8(body)) return undefined
  try {
    return schema.safeParse(JSON.parse(decoder.decode(body))).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** What stands behind `Bearer` (RFC 6750 2.1). */
export function bearerOf(headers: HttpRequest['headers']): string | undefined {
  return /^Bearer +([\w.~+/-]{1,4096}=*)$/i.exec(headers.authorization ?? '')?.[1]
}
