import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, isIPv6 } from 'node:net'
import { AgentError, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import type { WebSocketServer } from 'ws'
import { empty } from './http.ts'
import type { Lab } from './lab.ts'
import { scepPaths } from './ndes.ts'
import { type Budget, octetBudget, readWhole } from './read-whole.ts'
import { servePush } from './serve-push.ts'
import type { TlsIdentity } from './tls/certificate.ts'
import { tlsServerOptions } from './tls/server-options.ts'

export interface ServeOptions {
  /** Default 0: any that is free. */
  readonly port?: number | undefined
  /** An IP address of this machine, not one that stands for all of them: the lab's URLs have it. Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Told of what a handler threw, which the client sees as 500. Default: an AgentError is a warning of the process, a bug ends it. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Serves TLS with it, under its public name, which has to lead to `host`. Default: plain HTTP. */
  readonly tls?: TlsIdentity | undefined
  readonly limits?: Partial<ServeLimits> | undefined
}

/** What bounds the memory that clients can take, whatever they send, and the time for which they can. */
export interface ServeLimits {
  /** At once, push connections included; more are closed unheard. Default 4,096. */
  readonly maxConnections: number
  /** At once; a further upgrade is answered 503 with Retry-After. Default 2,048. */
  readonly maxPushConnections: number
  /** For all requests that are read or worked on at once; one without room is answered 503 with Retry-After, or cut. Default 64 MiB. */
  readonly maxHeldBytes: number
  /** From connection or last answer to the end of the headers: 408. Default 15 s. */
  readonly headersTimeoutMs: number
  /** To the end of the body: 408. At least `headersTimeoutMs`. Default 60 s. */
  readonly requestTimeoutMs: number
  /** Without an octet either way, such as when an answer is not read: cut. Default 60 s. */
  readonly stallTimeoutMs: number
}

export interface ServedLab {
  /** `http://<host>:<port>`, or `https://<public name>:<port>`. */
  readonly url: string
  readonly scepUrl: string
  readonly policyUrl: string
  /** Ends the server and every connection, push connections included. Closing twice is not an error. */
  close(): Promise<void>
}

/** Above the longest URL that is answered, so that one that is too long gets its 414. */
const maxHeaderBytes = 128 * 1024
const keepAliveTimeoutMs = 30_000
const maxCheckIntervalMs = 5_000

const defaultLimits: ServeLimits = {
  maxConnections: 4_096,
  maxPushConnections: 2_048,
  maxHeldBytes: 64 * 1024 * 1024,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
}

/** Serves a lab on one address: HTTP/1.1 with keep-alive, and the push channel as WebSocket, all of it within {@link ServeLimits}. */
export async function serveLab(
  lab: Lab,
  { port = 0, host = '127.0.0.1', onError = warnOrEnd, tls, limits }: ServeOptions = {},
): Promise<ServedLab> {
  const { maxConnections, maxPushConnections, maxHeldBytes, stallTimeoutMs, ...timeouts } = { ...defaultLimits, ...limits }
  const options = nodeOptions(timeouts)
  const budget = octetBudget(maxHeldBytes)
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse) =>
    void respond(lab, incoming, outgoing, budget).catch((error) => fail(outgoing, error, onError))
  const server = tls ? createTlsServer({ ...tlsServerOptions(tls), ...options }, listener) : createServer(options, listener)
  server.maxConnections = maxConnections
  server.timeout = stallTimeoutMs
  const sockets = servePush(lab, server, maxPushConnections)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  const { port: taken } = server.address() as AddressInfo
  const url = tls ? `https://${tls.publicName}:${taken}` : `http://${isIPv6(host) ? `[${host}]` : host}:${taken}`
  let closing: Promise<void> | undefined
  return {
    url,
    scepUrl: `${url}${scepPaths[0]}`,
    policyUrl: `${url}/device/policy`,
    close: () => (closing ??= closeServer(server, sockets)),
  }
}

function nodeOptions({ headersTimeoutMs, requestTimeoutMs }: Pick<ServeLimits, 'headersTimeoutMs' | 'requestTimeoutMs'>) {
  return {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(maxCheckIntervalMs, headersTimeoutMs / 2),
  }
}

/** A request keeps its room until it is answered. */
async function respond(lab: Lab, incoming: IncomingMessage, outgoing: ServerResponse, budget: Budget): Promise<void> {
  const { take, release } = budget.share()
  try {
    const body = take(headOctets(incoming)) ? (bringsNothing(incoming) ? nothing : await readWhole(incoming, take)) : 'no-room'
    // Behind answers that are still to come a 503 would wait, and more would be read meanwhile.
    if (body === 'no-room' && outgoing.socket === null) incoming.socket.destroy()
    // What is left of a body that was cut off would be read as the next request.
    else if (body === 'no-room') send(outgoing, empty(503, { 'retry-after': retryAfterSeconds }), true)
    else if (body === 'too-large') send(outgoing, empty(413), true)
    else if (body !== 'aborted') send(outgoing, await answerOf(lab, incoming, body))
  } finally {
    release()
  }
}

const nothing = new Uint8Array()

/** RFC 9112 6.3: a request without either header has no body, and its end need not be waited for. */
function bringsNothing({ headers }: IncomingMessage): boolean {
  return headers['content-length'] === undefined && headers['transfer-encoding'] === undefined
}

/** What node:http keeps for a request, its words apart. */
const requestOctets = 4_096
const retryAfterSeconds = '5'

function headOctets({ url = '', rawHeaders }: IncomingMessage): number {
  return rawHeaders.reduce((sum, { length }) => sum + length, requestOctets + url.length)
}

async function answerOf(lab: Lab, incoming: IncomingMessage, body: Uint8Array): Promise<HttpResponse> {
  const { method = '', url = '/' } = incoming
  return isMethod(method) ? lab.handle(requestOf(incoming, method, url, body)) : empty(405, { allow: methods.join(', ') })
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const isMethod = (method: string): method is HttpRequest['method'] => (methods as readonly string[]).includes(method)

function requestOf(incoming: IncomingMessage, method: HttpRequest['method'], url: string, body: Uint8Array): HttpRequest {
  return { method, url, headers: headersOf(incoming), ...(body.length > 0 && { body }) }
}

/** Spread first, so that a header of any name is an own member. */
function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const single = { ...headers }
  for (const name of Object.keys(single)) {
    const value = single[name]
    if (typeof value !== 'string') single[name] = value?.join(', ') ?? ''
  }
  return single as Record<string, string>
}

function send(outgoing: ServerResponse, { status, headers, body }: HttpResponse, isLast = false): void {
  const length = status === 204 || status === 304 ? {} : { 'content-length': String(body.length) }
  outgoing.writeHead(status, { ...headers, ...length, ...(isLast && { connection: 'close' }) })
  outgoing.end(body)
}

function fail(outgoing: ServerResponse, error: unknown, onError: (error: unknown) => void): void {
  if (outgoing.headersSent) outgoing.destroy()
  else send(outgoing, empty(500), true)
  onError(error)
}

/** What nobody foresaw is a bug and ends the process. */
function warnOrEnd(error: unknown): void {
  if (error instanceof AgentError) process.emitWarning(`the lab answered 500: ${error.message}`, { code: error.code })
  else
    queueMicrotask(() => {
      throw error
    })
}

async function closeServer(server: Server, sockets: WebSocketServer): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  for (const socket of sockets.clients) socket.terminate()
  server.closeAllConnections()
  await closed
}
