import { AgentError, type HttpRequest, type HttpResponse, type Transport } from '@certfleet/agent-core'
import { InputError } from '../scenario/input-error.ts'

export type GraphObject = Readonly<Record<string, unknown>>

/** What the lab answers when it does not do as asked. */
export class AdminRefusal extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export interface AdminClient {
  /** Every object of a collection, page after page. */
  list(path: string, query?: Readonly<Record<string, string>>): Promise<GraphObject[]>
  get(path: string, query?: Readonly<Record<string, string>>): Promise<GraphObject>
  /** What is answered; an empty object for nothing. */
  post(path: string, body?: unknown): Promise<GraphObject>
  remove(path: string): Promise<void>
}

export interface AdminClientOptions {
  /** Of the lab, with or without `/v1.0`. */
  readonly url: string
  /** A secret; it goes nowhere but to the host of the URL. */
  readonly token: string
  readonly transport: Transport
  readonly signal: AbortSignal
}

/** More pages than the largest collection of a lab has. */
const maxPages = 10_000

/** Speaks with the admin's API of a lab. What the lab refuses is an `AdminRefusal`; an answer that is none of its own `ERR_HTTP_STATUS`. */
export function adminClient(options: AdminClientOptions): AdminClient {
  const base = baseOf(options.url)
  const send = async (method: HttpRequest['method'], path: string, query: Readonly<Record<string, string>>, body?: unknown) => {
    const search = new URLSearchParams(query).toString()
    const request: HttpRequest = {
      method,
      url: `${base}/${path}${search === '' ? '' : `?${search}`}`,
      headers: { authorization: `Bearer ${options.token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: Buffer.from(JSON.stringify(body)) }),
    }
    return read(await options.transport.send(request, options.signal), new URL(base).host)
  }
  return {
    async list(path, query = {}) {
      const found: GraphObject[] = []
      let token: string | null | undefined
      for (let page = 0; page < maxPages && token !== null; page++) {
        const answer = await send('GET', path, { ...query, ...(token !== undefined && { $skiptoken: token }) })
        if (!Array.isArray(answer.value)) throw notOfLab(new URL(base).host, 200)
        found.push(...answer.value)
        token = skipTokenIn(answer['@odata.nextLink'])
      }
      return found
    },
    get: (path, query = {}) => send('GET', path, query),
    post: (path, body) => send('POST', path, {}, body),
    remove: async (path) => void (await send('DELETE', path, {})),
  }
}

/** A place in a path for an id from a person. */
export function segment(id: string): string {
  return encodeURIComponent(id)
}

function baseOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '')
    throw new InputError('--url: expected the URL of a lab, as http://127.0.0.1:8085')
  const path = url.pathname.replace(/\/+$/, '')
  return `${url.origin}${/\/(v1\.0|beta)$/i.test(path) ? path : `${path}/v1.0`}`
}

/** Of the link only this: the token must not follow it to another host. */
function skipTokenIn(link: unknown): string | null {
  return typeof link === 'string' && URL.canParse(link) ? new URL(link).searchParams.get('$skiptoken') : null
}

function read({ status, body }: HttpResponse, host: string): GraphObject {
  const isDone = status >= 200 && status < 300
  if (isDone && body.length === 0) return {}
  const answer = objectIn(body)
  if (isDone && answer) return answer
  const error = answer?.error as { code?: unknown; message?: unknown } | null | undefined
  if (typeof error?.code === 'string' && typeof error.message === 'string') throw new AdminRefusal(error.code, error.message)
  throw notOfLab(host, status)
}

function objectIn(body: Uint8Array): GraphObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as GraphObject) : undefined
  } catch {
    return undefined
  }
}

function notOfLab(host: string, status: number): AgentError {
  return new AgentError('ERR_HTTP_STATUS', `${host} answered ${status}, and not as the admin's API of a lab does; is --url right?`)
}
