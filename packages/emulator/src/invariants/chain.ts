import { createHash, type KeyObject, verify, X509Certificate } from 'node:crypto'
import { readBitString, readOid, readSequence, type Tlv } from '@certfleet/agent-core/der'
import { formatName, sameName } from '@certfleet/agent-core/pki'

/** Of a certificate, what its place in a chain goes by. */
export interface ReadCertificate {
  readonly raw: Uint8Array
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** Hexadecimal, two digits an octet, no sign octet. */
  readonly serialNumber: string
  /** Names, DER. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly tbs: Uint8Array
  readonly algorithm: string
  readonly signature: Uint8Array
}

/** RFC 5280 4.1, no further than needed: node:crypto would take longer for the whole than for its signature. Fails with `ERR_DER_MALFORMED`. */
export function readCertificate(raw: Uint8Array): ReadCertificate {
  const [tbs, algorithm, signature] = readSequence(raw, 'certificate') as [Tlv, Tlv, Tlv]
  const fields = readSequence(tbs.raw, 'tbsCertificate')
  const [serial, , issuer, , subject, publicKey] = fields.slice(fields[0]?.tag === versionTag ? 1 : 0) as [Tlv, Tlv, Tlv, Tlv, Tlv, Tlv]
  const hex = Buffer.from(serial.value).toString('hex')
  return {
    raw,
    fingerprint: sha256Hex(raw),
    serialNumber: hex.length > 2 && hex.startsWith('00') ? hex.slice(2) : hex,
    issuer: issuer.raw,
    subject: subject.raw,
    publicKey: publicKey.raw,
    tbs: tbs.raw,
    algorithm: readOid(readSequence(algorithm.raw, 'signatureAlgorithm')[0]),
    signature: readBitString(signature, 'signature').bytes,
  }
}

const versionTag = 0xa0
const sha256Hex = (der: Uint8Array): string => createHash('sha256').update(der).digest('hex')

const names = new Map<string, string>()

/** A name as text: few CAs issue for a whole fleet. */
export function nameText(name: Uint8Array): string {
  return remembered(names, keyOf(name), () => formatName(name))
}

/** As text, which costs a quarter of a digest. */
const keyOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

const maxPathLength = 8

/** Whether signatures lead from the first certificate of a chain to one of these roots, by fingerprint; by node:crypto alone. */
export function leadsTo(roots: ReadonlySet<string>, leaf: ReadCertificate, others: readonly Uint8Array[]): boolean {
  const authorities = others.map(authorityOf).filter((authority) => authority !== undefined)
  let reached = [leaf]
  for (let depth = 0; depth < maxPathLength && reached.length > 0; depth++) {
    const issuers = authorities.filter((issuer) => reached.some((certificate) => isIssuedBy(certificate, issuer)))
    if (issuers.some(({ fingerprint }) => roots.has(fingerprint))) return true
    reached = issuers
  }
  return false
}

interface Authority extends ReadCertificate {
  readonly isCa: boolean
  readonly key: KeyObject
}

const known = new Map<string, { readonly authority: Authority | undefined }>()
/** By the fingerprints of both. */
const between = new Map<string, boolean>()

function authorityOf(raw: Uint8Array): Authority | undefined {
  return remembered(known, keyOf(raw), () => ({ authority: unlessRefused(() => readAuthority(raw)) })).authority
}

function readAuthority(raw: Uint8Array): Authority {
  const { ca: isCa, publicKey: key } = new X509Certificate(raw)
  return { ...readCertificate(raw), isCa, key }
}

/** Whatever OpenSSL throws at is no certificate, and nobody's signature. */
function unlessRefused<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}

function isIssuedBy(certificate: ReadCertificate | Authority, issuer: Authority): boolean {
  if (!issuer.isCa || !sameName(certificate.issuer, issuer.subject)) return false
  if (!('key' in certificate)) return isSignedBy(certificate, issuer)
  return remembered(between, `${certificate.fingerprint} ${issuer.fingerprint}`, () => isSignedBy(certificate, issuer))
}

const digests: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.5': 'sha1',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
}

function isSignedBy({ raw, tbs, algorithm, signature }: ReadCertificate, { key }: Authority): boolean {
  const digest = digests[algorithm]
  const isGood = () => (digest === undefined ? new X509Certificate(raw).verify(key) : verify(digest, tbs, key, signature))
  return unlessRefused(isGood) ?? false
}

/** Far more CAs than a fleet meets, unless somebody makes them up. */
const maxRemembered = 1_000

function remembered<T>(known: Map<string, T>, key: string, make: () => T): T {
  const found = known.get(key)
  if (found !== undefined) return found
  const made = make()
  if (known.size >= maxRemembered) known.clear()
  known.set(key, made)
  return made
}
