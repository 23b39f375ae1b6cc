import { AgentError, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import { z } from 'zod'
import { isObject, joinPath } from '../../tenant/documents.ts'
import { parseJson } from '../../tenant/json.ts'
import { decodeText } from '../../tenant/text.ts'
import { json } from '../http.ts'

/** One request under way. */
export interface Call {
  readonly request: HttpRequest
  /** What stood in the braces of the route, decoded. */
  readonly ids: readonly string[]
  readonly query: URLSearchParams
  /** `http://host/v1.0`: what links begin with. */
  readonly base: string
  /** Behind the base, as it was sent. */
  readonly path: string
}

export type AdminHandler = (call: Call) => HttpResponse | Promise<HttpResponse>

/** A place in a body and what was expected there. */
export interface Detail {
  readonly target: string
  readonly message: string
}

const maxDetails = 20

/** A request that is not done; nothing was changed. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly details: readonly Detail[]

  constructor(status: number, code: string, message: string, details: readonly Detail[] = []) {
    super(message)
    this.status = status
    this.code = code
    this.details = details.slice(0, maxDetails)
  }
}

export function badRequest(target: string, message: string): Refusal {
  return badRequests([{ target, message }])
}

/** One of these at least. */
export function badRequests(details: readonly Detail[]): Refusal {
  const [first] = details
  const place = first?.target ? `${first.target}: ` : ''
  return new Refusal(400, 'BadRequest', `${place}${first?.message ?? 'not understood'}`, details)
}

export function notFound(what: string, id: string): Refusal {
  return new Refusal(404, 'ResourceNotFound', `no ${what} has the id "${shown(id)}"`)
}

export function conflict(message: string): Refusal {
  return new Refusal(409, 'Conflict', message)
}

/** What was given at the start is not the API's to change. */
export function readOnly(what: string, id: string): Refusal {
  return new Refusal(403, 'Forbidden', `the ${what} "${shown(id)}" comes from a file that the lab was started with; change it there`)
}

/** Text of a request, short enough for a message. */
export function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

/** In Graph's shape. */
export function refusal({ status, code, message, details }: Refusal): HttpResponse {
  const listed = details.map((detail) => ({ code, ...detail }))
  const answer = json(status, { error: { code, message, ...(listed.length > 0 && { details: listed }) } })
  return status === 401 ? { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Bearer' } } : answer
}

/** The body as an object; no body is an empty one. */
export function readObject({ body }: HttpRequest): Record<string, unknown> {
  if (body === undefined || body.length === 0) return {}
  try {
    const value = parseJson(decodeText(body))
    if (isObject(value)) return value
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    throw badRequest('', error.message)
  }
  throw badRequest('', 'expected a JSON object')
}

/** The body by its schema; members that it lacks are refused by name. */
export function readBody<T>(request: HttpRequest, schema: z.ZodType<T>): T {
  return readMembers(readObject(request), schema)
}

export function readMembers<T>(members: unknown, schema: z.ZodType<T>): T {
  const read = schema.safeParse(members)
  if (read.success) return read.data
  throw badRequests(read.error.issues.flatMap(detailsOf))
}

function detailsOf(issue: z.core.$ZodIssue): Detail[] {
  const target = joinPath('', ...issue.path)
  if (issue.code !== 'unrecognized_keys') return [{ target, message: issue.message.replace(/^Invalid input: /, '') }]
  return issue.keys.map((key) => ({ target: joinPath(target, shown(key)), message: 'no such member is read here' }))
}

/** Text of 1 to `max` characters, none of them a control character. */
export function textOf(expected: string, max = 256): z.ZodType<string> {
  const message = `expected ${expected} of 1 to ${max} characters`
  return z.string(message).regex(new RegExp(`^[^\\p{Cc}]{1,${max}}$`, 'u'), message)
}

/** Longer than every id in the lab, and no longer than a key of its store. */
export const maxIdCharacters = 300

/** An id that whoever posts an object may give it. */
export const idSchema = z
  .string('expected an id')
  .regex(/^(?! )[^\p{Cc}]{1,200}(?<! )$/u, 'expected an id of 1 to 200 characters, none of them a control character')
