import type { HttpResponse, Instant } from '@certfleet/agent-core'
import { content } from '../http.ts'
import { badRequest, type Call } from './request.ts'

export type GraphObject = Readonly<Record<string, unknown>>

const defaultTop = 100
const maxTop = 1000
/** A page ends before it is larger, so that any client can read it. */
const maxPageBytes = 4 * 1024 * 1024

/** What Graph says where there was no such moment yet. */
export const never = '0001-01-01T00:00:00Z'

/** RFC 3339, or `never`. */
export function moment(at: Instant | undefined): string {
  return at === undefined ? never : new Date(at).toISOString()
}

/** One object, with the members that `$select` names. */
export function object(status: number, value: GraphObject, call: Call): HttpResponse {
  const { base, path } = call
  return respond(status, {
    '@odata.context': `${base}/$metadata#${path.split('/').slice(0, 2).join('/')}/$entity`,
    ...selected(call)(value),
  })
}

/** `{ value }` by pages: `$top` (1 to 1000, default 100), `$count=true`, and `@odata.nextLink` where there is more. */
export function list<T>(items: readonly T[], toGraph: (item: T) => GraphObject, call: Call): HttpResponse {
  const { base, path, query } = call
  const from = wholeNumber(query, '$skiptoken', 0, Number.MAX_SAFE_INTEGER) ?? 0
  const until = from + (wholeNumber(query, '$top', 1, maxTop) ?? defaultTop)
  const select = selected(call)
  const value: string[] = []
  let bytes = 0
  for (const item of items.slice(from, until)) {
    const text = JSON.stringify(select(toGraph(item)))
    bytes += Buffer.byteLength(text)
    if (value.length > 0 && bytes > maxPageBytes) break
    value.push(text)
  }
  const next = from + value.length
  const head = JSON.stringify({
    '@odata.context': `${base}/$metadata#${path}`,
    ...(query.get('$count') === 'true' && { '@odata.count': items.length }),
    ...(next < items.length && { '@odata.nextLink': nextLink(call, next) }),
  })
  return answer(200, `${head.slice(0, -1)},"value":[${value.join(',')}]}`)
}

/** Query options beyond these are refused: an answer that ignored one would mislead. */
export function allowQuery({ query }: Call, ...allowed: string[]): void {
  for (const name of query.keys()) {
    if (!allowed.includes(name)) throw badRequest(name.slice(0, 80), `expected no query option but ${allowed.join(', ') || 'none'}`)
  }
}

export const ofLists = ['$top', '$skiptoken', '$count', '$select'] as const

/** A query option in decimal digits; undefined where it is not there. */
export function wholeNumber(query: URLSearchParams, name: string, min: number, max: number): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  const value = Number(text)
  if (!/^\d{1,16}$/.test(text) || value < min || value > max) throw badRequest(name, `expected a whole number from ${min} to ${max}`)
  return value
}

function selected({ query }: Call): (value: GraphObject) => GraphObject {
  const names = query.get('$select')?.split(',')
  if (names === undefined) return (value) => value
  const wanted = new Set(['id', ...names.map((name) => name.trim())])
  return (value) => Object.fromEntries(Object.entries(value).filter(([name]) => wanted.has(name) || name.includes('@')))
}

function nextLink({ base, path, query }: Call, next: number): string {
  const options = new URLSearchParams(query)
  options.set('$skiptoken', String(next))
  return `${base}/${path}?${options}`
}

function respond(status: number, value: unknown): HttpResponse {
  return answer(status, JSON.stringify(value))
}

function answer(status: number, text: string): HttpResponse {
  const { headers, ...rest } = content(status, 'application/json', text)
  return { ...rest, headers: { ...headers, 'cache-control': 'no-store' } }
}
