import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { type Duplex, pipeline } from 'node:stream'
import { AgentError, type Clock } from '@certfleet/agent-core'
import { sameSecret } from '../digest.ts'
import { readWhole } from '../read-whole.ts'
import { endOf, listenOnLoopback } from '../tls/loopback.ts'
import { tookTooLong } from '../tls/peer.ts'
import { endOnBug, listener, type OnError, refuse, refuseRaw, statusOf } from './failures.ts'
import { valuesOf } from './headers.ts'
import { maxHeaderBytes, relay } from './relay.ts'

export interface HttpProxyOptions {
  /** On loopback. Default 0: any that is free. */
  readonly port?: number | undefined
  /** `host:port` as clients ask for it, and the port on loopback that stands for it. Whatever is not listed is 403. */
  readonly allowed: ReadonlyMap<string, number>
  /** "Account credentials to connect": asked for by Basic; 407 without them. Secrets. Default: nobody is asked. */
  readonly credentials?: { readonly user: string; readonly password: string } | undefined
  readonly clock: Clock
  /** For a client to send a request, for the host to be reached and to answer: each; and for a tunnel without traffic. Default 30 s. */
  readonly timeoutMs?: number | undefined
  /** At once; more are closed unheard. As many requests at once, over all of them; more get 503. Default 512. */
  readonly maxConnections?: number | undefined
  /** Told why a client sees 502, 504 or 500. Default: what is foreseen goes untold, a bug ends the process. */
  readonly onError?: OnError | undefined
}

export interface ServedHttpProxy {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string
  /** Ends the server and every connection, tunnels included. Closing twice is not an error. */
  close(): Promise<void>
}

type Options = HttpProxyOptions & { readonly timeoutMs: number; readonly onError: OnError }

/**
 * The proxy that the connector goes out by ("proxy server name, port, and account credentials"): CONNECT (RFC 9110 9.3.6), and plain
 * http in absolute form. Names are resolved by the list alone, and every one of them leads to loopback.
 */
export async function serveHttpProxy(given: HttpProxyOptions): Promise<ServedHttpProxy> {
  const options: Options = { ...given, timeoutMs: given.timeoutMs ?? 30_000, onError: given.onError ?? endOnBug }
  const { timeoutMs, onError } = options
  const limits = { headersTimeout: timeoutMs, requestTimeout: timeoutMs, connectionsCheckingInterval: Math.min(5_000, timeoutMs) }
  const maxExchanges = given.maxConnections ?? 512
  const answering = listener({ maxExchanges, onError, answer: (incoming, outgoing) => answer(incoming, outgoing, options) })
  const server = createServer({ maxHeaderSize: maxHeaderBytes, ...limits }, answering)
  server.on('connect', (incoming: IncomingMessage, client: Duplex, head: Buffer) => void tunnel(incoming, client, head, options))
  server.maxConnections = maxExchanges
  const close = endOf(server)
  return { url: `http://127.0.0.1:${await listenOnLoopback(server, given.port ?? 0)}`, close }
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, options: Options): Promise<void> {
  const { method = 'GET', url = '', rawHeaders: headers } = incoming
  const [, authority = '', path = ''] = /^http:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  const body = await readWhole(incoming)
  if (body === 'aborted') return
  if (!isEntitled(incoming, options)) return refuse(outgoing, 407, { 'proxy-authenticate': challenge })
  if (authority === '' || method === 'TRACE') return refuse(outgoing, authority === '' ? 400 : 405)
  if (body === 'too-large') return refuse(outgoing, 413)
  const port = portFor(/:\d+$/.test(authority) ? authority : `${authority}:80`, options)
  if (port === undefined) return refuse(outgoing, 403)
  const socket = await connectTo(port, options)
  const target = path.startsWith('/') ? path : `/${path}`
  await relay({ socket, method, path: target, host: authority, headers, body }, outgoing, options)
}

async function tunnel(incoming: IncomingMessage, client: Duplex, head: Buffer, options: Options): Promise<void> {
  client.on('error', () => client.destroy())
  if (!isEntitled(incoming, options)) return refuseRaw(client, 407, ['proxy-authenticate', challenge])
  const port = portFor(incoming.url ?? '', options)
  if (port === undefined) return refuseRaw(client, 403)
  try {
    join(client, await connectTo(port, options), head, options.timeoutMs)
  } catch (error) {
    refuseRaw(client, statusOf(error))
    options.onError(error)
  }
}

function join(client: Duplex, upstream: Socket, head: Buffer, timeoutMs: number): void {
  client.write('HTTP/1.1 200 Connection established\r\n\r\n')
  upstream.write(head)
  upstream.setTimeout(timeoutMs, () => upstream.destroy())
  const breakOff = (error?: Error | null) => {
    if (error) for (const side of [client, upstream]) side.destroy()
  }
  pipeline(client, upstream, breakOff)
  pipeline(upstream, client, breakOff)
}

const challenge = 'Basic realm="certfleet lab"'

function portFor(authority: string, { allowed }: Options): number | undefined {
  return allowed.get(authority.toLowerCase())
}

/** RFC 7617. */
function isEntitled({ rawHeaders }: IncomingMessage, { credentials }: Options): boolean {
  if (credentials === undefined) return true
  const given = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(valuesOf(rawHeaders, 'proxy-authorization')[0] ?? '')?.[1] ?? ''
  return sameSecret(given, Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64'))
}

function connectTo(port: number, { clock, timeoutMs }: Options): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settled = new AbortController()
    // Each way of a tunnel ends by itself: what one side still has to read is not cut off by the end of the other.
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const fail = (reason: string, cause: unknown) => {
      settled.abort()
      socket.destroy()
      reject(new AgentError('ERR_NETWORK', `the host behind the proxy ${reason}`, { cause }))
    }
    socket.on('error', (error: Error & { code?: string }) => fail(`was not reached: ${error.code ?? error.message}`, error))
    socket.once('connect', () => {
      settled.abort()
      resolve(socket)
    })
    clock.sleep(timeoutMs, settled.signal).then(
      () => fail(`was not reached within ${timeoutMs} ms`, tookTooLong),
      () => undefined,
    )
  })
}
