import { AgentError, type Clock } from '@certfleet/agent-core'
import {
  type Certificate,
  fingerprintOf,
  isSelfSigned,
  type PathFailure,
  PurposeOid,
  parseCrl,
  verifyPath,
} from '@certfleet/agent-core/pki'

/** Why a device stays out. It is never told. */
export type GatewayRefusal =
  /** The handshake failed, or the connection ended before anything was shown. */
  | 'no-certificate'
  | 'too-slow'
  /** What was shown is no certificate or no proof. */
  | 'unreadable'
  /** The certificate is another's: the signature is not by its key, or not for this connection. */
  | 'not-proven'
  | 'self-signed'
  /** It leads to none of the gateway's roots. */
  | 'foreign'
  | 'expired'
  | 'not-yet-valid'
  /** No Client Authentication, or a key that may not sign. */
  | 'wrong-purpose'
  | 'revoked'
  /** Nobody could tell whether it is revoked. */
  | 'revocation-unknown'
  /** Whatever else RFC 5280 has against it. */
  | 'invalid'

export interface Refused {
  readonly refusal: GatewayRefusal
  readonly detail: string
}

export type RevocationAnswer = 'good' | 'revoked' | 'unknown'

/** Asked of a leaf whose path is good, with the certificate of its issuer: by CRL, by OCSP, by whatever there is. */
export type RevocationCheck = (leaf: Certificate, issuer: Certificate) => Promise<RevocationAnswer>

export interface Admission {
  readonly roots: readonly Certificate[]
  readonly clock: Clock
  readonly revocation?: RevocationCheck | undefined
  readonly minLeafRsaBits?: number | undefined
}

/** The issuer of a good leaf, or what keeps it out: by path, dates, purposes. Both ends of its life belong to it (RFC 5280 4.1.2.5). */
export function judgeDevice(chain: readonly Certificate[], { roots, clock, minLeafRsaBits }: Admission): Certificate | Refused {
  const [leaf, ...intermediates] = chain
  if (leaf === undefined) return { refusal: 'no-certificate', detail: 'none was shown' }
  const floor = minLeafRsaBits === undefined ? {} : { minLeafRsaBits }
  const verdict = verifyPath({ leaf, intermediates, roots, at: clock.now(), purpose: PurposeOid.ClientAuth, ...floor })
  if (!verdict.ok) return { refusal: refusalOf(verdict, leaf), detail: verdict.reason }
  const issuer = verdict.chain[1]
  if (issuer === undefined || leaf.basicConstraints?.ca) return { refusal: 'invalid', detail: 'a CA is no device' }
  const isForClients = leaf.extendedKeyUsage?.includes(PurposeOid.ClientAuth) || leaf.extendedKeyUsage?.includes(PurposeOid.Any)
  if (!isForClients) return { refusal: 'wrong-purpose', detail: 'extendedKeyUsage does not say client authentication' }
  if (leaf.keyUsage && !leaf.keyUsage.has('digitalSignature')) return { refusal: 'wrong-purpose', detail: 'its key is not for signatures' }
  return issuer
}

function refusalOf({ code }: PathFailure, leaf: Certificate): GatewayRefusal {
  switch (code) {
    case 'expired':
    case 'not-yet-valid':
      return code
    case 'purpose-mismatch':
      return 'wrong-purpose'
    case 'no-path':
    case 'signature-invalid':
      return isSelfSigned(leaf) ? 'self-signed' : 'foreign'
    default:
      return 'invalid'
  }
}

/** Without a check nothing is known to be revoked; where the check does not come to an answer, nobody is let in. */
export async function judgeRevocation(leaf: Certificate, issuer: Certificate, { revocation }: Admission): Promise<Refused | undefined> {
  const answer = revocation ? await revocation(leaf, issuer) : 'good'
  if (answer === 'good') return undefined
  return answer === 'revoked'
    ? { refusal: 'revoked', detail: 'its issuer revoked it' }
    : { refusal: 'revocation-unknown', detail: 'nobody could tell whether it is revoked' }
}

/**
 * Asks for the CRL of the issuer, by the SHA-256 of its certificate in lower-case hex, as `lab.crlOf` has it: DER, current, and signed
 * by the issuer (RFC 5280 6.3.3). Undefined, or one that cannot be read or relied on: unknown.
 */
export function byCrl(crlOf: (issuerFingerprint: string) => Promise<Uint8Array | undefined>, clock: Clock): RevocationCheck {
  return async (leaf, issuer) => {
    const crl = readCrl(await crlOf(fingerprintOf(issuer.raw)))
    if (crl === undefined) return 'unknown'
    // The path above the issuer was found good before: here it is where trust begins, so that its own revocation is not asked for.
    const verdict = verifyPath({ leaf, intermediates: [], roots: [issuer], at: clock.now(), crls: [crl], minLeafRsaBits: 1024 })
    if (verdict.ok) return 'good'
    return verdict.code === 'revoked' ? 'revoked' : 'unknown'
  }
}

function readCrl(der: Uint8Array | undefined) {
  try {
    return der && parseCrl(der)
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}
