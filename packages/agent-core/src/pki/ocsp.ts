import {
  constructed,
  expectTag,
  integerBytes,
  malformed,
  readChildren,
  readCount,
  readDer,
  readOctetString,
  readSequence,
  Tag,
  type Tlv,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import type { HashName } from '../types.ts'
import { hashByOid, readAlgorithmIdentifier } from './algorithms.ts'
import { type Extension, readExtensions } from './certificate-extensions.ts'

/** id-pkix-ocsp-nonce. */
export const ocspNonceOid = '1.3.6.1.5.5.7.48.1.2'
/** id-pkix-ocsp-basic. */
export const ocspBasicOid = '1.3.6.1.5.5.7.48.1.1'

/** What one request may ask of the reader. */
export const ocspLimits = { bytes: 16 * 1024, certIds: 64, nonceBytes: 128 } as const

/** Which certificate is meant: by hashes of its issuer's name and key, and its serial number. */
export interface OcspCertId {
  /** The CertID as it was sent, DER; an answer repeats it. */
  readonly raw: Uint8Array
  /** Undefined for a digest that certfleet has no use for: then it names no issuer. */
  readonly hash: HashName | undefined
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
  /** Contents of the INTEGER. */
  readonly serialNumber: Uint8Array
}

export interface OcspRequest {
  /** At least one, at most 64. */
  readonly certIds: readonly OcspCertId[]
  /** 1 to 128 octets (RFC 9654 2.1). */
  readonly nonce?: Uint8Array
}

/**
 * Reads one OCSPRequest, DER (RFC 6960 4.1). A requestor's name and signature may be there and are not looked at (RFC 5019 2.1.2).
 * Fails with `ERR_DER_MALFORMED`, for a critical extension that is unknown too (RFC 6960 4.4), or `ERR_LIMIT_EXCEEDED` above
 * 16 KiB or 64 certificates.
 */
export function parseOcspRequest(der: Uint8Array): OcspRequest {
  if (der.length > ocspLimits.bytes)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `OCSP request of ${der.length} bytes, expected at most ${ocspLimits.bytes}`)
  const [tbs, signature, ...rest] = readSequence(der, 'OCSP request')
  if (rest.length > 0 || (signature && signature.tag !== constructed(0))) malformed('OCSP request', 'values behind its signature')
  const { list, extensions } = readTbs(expectTag(tbs, Tag.Sequence, 'OCSP request body').value)
  const nonce = extensions.get(ocspNonceOid)
  return { certIds: readList(list), ...(nonce && { nonce: readNonce(nonce) }) }
}

function readTbs(contents: Uint8Array): { list: Tlv; extensions: ReadonlyMap<string, Extension> } {
  const parts = readChildren(contents, 'OCSP request body')
  const take = (tag: number) => (parts[0]?.tag === tag ? parts.shift() : undefined)
  const version = take(constructed(0))
  if (version && readCount(readDer(version.value, 'OCSP version'), 'OCSP version') !== 0) malformed('OCSP version', 'it is not v1')
  take(constructed(1))
  const list = expectTag(parts.shift(), Tag.Sequence, 'OCSP request list')
  const extensions = readKnown(take(constructed(2)))
  if (parts.length > 0) malformed('OCSP request body', 'it has more fields than RFC 6960 knows')
  return { list, extensions }
}

function readList(list: Tlv): OcspCertId[] {
  const requests = readChildren(list.value, 'OCSP request list')
  if (requests.length === 0) malformed('OCSP request list', 'it is empty')
  if (requests.length > ocspLimits.certIds)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `OCSP request for ${requests.length} certificates, expected at most ${ocspLimits.certIds}`)
  return requests.map(readSingle)
}

function readSingle(request: Tlv): OcspCertId {
  const what = 'OCSP single request'
  const [certId, extensions, ...rest] = readChildren(expectTag(request, Tag.Sequence, what).value, what)
  if (rest.length > 0) malformed(what, 'values behind its extensions')
  readKnown(extensions && expectTag(extensions, constructed(0), what))
  return readCertId(expectTag(certId, Tag.Sequence, 'CertID'))
}

function readCertId({ raw, value }: Tlv): OcspCertId {
  const [algorithm, name, key, serialNumber, ...rest] = readChildren(value, 'CertID')
  if (rest.length > 0) malformed('CertID', 'values behind the serial number')
  return {
    raw,
    hash: hashByOid(readAlgorithmIdentifier(algorithm, 'CertID digest').oid),
    issuerNameHash: readOctetString(name, 'issuerNameHash'),
    issuerKeyHash: readOctetString(key, 'issuerKeyHash'),
    serialNumber: integerBytes(serialNumber, 'CertID serial number'),
  }
}

/** RFC 6960 4.4: what is unknown is ignored unless it is critical; the nonce alone is known here. */
function readKnown(field: Tlv | undefined): ReadonlyMap<string, Extension> {
  const extensions = readExtensions(field, 'OCSP extensions')
  for (const [type, { critical }] of extensions) {
    if (critical && type !== ocspNonceOid) malformed('OCSP extensions', `${type} is critical and not known`)
  }
  return extensions
}

function readNonce({ value }: Extension): Uint8Array {
  const nonce = readOctetString(readDer(value, 'OCSP nonce'), 'OCSP nonce')
  if (nonce.length === 0 || nonce.length > ocspLimits.nonceBytes) malformed('OCSP nonce', `${nonce.length} octets`)
  return nonce
}
