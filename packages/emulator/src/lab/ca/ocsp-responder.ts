import { createHash } from 'node:crypto'
import { AgentError, type HttpRequest, type HttpResponse, type Instant } from '@certfleet/agent-core'
import { readBitString, readSequence } from '@certfleet/agent-core/der'
import {
  buildOcspResponse,
  fingerprintOf,
  type OcspAnswer,
  type OcspCertId,
  type OcspRequest,
  type OcspStatus,
  ocspErrorResponse,
  parseCertificate,
  parseOcspRequest,
  serialNumberHex,
} from '@certfleet/agent-core/pki'
import type { Authority } from '../authority.ts'
import { content, type Route } from '../http.ts'
import type { RevocationOptions } from '../revocation.ts'
import type { LabStore } from '../store.ts'
import { answerLifetimeMs, type OcspSigners, ocspSigners } from './ocsp-signer.ts'

export const ocspPath = '/ocsp'

/** For devices whose clock is behind. */
const backdatedMs = 10 * 60_000

/**
 * The OCSP responder (RFC 6960, in the profile of RFC 5019) for every CA of this lab: POST to the path, GET with the request in
 * base64 behind it. What cannot be read gets malformedRequest; certificates of other CAs, or of two CAs in one request, unauthorized.
 * A certificate of this CA that is not on record is unknown.
 */
export function ocspResponder(options: RevocationOptions): Route {
  const signers = ocspSigners(options.clock)
  return {
    GET: async (_, url) => cacheable(await answer(requestIn(url), options, signers)),
    POST: async ({ body }: HttpRequest) => (await answer(body, options, signers)).response,
  }
}

interface Answered {
  readonly response: HttpResponse
  /** Missing where nobody else may be given the answer. */
  readonly lastsMs?: number
  readonly at: Instant
}

/** RFC 5019 5: base64 of the DER, escaped or not, behind the responder's path. */
function requestIn(url: URL): Uint8Array | undefined {
  try {
    const text = decodeURIComponent(url.pathname.slice(ocspPath.length + 1))
    return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

async function answer(der: Uint8Array | undefined, options: RevocationOptions, signers: OcspSigners): Promise<Answered> {
  const at = options.clock.now()
  const failed = (failure: Parameters<typeof ocspErrorResponse>[0]) => ({ response: ocspContent(ocspErrorResponse(failure)), at })
  const request = read(der)
  if (request === undefined) return failed('malformedRequest')
  const authority = options.authorities.sofar().find((candidate) => request.certIds.every((certId) => isIssuedBy(certId, candidate)))
  const responder = authority && (await signers.signerFor(authority))
  if (authority === undefined || responder === undefined) return failed('unauthorized')
  const { nonce, certIds } = request
  const answers = certIds.map((certId) => answerTo(certId, statusOf(certId, authority, options, signers), at))
  const signed = await buildOcspResponse({ answers, producedAt: at, nonce, responder, hash: 'sha256' })
  return { response: ocspContent(signed), at, ...(nonce === undefined && { lastsMs: answerLifetimeMs }) }
}

function read(der: Uint8Array | undefined): OcspRequest | undefined {
  try {
    return der && parseOcspRequest(der)
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

function isIssuedBy({ hash, issuerNameHash, issuerKeyHash }: OcspCertId, { issuing: { certificate } }: Authority): boolean {
  if (hash === undefined) return false
  const { bytes } = readBitString(readSequence(certificate.publicKey, 'subjectPublicKeyInfo')[1], 'subjectPublicKey')
  const digest = (data: Uint8Array) => createHash(hash).update(data).digest()
  return Buffer.compare(digest(certificate.subject), issuerNameHash) === 0 && Buffer.compare(digest(bytes), issuerKeyHash) === 0
}

function statusOf(certId: OcspCertId, authority: Authority, { store }: RevocationOptions, signers: OcspSigners): OcspStatus {
  // RFC 5280 4.1.2.2: what is longer names no certificate, and is too long a key for the store.
  if (certId.serialNumber.length > 21) return { status: 'unknown' }
  const serialNumber = serialNumberHex(certId)
  const record = store.get('issued', serialNumber)
  if (record?.issuer !== fingerprintOf(authority.issuing.certificate.raw))
    return { status: ownSerialNumbers(authority, store, signers).includes(serialNumber) ? 'good' : 'unknown' }
  const revocation = store.get('revocations', serialNumber)
  return revocation ? { status: 'revoked', revokedAt: revocation.at, reason: revocation.reason } : { status: 'good' }
}

/** Of what the CA made for the lab's own use, which is not on record with the devices' certificates. */
function ownSerialNumbers(authority: Authority, store: LabStore, signers: OcspSigners): readonly string[] {
  const { issuing, signing, encryption } = authority
  const issuer = fingerprintOf(issuing.certificate.raw)
  const renewed = [...store.list('registrationAuthorities')].filter((record) => record.issuer === issuer)
  const certificates = renewed.flatMap((pair) => [pair.signing, pair.encryption]).map(({ certificate }) => parseCertificate(certificate))
  const present = [signing, encryption, signers.present(authority)].flatMap((own) => own?.certificate ?? [])
  return [...present, ...certificates].map(serialNumberHex)
}

function answerTo({ raw }: OcspCertId, status: OcspStatus, at: Instant): OcspAnswer {
  const known = status.status === 'revoked' ? Math.max(at - backdatedMs, status.revokedAt) : at - backdatedMs
  return { ...status, certId: raw, thisUpdate: known, nextUpdate: at + answerLifetimeMs }
}

function ocspContent(body: Uint8Array): HttpResponse {
  return content(200, 'application/ocsp-response', body)
}

/** RFC 5019 6.2: an answer may be kept on the way until it is to be asked for anew; one to a nonce is for its asker alone. */
function cacheable({ response, lastsMs, at }: Answered): HttpResponse {
  const { headers, body } = response
  if (lastsMs === undefined) return { ...response, headers: { ...headers, 'cache-control': 'no-store' } }
  const date = (instant: Instant) => new Date(instant).toUTCString()
  return {
    ...response,
    headers: {
      ...headers,
      'last-modified': date(at),
      expires: date(at + lastsMs),
      etag: `"${fingerprintOf(body)}"`,
      'cache-control': `max-age=${Math.floor(lastsMs / 1000)}, public, no-transform, must-revalidate`,
    },
  }
}
