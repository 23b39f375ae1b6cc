import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { AgentError, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import { WebSocketServer } from 'ws'
import { empty } from './http.ts'
import type { Lab } from './lab.ts'
import { scepPaths } from './ndes.ts'
import { readWhole } from './read-whole.ts'
import type { TlsIdentity } from './tls/certificate.ts'
import { tlsServerOptions } from './tls/server-options.ts'

export interface ServeOptions {
  /** Default 0: any that is free. */
  readonly port?: number | undefined
  /** Told of what a handler threw, which the client sees as 500. Default: an AgentError is a warning of the process, a bug ends it. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Serves TLS with it, under its public name, which has to lead to loopback. Default: plain HTTP. */
  readonly tls?: TlsIdentity | undefined
}

export interface ServedLab {
  /** `http://127.0.0.1:<port>`, or `https://<public name>:<port>`. */
  readonly url: string
  readonly scepUrl: string
  readonly policyUrl: string
  /** Ends the server and every connection, push connections included. Closing twice is not an error. */
  close(): Promise<void>
}

/** Above the longest URL that is answered, so that one that is too long gets its 414. */
const maxHeaderBytes = 128 * 1024
const headersTimeoutMs = 15_000
const requestTimeoutMs = 60_000
const keepAliveTimeoutMs = 30_000
const checkIntervalMs = 5_000
/** A push peer that vanished without a word is noticed by TCP. */
const keepAliveProbeMs = 60_000
const maxPushMessageBytes = 4_096
/** A listener that does not read is cut when this much waits for it. */
const maxPushBacklogBytes = 64 * 1024

/** Serves a lab on loopback: HTTP/1.1 with keep-alive, and the push channel as WebSocket. Slow and oversized requests are cut. */
export async function serveLab(lab: Lab, { port = 0, onError = warnOrEnd, tls }: ServeOptions = {}): Promise<ServedLab> {
  const limits = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: checkIntervalMs,
  }
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse) =>
    void respond(lab, incoming, outgoing).catch((error) => fail(outgoing, error, onError))
  const server = tls ? createTlsServer({ ...tlsServerOptions(tls), ...limits }, listener) : createServer(limits, listener)
  const sockets = servePush(lab, server)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const { port: taken } = server.address() as AddressInfo
  const url = tls ? `https://${tls.publicName}:${taken}` : `http://127.0.0.1:${taken}`
  let closing: Promise<void> | undefined
  return {
    url,
    scepUrl: `${url}${scepPaths[0]}`,
    policyUrl: `${url}/device/policy`,
    close: () => (closing ??= closeServer(server, sockets)),
  }
}

async function respond(lab: Lab, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { method = '', url = '/' } = incoming
  const body = await readWhole(incoming)
  if (body === 'aborted') return
  const response =
    body === 'too-large'
      ? empty(413)
      : isMethod(method)
        ? await lab.handle(requestOf(incoming, method, url, body))
        : empty(405, { allow: methods.join(', ') })
  // What is left of a body that was cut off would be read as the next request.
  send(outgoing, response, body === 'too-large')
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const isMethod = (method: string): method is HttpRequest['method'] => (methods as readonly string[]).includes(method)

function requestOf(incoming: IncomingMessage, method: HttpRequest['method'], url: string, body: Uint8Array): HttpRequest {
  return { method, url, headers: headersOf(incoming), ...(body.length > 0 && { body }) }
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]))
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

/** The upgrade of /device/push. Whoever is refused is told by status only. */
function servePush(lab: Lab, server: Server): WebSocketServer {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxPushMessageBytes })
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    if (!/^\/device\/push(\?|$)/i.test(incoming.url ?? '')) return refuseUpgrade(socket, 404)
    // A browser sends its page's origin; devices send none.
    if (incoming.headers.origin !== undefined) return refuseUpgrade(socket, 403)
    const headers = headersOf(incoming)
    const probe = lab.connectPush(headers, { send: () => {}, close: () => {} })
    if (probe === undefined) return refuseUpgrade(socket, 401)
    probe()
    incoming.socket.setKeepAlive(true, keepAliveProbeMs)
    sockets.handleUpgrade(incoming, socket, head, (webSocket) => {
      const close = () => webSocket.terminate()
      const disconnect = lab.connectPush(headers, {
        send: (text) => (webSocket.bufferedAmount > maxPushBacklogBytes ? close() : webSocket.send(text)),
        close,
      })
      webSocket.on('error', close)
      webSocket.on('close', () => disconnect?.())
      if (disconnect === undefined) close()
    })
  })
  return sockets
}

const reasons = { 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found' } as const

function refuseUpgrade(socket: Duplex, status: keyof typeof reasons): void {
  socket.end(`HTTP/1.1 ${status} ${reasons[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

async function closeServer(server: Server, sockets: WebSocketServer): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  for (const socket of sockets.clients) socket.terminate()
  server.closeAllConnections()
  await closed
}
