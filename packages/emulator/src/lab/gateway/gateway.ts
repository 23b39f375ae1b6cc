import { constants } from 'node:crypto'
import { createServer, type TLSSocket } from 'node:tls'
import { AgentError, type ClientIdentity, type Instant } from '@certfleet/agent-core'
import { type Certificate, fingerprintOf, formatName, parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import { endOnBug, type OnError } from '../proxy/failures.ts'
import { endOf, listenOnLoopback } from '../tls/loopback.ts'
import { peerCertificates } from '../tls/peer.ts'
import { certificatePem, tlsServerOptions } from '../tls/server-options.ts'
import { type Admission, type GatewayRefusal, judgeDevice, judgeRevocation, type Refused, type RevocationCheck } from './judge.ts'
import { admitted, readLine, readProof } from './proof.ts'

export interface GatewayOptions extends Pick<Admission, 'clock'> {
  /** On loopback. Default 0: any that is free. */
  readonly port?: number | undefined
  /** What the gateway shows, for the name that devices ask for. */
  readonly certificate: ClientIdentity
  /** Roots that a device's certificate must lead to, DER. */
  readonly roots: readonly Uint8Array[]
  /** Default: nothing is asked, and a revoked device comes in. */
  readonly revocation?: RevocationCheck | undefined
  /** Of a device's RSA key; CAs have 2048. Default 2048. */
  readonly minLeafRsaBits?: number | undefined
  /** For a device to prove itself, beside the 15 s of the handshake. Default 15 s. */
  readonly timeoutMs?: number | undefined
  /** At once; more are closed unheard. Default 512. */
  readonly maxConnections?: number | undefined
  /** Told of what a revocation check threw; the device is refused. Default: what is foreseen goes untold, a bug ends the process. */
  readonly onError?: OnError | undefined
}

/** Who came, and what became of it. */
export interface GatewayVisit {
  readonly at: Instant
  /** Missing where the device was let in. */
  readonly refusal?: GatewayRefusal
  /** For the operator. No secret. */
  readonly detail?: string
  /** `tls`: by a client certificate in the handshake. `exporter`: by a signature above it. */
  readonly by?: 'tls' | 'exporter'
  /** Of the certificate that was shown. */
  readonly subject?: string
  /** Lower-case hex. */
  readonly serialNumber?: string
  /** SHA-256, lower-case hex. */
  readonly fingerprint?: string
}

export interface ServedGateway {
  readonly port: number
  /** The latest 10,000, oldest first; a device's is there before it hears its answer. */
  visits(): readonly GatewayVisit[]
  /** Ends the server and every connection. Closing twice is not an error. */
  close(): Promise<void>
}

const maxVisits = 10_000

/**
 * Stands in for Wi-Fi and VPN: TLS 1.3, and only an enrolled device comes in, by a client certificate in the handshake or by a proof
 * above it (`connectGateway`). Whoever is let in reads `admitted` and stays connected; anybody else is closed without a word.
 */
export async function serveGateway(options: GatewayOptions): Promise<ServedGateway> {
  const visits: GatewayVisit[] = []
  const admission = { ...options, roots: options.roots.map(parseCertificate) }
  const note = (visit: Omit<GatewayVisit, 'at'>) => {
    visits.push({ at: options.clock.now(), ...visit })
    if (visits.length > maxVisits) visits.shift()
  }
  const server = createServer(
    {
      ...tlsServerOptions(options.certificate),
      // RFC 9266 4.2: what TLS 1.2 exports is not always bound to one connection.
      minVersion: 'TLSv1.3',
      requestCert: true,
      // Every certificate is judged here, by this clock and this lab's rules, and none by Node. The roots are told to clients as hints.
      rejectUnauthorized: false,
      ca: options.roots.map(certificatePem),
      // Each connection is judged anew: a resumed one would bring no certificate.
      secureOptions: constants.SSL_OP_NO_TICKET,
    },
    (socket) => {
      receive(socket, admission, note).catch((error) => {
        socket.destroy()
        ;(options.onError ?? endOnBug)(error)
      })
    },
  )
  server.on('tlsClientError', (error: Error & { code?: string }) =>
    note({ refusal: 'no-certificate', detail: `the handshake failed: ${error.code ?? error.name}` }),
  )
  server.maxConnections = options.maxConnections ?? 512
  const close = endOf(server)
  return { port: await listenOnLoopback(server, options.port ?? 0), visits: () => [...visits], close }
}

type Receiving = Admission & Pick<GatewayOptions, 'timeoutMs' | 'onError'>
type Shown = { readonly by: 'tls' | 'exporter'; readonly chain: readonly Certificate[]; isProven(): boolean }

async function receive(socket: TLSSocket, admission: Receiving, note: (visit: Omit<GatewayVisit, 'at'>) => void): Promise<void> {
  socket.on('error', () => socket.destroy())
  const shown = await shownBy(socket, admission)
  const refused = 'refusal' in shown ? shown : await judge(shown, admission)
  note({ ...refused, ...('refusal' in shown ? {} : described(shown)) })
  if (refused) return void socket.destroy()
  socket.write(`${admitted}\n`)
  socket.resume()
}

/** In the handshake, or on one line behind it. */
async function shownBy(socket: TLSSocket, { clock, timeoutMs = 15_000 }: Receiving): Promise<Shown | Refused> {
  const chain = peerCertificates(socket)
  if (chain === undefined) return { refusal: 'unreadable', detail: 'a certificate cannot be read' }
  if (chain.length > 0) return { by: 'tls', chain, isProven: () => true }
  const answered = new AbortController()
  const late = clock.sleep(timeoutMs, answered.signal).then(
    (): Refused => ({ refusal: 'too-slow', detail: `no proof within ${timeoutMs} ms` }),
    (): Refused => ({ refusal: 'no-certificate', detail: 'none was shown' }),
  )
  const line = await Promise.race([readLine(socket), late])
  answered.abort()
  if (typeof line !== 'string') return line ?? late
  const proof = readProof(socket, line)
  return proof ? { by: 'exporter', ...proof } : { refusal: 'unreadable', detail: 'the line is no proof' }
}

/** The cheap before the dear: path and dates, then the signature, then what has to be asked elsewhere. */
async function judge({ chain, isProven }: Shown, admission: Receiving): Promise<Refused | undefined> {
  const issuer = judgeDevice(chain, admission)
  if ('refusal' in issuer) return issuer
  if (!isProven()) return { refusal: 'not-proven', detail: 'the signature is not of its key for this connection' }
  try {
    return await judgeRevocation(chain[0] as Certificate, issuer, admission)
  } catch (error) {
    ;(admission.onError ?? endOnBug)(error)
    return { refusal: 'revocation-unknown', detail: error instanceof AgentError ? error.message : 'the check failed' }
  }
}

function described({ by, chain: [leaf] }: Shown): Pick<GatewayVisit, 'by' | 'subject' | 'serialNumber' | 'fingerprint'> {
  if (leaf === undefined) return { by }
  return { by, subject: formatName(leaf.subject), serialNumber: serialNumberHex(leaf), fingerprint: fingerprintOf(leaf.raw) }
}
