import { bitString, explicit, nullValue, octetString, oid, primitive, sequence, Tag, tlv } from '../der/index.ts'
import type { KeyHandle } from '../ports.ts'
import type { HashName, Instant } from '../types.ts'
import { signatureAlgorithm } from './algorithms.ts'
import { type CrlReason, crlReasons } from './build-crl.ts'
import type { Certificate } from './certificate.ts'
import { encodeExtensions, keyIdentifierOf } from './extensions.ts'
import { ocspBasicOid, ocspNonceOid } from './ocsp.ts'

/** OCSPResponseStatus but `successful` (RFC 6960 4.2.1). */
const failures = { malformedRequest: 1, internalError: 2, tryLater: 3, sigRequired: 5, unauthorized: 6 } as const

export type OcspStatus =
  | { readonly status: 'good' }
  | { readonly status: 'revoked'; readonly revokedAt: Instant; readonly reason: CrlReason }
  | { readonly status: 'unknown' }

/** What is known of one certificate. */
export type OcspAnswer = OcspStatus & {
  /** As it was asked, DER. */
  readonly certId: Uint8Array
  /** When this was last known to be so. */
  readonly thisUpdate: Instant
  /** Until when it may be relied on; RFC 5019 2.2.4 wants it always. */
  readonly nextUpdate: Instant
}

export interface OcspContents {
  readonly answers: readonly OcspAnswer[]
  readonly producedAt: Instant
  /** As it was asked; missing where none was. */
  readonly nonce?: Uint8Array | undefined
  /** The CA, or whom it has authorised by id-kp-OCSPSigning (RFC 6960 4.2.2.2); sent along. */
  readonly responder: { readonly certificate: Certificate; readonly key: KeyHandle }
  readonly hash: HashName
}

/** Signs an OCSPResponse of type id-pkix-ocsp-basic, DER; the responder is named by its key (RFC 6960 4.2.1). */
export async function buildOcspResponse(contents: OcspContents): Promise<Uint8Array> {
  const { answers, producedAt, nonce, responder, hash } = contents
  const algorithm = signatureAlgorithm(responder.key.spec.algorithm, hash)
  const nonceExtension = nonce && { oid: ocspNonceOid, value: octetString(nonce) }
  const data = sequence(
    explicit(2, octetString(keyIdentifierOf(responder.certificate.publicKey))),
    generalizedTime(producedAt),
    sequence(...answers.map(singleResponse)),
    ...(nonceExtension ? [explicit(1, encodeExtensions([nonceExtension]))] : []),
  )
  const signature = bitString(await responder.key.sign(data, hash))
  const basic = sequence(data, algorithm, signature, explicit(0, sequence(responder.certificate.raw)))
  return sequence(enumerated(0), explicit(0, sequence(oid(ocspBasicOid), octetString(basic))))
}

/** An OCSPResponse that says why there is none; unsigned, DER (RFC 6960 2.3). */
export function ocspErrorResponse(failure: keyof typeof failures): Uint8Array {
  return sequence(enumerated(failures[failure]))
}

function singleResponse(answer: OcspAnswer): Uint8Array {
  return sequence(answer.certId, certStatus(answer), generalizedTime(answer.thisUpdate), explicit(0, generalizedTime(answer.nextUpdate)))
}

/** As in a CRL, the reason unspecified is not written. */
function certStatus(answer: OcspStatus): Uint8Array {
  if (answer.status === 'revoked') {
    const { revokedAt, reason } = answer
    return explicit(1, generalizedTime(revokedAt), ...(reason === 'unspecified' ? [] : [explicit(0, enumerated(crlReasons[reason]))]))
  }
  return tlv(primitive(answer.status === 'good' ? 0 : 2), nullValue.subarray(2))
}

/** Whole seconds, Zulu, in every year: OCSP knows no UTCTime (RFC 6960 4.2.2.1). */
function generalizedTime(instant: Instant): Uint8Array {
  return tlv(Tag.GeneralizedTime, Buffer.from(new Date(instant).toISOString().replace(/[-:T]|\.\d+/g, ''), 'latin1'))
}

function enumerated(value: number): Uint8Array {
  return tlv(Tag.Enumerated, Uint8Array.of(value))
}
