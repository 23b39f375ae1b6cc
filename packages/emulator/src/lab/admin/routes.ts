import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { type AdminHandler, type Call, maxIdCharacters, Refusal } from './request.ts'

export type AdminRoute = Readonly<Partial<Record<HttpRequest['method'], AdminHandler>>>

/** A path with `{id}` where an id stands, and its methods. */
export type AdminRoutes = Readonly<Record<string, AdminRoute>>

const served = /^\/(?:v1\.0|beta)\/(?=(?:deviceManagement|groups|users)(?:[/('?]|$))/i

/** The part of a path that is the version, where it is one of the API's; validation and tokens of others live beside it. */
export function prefixOf(path: string): string | undefined {
  return served.exec(path)?.[0].slice(0, -1)
}

/** Finds the route whatever the case of its words: 404 for none, 405 for another method. */
export function dispatch(
  routes: AdminRoutes,
  { pathname, searchParams }: URL,
  prefix: string,
  request: HttpRequest,
): HttpResponse | Promise<HttpResponse> {
  const path = pathname.slice(prefix.length + 1).replace(/\/$/, '')
  const segments = segmentsOf(path)
  for (const [pattern, route] of Object.entries(routes)) {
    const ids = match(pattern.split('/'), segments)
    if (ids === undefined) continue
    const handler = route[request.method]
    if (handler === undefined) throw new Refusal(405, 'MethodNotAllowed', `expected ${Object.keys(route).join(' or ')} here`)
    return handler({ request, ids, query: searchParams, base: `${originOf(request)}${prefix}`, path } satisfies Call)
  }
  throw new Refusal(404, 'ResourceNotFound', 'the lab has no such path')
}

/** `groups('g 1')/members` is `groups/g 1/members`; the cast to a type says nothing that the object does not. */
function segmentsOf(path: string): string[] {
  return path
    .split('/')
    .flatMap((segment) => {
      const text = decode(segment)
      const keyed = /^([\w.]+)\('(.*)'\)$/s.exec(text)
      return keyed ? [keyed[1] as string, (keyed[2] as string).replaceAll("''", "'")] : [text]
    })
    .filter((segment) => !/^microsoft\.graph\.\w+$/i.test(segment))
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new Refusal(400, 'BadRequest', 'the path holds an escape that is none')
  }
}

function match(pattern: readonly string[], segments: readonly string[]): string[] | undefined {
  if (pattern.length !== segments.length) return undefined
  const ids: string[] = []
  for (const [i, word] of pattern.entries()) {
    const segment = segments[i] as string
    if (word === '{id}' && segment !== '' && segment.length <= maxIdCharacters) ids.push(segment)
    else if (word.toLowerCase() !== segment.toLowerCase()) return undefined
  }
  return ids
}

function originOf({ headers: { host = '' } }: HttpRequest): string {
  return /^[\w.-]+(:\d{1,5})?$|^\[[0-9a-f:.]+\](:\d{1,5})?$/i.test(host) ? `http://${host}` : 'http://localhost'
}
