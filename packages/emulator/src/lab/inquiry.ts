import type { Clock } from '@certfleet/agent-core'
import { parseCertificate, sameName, serialNumberHex } from '@certfleet/agent-core/pki'
import type { FailInfo, OpenedRequest, PkiRequest } from '@certfleet/agent-core/scep/messages'
import { issuedAs } from './authorization.ts'
import { currentCrl, type RevocationOptions } from './revocation.ts'

export type Inquiry = Extract<OpenedRequest, { messageType: 'GetCert' | 'GetCRL' }>

/** What is handed out, or one and the same no: who may not ask does not learn what there is. */
export type InquiryAnswer =
  | { readonly status: 'issued'; readonly certificate: Uint8Array }
  | { readonly status: 'listed'; readonly crl: Uint8Array }
  | { readonly status: 'refused'; readonly failInfo: FailInfo; readonly detail: string }

/**
 * GetCert and GetCRL (RFC 8894 3.3.4, 3.3.5), which leave access to the CA. Here the signer is a certificate in force of this CA,
 * or has the key of the certificate that is asked about: so that a device whose answer was lost can fetch it, and a stranger nothing.
 * A serial number has 158 random bits, and nobody comes by another device's certificate by trying.
 */
export async function answerInquiry(request: PkiRequest, inquiry: Inquiry, options: RevocationOptions): Promise<InquiryAnswer> {
  const { store, clock, authorities } = options
  const record = store.get('issued', serialNumberHex(inquiry))
  const certificate = record && parseCertificate(record.certificate)
  const asked = certificate && sameName(certificate.issuer, inquiry.issuer) ? certificate : undefined
  const holdsItsKey = asked !== undefined && Buffer.compare(asked.publicKey, request.signer.publicKey) === 0
  if (!holdsItsKey && !isOurs(request, { store, clock })) return refuse('the signer may not ask for it')
  if (inquiry.messageType === 'GetCert')
    return asked ? { status: 'issued', certificate: asked.raw } : refuse('there is no such certificate')
  const authority = authorities.sofar().find(({ issuing }) => sameName(issuing.certificate.subject, inquiry.issuer))
  return authority ? { status: 'listed', crl: await currentCrl(authority, options) } : refuse('it is no CA of this lab')
}

function isOurs(request: PkiRequest, { store, clock }: Pick<RevocationOptions, 'store'> & { clock: Clock }): boolean {
  const now = clock.now()
  return issuedAs(request, store) !== undefined && now >= request.signer.notBefore && now <= request.signer.notAfter
}

function refuse(detail: string): InquiryAnswer {
  return { status: 'refused', failInfo: 'badCertId', detail }
}
