import type { ClientIdentity } from '@certfleet/agent-core'

const handshakeTimeoutMs = 15_000

/**
 * What https.createServer and tls.createServer need to show a certificate: TLS 1.2 or 1.3, and a handshake of at most 15 s.
 * node:tls takes no KeyObject, so that this holds the private key: to be passed on at once, never kept or logged.
 */
export function tlsServerOptions({ chain, privateKey }: ClientIdentity) {
  return {
    cert: chain.map(certificatePem).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    minVersion: 'TLSv1.2',
    handshakeTimeout: handshakeTimeoutMs,
  } as const
}

/** RFC 7468 5. */
export function certificatePem(der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}
