import type { KeyObject } from 'node:crypto'

/** Proves who the client is, to servers that ask for a certificate. */
export interface ClientIdentity {
  /** Leaf first, DER. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
}

export interface TlsTrust {
  /** CA certificates, DER. They replace the system's: with an empty list no server is trusted. Default: the system's. */
  readonly trustAnchors?: readonly Uint8Array[]
  readonly clientIdentity?: ClientIdentity
}

/** The options of node:tls for it. The server is always verified, whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
export function tlsOptions({ trustAnchors, clientIdentity }: TlsTrust) {
  return {
    rejectUnauthorized: true,
    ...(trustAnchors && { ca: trustAnchors.map(pem) }),
    ...(clientIdentity && {
      cert: clientIdentity.chain.map(pem).join(''),
      key: clientIdentity.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }),
  }
}

/** RFC 7468 2; node:tls reads no DER. */
function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
