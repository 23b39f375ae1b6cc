import {
  constructed,
  expectTag,
  integerBytes,
  malformed,
  readBitString,
  readChildren,
  readCount,
  readDer,
  readInteger,
  readOid,
  readSequence,
  readTime,
  Tag,
  type Tlv,
} from '../../der/index.ts'
import { AgentError } from '../../errors.ts'
import type { Instant } from '../../types.ts'
import type { AlgorithmIdentifier } from '../certificate.ts'
import { type Extension, ExtensionOid, readExtensions, readGeneralNames } from '../certificate-extensions.ts'
import { comparableDirectory, type IssuingDistributionPoint, readIssuingDistributionPoint } from './distribution-points.ts'

/** A CRL as RFC 5280 section 5 shapes it. Nothing in it is trusted until its signature and its signer are checked. */
export interface CertificateRevocationList {
  readonly raw: Uint8Array
  readonly tbs: Uint8Array
  /** Name, DER. */
  readonly issuer: Uint8Array
  readonly thisUpdate: Instant
  readonly nextUpdate: Instant | undefined
  readonly signatureAlgorithm: AlgorithmIdentifier
  readonly signature: Uint8Array
  readonly number: bigint | undefined
  /** Only in a delta CRL: the number of the complete CRL that it builds on. */
  readonly deltaBase: bigint | undefined
  readonly issuingDistributionPoint: IssuingDistributionPoint | undefined
  readonly extensions: ReadonlyMap<string, Extension>
  /** False for version 1, and where a critical extension of the list or of an entry is not understood (RFC 5280 5.2, 5.3). */
  readonly usable: boolean
  /** CRLReason by certificate: see {@link entryKey}. */
  readonly entries: ReadonlyMap<string, number>
}

const maxCrlBytes = 16 * 1024 * 1024
const maxCrlEntries = 100_000
const understoodExtensions: ReadonlySet<string> = new Set([ExtensionOid.IssuingDistributionPoint, ExtensionOid.DeltaCrlIndicator])
const understoodEntryExtensions: ReadonlySet<string> = new Set([
  ExtensionOid.ReasonCode,
  ExtensionOid.CertificateIssuer,
  ExtensionOid.InvalidityDate,
])

/** What an entry is found by: the serial number's contents and the name of the CA that issued the certificate. */
export function entryKey(issuer: string, serialNumber: Uint8Array): string {
  return `${Buffer.from(serialNumber).toString('hex')} ${issuer}`
}

/** Reads one DER CRL. Fails with `ERR_DER_MALFORMED`, or `ERR_LIMIT_EXCEEDED` above 16 MiB. */
export function parseCrl(der: Uint8Array): CertificateRevocationList {
  if (der.length > maxCrlBytes) throw new AgentError('ERR_LIMIT_EXCEEDED', `CRL of ${der.length} bytes, expected at most ${maxCrlBytes}`)
  const [tbs, algorithm, signature, ...rest] = readSequence(der, 'CRL')
  const { innerAlgorithm, ...fields } = readTbs(expectTag(tbs, Tag.Sequence, 'tbsCertList'))
  if (rest.length > 0) malformed('CRL', 'values behind the signature')
  const outer = expectTag(algorithm, Tag.Sequence, 'CRL signature algorithm')
  if (Buffer.compare(innerAlgorithm.raw, outer.raw) !== 0) malformed('CRL', 'its two signature algorithms differ')
  const [oid, parameters] = readChildren(outer.value, 'CRL signature algorithm')
  return {
    raw: der,
    tbs: (tbs as Tlv).raw,
    ...fields,
    signatureAlgorithm: { oid: readOid(oid), ...(parameters && { parameters: parameters.raw }) },
    signature: readBitString(signature, 'CRL signature').bytes,
  }
}

