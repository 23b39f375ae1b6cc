import type { ScepTrust, Transport } from '@certfleet/agent-core'
import { isSelfSigned } from '@certfleet/agent-core/pki'
import { type CaCertificates, isPinned, parseCaCertificates } from '@certfleet/agent-core/scep/messages'

export interface CaWitness {
  /** The same transport, watched. */
  readonly transport: Transport
  /** The certificate that the issued one must lead to: what the trust names, among those that the server showed first. */
  anchor(): Uint8Array | undefined
}

/**
 * Sees the CA certificates pass, so that a person is told what is believed before the challenge goes out, and so that the issued
 * certificate is held against what was shown at first.
 */
export function witnessCa(transport: Transport, trust: ScepTrust, onAnchor: (anchor: Uint8Array) => void): CaWitness {
  let seen = trust !== 'first-use' && 'root' in trust ? trust.root : undefined
  return {
    transport: {
      async send(request, signal) {
        const response = await transport.send(request, signal)
        if (seen || response.status !== 200 || new URL(request.url).searchParams.get('operation') !== 'GetCACert') return response
        seen = anchorAmong(parseCaCertificates(response.body), trust)
        if (seen) onAnchor(seen)
        return response
      },
    },
    anchor: () => seen,
  }
}

/** By its pin, or on first use the root that the server shows, or else the CA that issues. */
function anchorAmong({ authorities, ca }: CaCertificates, trust: ScepTrust): Uint8Array | undefined {
  if (trust === 'first-use' || 'root' in trust) return (authorities.find(isSelfSigned) ?? ca).raw
  return authorities.find(({ raw }) => isPinned(raw, trust))?.raw
}
