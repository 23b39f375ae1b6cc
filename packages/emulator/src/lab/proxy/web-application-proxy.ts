import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { isIP } from 'node:net'
import { AgentError, type ClientIdentity, type Clock } from '@certfleet/agent-core'
import { type Certificate, PurposeOid, parseCertificate, verifyPath } from '@certfleet/agent-core/pki'
import { maxUrlCharacters } from '../http.ts'
import { readWhole } from '../read-whole.ts'
import { endOf, listenOnLoopback } from '../tls/loopback.ts'
import { connectTls } from '../tls/peer.ts'
import { tlsServerOptions } from '../tls/server-options.ts'
import { endOnBug, listener, type OnError, refuse, refuseRaw, statusOf } from './failures.ts'
import { valuesOf } from './headers.ts'
import { maxHeaderBytes, relay } from './relay.ts'
import { relayWebSocket, wantsWebSocket } from './web-socket.ts'

export interface ProxyOptions {
  /** On loopback. Default 0: any that is free. The document has 443. */
  readonly port?: number | undefined
  /** What clients ask for, by SNI and Host; an IP address has no SNI. */
  readonly publicName: string
  /** For the public name; otherwise `ERR_CERTIFICATE_MISMATCH` at the start (S59). */
  readonly certificate: ClientIdentity
  /** NDES behind TLS on loopback, and the name that its certificate must hold. */
  readonly upstream: { readonly port: number; readonly serverName: string }
  /** Roots that the certificate of NDES must lead to, DER. Nothing else is trusted. */
  readonly trust: readonly Uint8Array[]
  readonly clock: Clock
  /** For a client to send a request, and for NDES to be reached and to answer: each. A silent WebSocket has six times as long. Default 30 s. */
  readonly timeoutMs?: number | undefined
  /** At once; more are closed unheard. As many requests at once, over all of them; more get 503. Default 512. */
  readonly maxConnections?: number | undefined
  /** Told why a client sees 502, 504 or 500. Default: what is foreseen goes untold, a bug ends the process. */
  readonly onError?: OnError | undefined
}

export interface ServedProxy {
  /** `https://<publicName>:<port>`; the name may need help to resolve to 127.0.0.1. */
  readonly url: string
  readonly port: number
  /** Ends the server and every connection. Closing twice is not an error. */
  close(): Promise<void>
}

/**
 * A web application proxy (S59): ends TLS, and begins it again to NDES, which it trusts by root and name only. URLs of 65534 bytes and
 * headers as long go through both ways; one byte more is 414. Another SNI is refused in the handshake, another Host is 421; NDES not
 * reached or not trusted 502, too slow 504; bodies over 1 MiB 413. WebSockets are passed on, which the lab's push is; another upgrade
 * is 501.
 */
export async function serveProxy(options: ProxyOptions): Promise<ServedProxy> {
  const { publicName, certificate, timeoutMs = 30_000, maxConnections = 512, onError = endOnBug } = options
  assertPublished(options)
  const publication: Publication = { ...options, timeoutMs, roots: options.trust.map(parseCertificate) }
  const server = createServer(
    {
      ...tlsServerOptions(certificate),
      SNICallback: (name, done) => done(isSameName(name, publicName) ? null : new Error('the server name is not the public name')),
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(5_000, timeoutMs),
    },
    listener({ maxExchanges: maxConnections, onError, answer: (incoming, outgoing) => answer(incoming, outgoing, publication) }),
  )
  server.on('upgrade', (incoming: IncomingMessage, _, head: Buffer) => {
    const { socket: client } = incoming
    client.on('error', () => client.destroy())
    client.setTimeout(timeoutMs * silentTimeouts, () => client.destroy())
    upgrade(incoming, head, publication).catch((error) => {
      refuseRaw(client, statusOf(error))
      onError(error)
    })
  })
  server.maxConnections = maxConnections
  const close = endOf(server)
  const port = await listenOnLoopback(server, options.port ?? 0)
  return { url: `https://${isIP(publicName) === 6 ? `[${publicName}]` : publicName}:${port}`, port, close }
}

/** An agent pings its push connection each minute. */
const silentTimeouts = 6

type Publication = Pick<ProxyOptions, 'publicName' | 'upstream' | 'clock'> & {
  readonly timeoutMs: number
  readonly roots: readonly Certificate[]
}

/** Dates may be wrong: an expired certificate is there to be played with. */
function assertPublished({ certificate, publicName }: ProxyOptions): void {
  const leaf = parseCertificate(certificate.chain[0] ?? new Uint8Array())
  const verdict = verifyPath({
    leaf,
    intermediates: [],
    roots: [],
    at: leaf.notBefore,
    purpose: PurposeOid.ServerAuth,
    hostname: publicName,
  })
  if (!verdict.ok && verdict.code !== 'no-path')
    throw new AgentError('ERR_CERTIFICATE_MISMATCH', `the certificate cannot publish ${publicName}: ${verdict.reason}`)
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, publication: Publication): Promise<void> {
  const { upstream, clock, roots, timeoutMs, publicName } = publication
  const path = targetOf(incoming, publicName)
  const body = await readWhole(incoming)
  if (body === 'aborted') return
  if (typeof path === 'number') return refuse(outgoing, path)
  if (body === 'too-large') return refuse(outgoing, 413)
  const { port, serverName: host } = upstream
  const socket = await connectTls({ port, serverName: host, roots, clock, timeoutMs })
  const { method = 'GET', rawHeaders: headers } = incoming
  await relay({ socket, method, path, host, headers, body }, outgoing, { clock, timeoutMs })
}

async function upgrade(incoming: IncomingMessage, head: Buffer, publication: Publication): Promise<void> {
  const { upstream, clock, roots, timeoutMs, publicName } = publication
  const { socket: client, rawHeaders: headers } = incoming
  const path = targetOf(incoming, publicName)
  if (typeof path === 'number') return refuseRaw(client, path)
  if (!wantsWebSocket(incoming)) return refuseRaw(client, 501)
  const { port, serverName: host } = upstream
  const socket = await connectTls({ port, serverName: host, roots, clock, timeoutMs })
  await relayWebSocket({ socket, method: 'GET', path, host, headers }, { client, head }, { clock, timeoutMs })
}

/** Path and query as they were sent, or the status that refuses them. */
function targetOf(incoming: IncomingMessage, publicName: string): string | number {
  const { method, url = '', rawHeaders } = incoming
  const hosts = valuesOf(rawHeaders, 'host')
  if (method === 'TRACE') return 405
  if (hosts.length !== 1) return 400
  // RFC 9112 3.2.2: a target in absolute form is to be taken, and counts instead of Host.
  const [, authority = hosts[0] as string, path = url] = /^https:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  if (!isSameName(hostOf(authority), publicName)) return 421
  if (!path.startsWith('/')) return 400
  return path.length > maxUrlCharacters ? 414 : path
}

/** Without its port: on loopback the port is any. */
function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
}

function isSameName(name: string, publicName: string): boolean {
  return name.toLowerCase() === publicName.toLowerCase()
}
