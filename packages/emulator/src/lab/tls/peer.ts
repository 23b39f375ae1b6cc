import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { AgentError, type Clock } from '@certfleet/agent-core'
import { type Certificate, type PathVerdict, PurposeOid, parseCertificate, verifyPath } from '@certfleet/agent-core/pki'

/** What a server is believed by: these roots and this name, and nothing that Node or the machine trusts. */
export interface ServerTrust {
  readonly roots: readonly Certificate[]
  /** Beside those that the server sends. Default none. */
  readonly intermediates?: readonly Certificate[]
  /** DNS name or IP address. */
  readonly serverName: string
}

export interface TlsTarget extends ServerTrust {
  /** On loopback. */
  readonly port: number
  readonly clock: Clock
  /** For connecting and the handshake. */
  readonly timeoutMs: number
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

/** The cause of an `ERR_NETWORK` where somebody took too long. */
export const tookTooLong = 'took too long'

/** A peer that sends more is not read on. */
const maxPeerCertificates = 8

/**
 * TLS to a server on loopback that is trusted by its certificate: path, purpose, dates by the clock, name. Nothing is sent before.
 * Not reached or no TLS: `ERR_NETWORK`; reached and not trusted: `ERR_CERTIFICATE_UNTRUSTED`, with the verdict for its cause.
 */
export function connectTls(target: TlsTarget): Promise<TLSSocket> {
  const { port, serverName, clock, timeoutMs, minVersion = 'TLSv1.2' } = target
  return new Promise((resolve, reject) => {
    const settled = new AbortController()
    // Node would judge by the machine's clock and its own CAs: it is asked to judge nothing, and verifyPath is.
    const judgedHere = { rejectUnauthorized: false, ca: [] }
    const named = isIP(serverName) === 0 ? { servername: serverName } : {}
    const socket = connect({ host: '127.0.0.1', port, minVersion, ...named, ...judgedHere })
    const fail = (error: AgentError) => {
      settled.abort()
      socket.destroy()
      reject(error)
    }
    socket.on('error', (cause: Error & { code?: string }) =>
      fail(new AgentError('ERR_NETWORK', `no TLS connection to ${serverName}: ${cause.code ?? cause.message}`, { cause })),
    )
    socket.on('close', () => fail(new AgentError('ERR_NETWORK', `${serverName} closed the connection`)))
    socket.once('secureConnect', () => {
      const verdict = judgeServer(socket, target, clock)
      if (!verdict.ok)
        return fail(
          new AgentError('ERR_CERTIFICATE_UNTRUSTED', `the certificate of ${serverName} is not trusted: ${verdict.reason}`, {
            cause: verdict,
          }),
        )
      settled.abort()
      resolve(socket)
    })
    clock.sleep(timeoutMs, settled.signal).then(
      () => fail(new AgentError('ERR_NETWORK', `no TLS connection to ${serverName} within ${timeoutMs} ms`, { cause: tookTooLong })),
      () => undefined,
    )
  })
}

function judgeServer(socket: TLSSocket, { roots, intermediates = [], serverName }: ServerTrust, clock: Clock): PathVerdict {
  const [leaf, ...sent] = peerCertificates(socket) ?? []
  if (leaf === undefined) return { ok: false, code: 'no-path', reason: 'its certificate cannot be read' }
  return verifyPath({
    leaf,
    intermediates: [...sent, ...intermediates],
    roots,
    at: clock.now(),
    purpose: PurposeOid.ServerAuth,
    hostname: serverName,
  })
}

/** What the peer proved itself with, leaf first; empty when it sent none, undefined when one cannot be read. */
export function peerCertificates(socket: TLSSocket): readonly Certificate[] | undefined {
  const ders: Uint8Array[] = []
  // Where Node found no issuer the member is missing; a self-signed certificate is its own.
  for (let next = socket.getPeerCertificate(true); next?.raw && ders.length < maxPeerCertificates; next = next.issuerCertificate) {
    if (ders.some((der) => Buffer.compare(der, next.raw) === 0)) break
    ders.push(next.raw)
  }
  return readCertificates(ders)
}

/** Undefined when one cannot be read. */
export function readCertificates(ders: readonly Uint8Array[]): readonly Certificate[] | undefined {
  try {
    return ders.map(parseCertificate)
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}