function readTbs(tbs: Tlv) {
  const parts = readChildren(tbs.value, 'tbsCertList')
  const take = (wanted: (tag: number) => boolean) => (parts[0] && wanted(parts[0].tag) ? parts.shift() : undefined)
  const version = take((tag) => tag === Tag.Integer)
  if (version && readCount(version, 'CRL version') !== 1) malformed('CRL version', 'it is not v2')
  const innerAlgorithm = expectTag(parts.shift(), Tag.Sequence, 'CRL signature algorithm')
  const issuer = expectTag(parts.shift(), Tag.Sequence, 'CRL issuer').raw
  const thisUpdate = readTime(parts.shift(), 'thisUpdate')
  const next = take((tag) => tag === Tag.UtcTime || tag === Tag.GeneralizedTime)
  const revoked = take((tag) => tag === Tag.Sequence)
  const extensions = readExtensions(
    take((tag) => tag === constructed(0)),
    'crlExtensions',
  )
  if (parts.length > 0) malformed('tbsCertList', 'values behind its extensions')
  const { entries, understood } = readEntries(revoked, issuer)
  const usable = version !== undefined && understood && !hasUnknownCritical(extensions, understoodExtensions)
  return {
    innerAlgorithm,
    issuer,
    thisUpdate,
    nextUpdate: next && readTime(next, 'nextUpdate'),
    extensions,
    entries,
    usable,
    ...readScope(extensions, issuer),
  }
}

function readScope(extensions: ReadonlyMap<string, Extension>, issuer: Uint8Array) {
  const number = extensions.get(ExtensionOid.CrlNumber)
  const delta = extensions.get(ExtensionOid.DeltaCrlIndicator)
  const point = extensions.get(ExtensionOid.IssuingDistributionPoint)
  return {
    number: number && readInteger(readDer(number.value, 'cRLNumber'), 'cRLNumber'),
    deltaBase: delta && readInteger(readDer(delta.value, 'deltaCRLIndicator'), 'deltaCRLIndicator'),
    issuingDistributionPoint: point && readIssuingDistributionPoint(point.value, issuer),
  }
}

/** RFC 5280 5.3.3: a certificateIssuer holds for the entries behind it too, until the next one. */
function readEntries(revoked: Tlv | undefined, crlIssuer: Uint8Array) {
  const entries = new Map<string, number>()
  let issuer = comparableDirectory(crlIssuer)
  let understood = true
  for (const tlv of revoked ? readChildren(revoked.value, 'revokedCertificates', maxCrlEntries) : []) {
    const entry = readEntry(tlv)
    issuer = entry.issuer ?? issuer
    understood &&= entry.understood
    entries.set(entryKey(issuer, entry.serialNumber), entry.reason)
  }
  return { entries, understood }
}

function readEntry(tlv: Tlv) {
  const [serial, date, list, ...more] = readChildren(expectTag(tlv, Tag.Sequence, 'CRL entry').value, 'CRL entry')
  if (more.length > 0) malformed('CRL entry', 'values behind its extensions')
  readTime(date, 'revocationDate')
  const extensions = list
    ? readExtensions({ ...list, value: expectTag(list, Tag.Sequence, 'crlEntryExtensions').raw }, 'crlEntryExtensions')
    : new Map<string, Extension>()
  const reason = extensions.get(ExtensionOid.ReasonCode)
  const issuer = extensions.get(ExtensionOid.CertificateIssuer)
  const directory = issuer && readGeneralNames(issuer.value, 'certificateIssuer').find((name) => name.type === 'directory')
  return {
    serialNumber: integerBytes(serial, 'CRL entry serial number'),
    reason: reason ? readReason(reason.value) : 0,
    issuer: directory?.type === 'directory' ? comparableDirectory(directory.value) : undefined,
    understood: !hasUnknownCritical(extensions, understoodEntryExtensions),
  }
}

function readReason(value: Uint8Array): number {
  const tlv = expectTag(readDer(value, 'reasonCode'), Tag.Enumerated, 'reasonCode')
  return readCount({ ...tlv, tag: Tag.Integer }, 'reasonCode')
}

function hasUnknownCritical(extensions: ReadonlyMap<string, Extension>, understood: ReadonlySet<string>): boolean {
  return [...extensions].some(([oid, { critical }]) => critical && !understood.has(oid))
}
