import { AgentError, type CertificateStores, type Clock, type KeyHandle } from '@certfleet/agent-core'
import { fingerprintOf, isSelfSigned, parseCertificate } from '@certfleet/agent-core/pki'
import { connectTls } from '../tls/peer.ts'
import { admitted, readLine, writeProof } from './proof.ts'

export interface GatewayConnection {
  /** On loopback. */
  readonly port: number
  /** The name that the gateway's certificate must hold. */
  readonly serverName: string
  /** The device's stores: a gateway is trusted by a certificate in `computer-root`, and by nothing else of this machine or of Node. */
  readonly stores: CertificateStores
  /** CA certificates that were delivered to the device, DER: stores tell fingerprints only. What is in no store counts for nothing. */
  readonly delivered: readonly Uint8Array[]
  /** An enrolled certificate, leaf first, and its key, wherever that is kept. */
  readonly identity: { readonly chain: readonly Uint8Array[]; readonly key: KeyHandle }
  readonly clock: Clock
  /** For connecting, and for the gateway to answer: each. Default 15 s. */
  readonly timeoutMs?: number
}

/** Ends by `close`. */
export interface GatewayLink {
  /** SHA-256 of the gateway's certificate, lower-case hex. */
  readonly gatewayFingerprint: string
  close(): void
}

/**
 * Connects a device as Wi-Fi or VPN would: the device judges the gateway first, and only then shows who it is.
 * A gateway that its stores do not trust, for this name, now: `ERR_CERTIFICATE_UNTRUSTED`, and nothing was sent. Closed without a word
 * by the gateway: `ERR_UNAUTHORIZED`. Not reached, or too slow: `ERR_NETWORK`. What the key fails with is thrown.
 */
export async function connectGateway(connection: GatewayConnection): Promise<GatewayLink> {
  const { port, serverName, identity, clock, timeoutMs = 15_000 } = connection
  const socket = await connectTls({ port, serverName, clock, timeoutMs, minVersion: 'TLSv1.3', ...(await trustedBy(connection)) })
  const gatewayFingerprint = fingerprintOf(socket.getPeerCertificate().raw)
  const answered = new AbortController()
  try {
    const late = clock.sleep(timeoutMs, answered.signal).then(() => {
      throw new AgentError('ERR_NETWORK', `${serverName} did not answer within ${timeoutMs} ms`)
    })
    late.catch(() => undefined)
    const answer = readLine(socket)
    // Roots are known to whoever trusts them (RFC 8446 4.4.2).
    const chain = identity.chain.filter((der, i) => i === 0 || !isSelfSigned(parseCertificate(der)))
    socket.write(`${await writeProof(socket, chain, identity.key)}\n`)
    if ((await Promise.race([answer, late])) !== admitted)
      throw new AgentError('ERR_UNAUTHORIZED', `${serverName} admits no device by this certificate`)
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    answered.abort()
  }
  return { gatewayFingerprint, close: () => socket.destroy() }
}

/** What of the delivered certificates is in a store now: roots from `computer-root`, the others only help to get there. */
async function trustedBy({ stores, delivered }: GatewayConnection) {
  const installed = await stores.list()
  const isIn = (der: Uint8Array, isRoot: boolean) =>
    installed.some(({ store, fingerprint }) => (store === 'computer-root') === isRoot && fingerprint === fingerprintOf(der))
  const certificatesIn = (isRoot: boolean) => delivered.filter((der) => isIn(der, isRoot)).map(parseCertificate)
  return { roots: certificatesIn(true), intermediates: certificatesIn(false) }
}
