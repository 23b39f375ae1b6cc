import {
  constructed,
  malformed,
  primitive,
  readBitString,
  readBoolean,
  readChildren,
  readSequence,
  Tag,
  type Tlv,
} from '../../der/index.ts'
import { type GeneralName, readGeneralNameList } from '../certificate-extensions.ts'
import { nameKey, nameKeyBelow } from './names.ts'

/** ReasonFlags (RFC 5280 4.2.1.13) as a mask: bit n of the flags is 2^n; bit 0 has no use. */
export type ReasonMask = number

/** keyCompromise to aACompromise. */
export const allReasons: ReasonMask = 0x1fe

/** Names in comparable form, so that two of them can be compared as strings. */
export interface DistributionPoint {
  readonly names?: readonly string[]
  readonly reasons: ReasonMask
  readonly crlIssuers?: readonly string[]
}

/** What a CRL says of its own scope (RFC 5280 5.2.5). */
export interface IssuingDistributionPoint {
  readonly names?: readonly string[]
  readonly onlyUserCerts: boolean
  readonly onlyCaCerts: boolean
  readonly onlyAttributeCerts: boolean
  readonly reasons: ReasonMask
  readonly indirect: boolean
}

/** The cRLDistributionPoints extension of a certificate issued by `issuer` (Name, DER). */
export function readDistributionPoints(value: Uint8Array, issuer: Uint8Array): readonly DistributionPoint[] {
  return readSequence(value, 'cRLDistributionPoints').map((point) => readDistributionPoint(point, issuer))
}

export function readIssuingDistributionPoint(value: Uint8Array, issuer: Uint8Array): IssuingDistributionPoint {
  const fields = fieldsOf(readSequence(value, 'issuingDistributionPoint'), 'issuingDistributionPoint')
  const point = fields.get(0)
  const reasons = fields.get(3)
  const flag = (n: number) => fields.has(n) && readBoolean({ ...(fields.get(n) as Tlv), tag: Tag.Boolean })
  return {
    ...(point && { names: pointNames(point, issuer) }),
    onlyUserCerts: flag(1),
    onlyCaCerts: flag(2),
    reasons: reasons ? readReasons(reasons) : allReasons,
    indirect: flag(4),
    onlyAttributeCerts: flag(5),
  }
}

/** A GeneralName as a string that equals another's when they name the same thing. */
export function comparableGeneralName(name: GeneralName): string {
  if (name.type === 'directory') return comparableDirectory(name.value)
  return `${name.type}:${typeof name.value === 'string' ? name.value : Buffer.from(name.value).toString('hex')}`
}

/** The same for a Name, DER. */
export function comparableDirectory(name: Uint8Array): string {
  return `directory:${nameKey(name)}`
}

function readDistributionPoint(point: Tlv, certificateIssuer: Uint8Array): DistributionPoint {
  const what = 'cRLDistributionPoints'
  const fields = fieldsOf(readChildren(point.value, what), what)
  const reasons = fields.get(1)
  const issuers = fields.get(2) && readGeneralNameList((fields.get(2) as Tlv).value, what)
  const directory = issuers?.find((name) => name.type === 'directory')
  const names = fields.get(0) && pointNames(fields.get(0) as Tlv, directory?.type === 'directory' ? directory.value : certificateIssuer)
  if (!names && !issuers) malformed(what, 'a point with neither a name nor a cRLIssuer')
  return {
    ...(names && { names }),
    reasons: reasons ? readReasons(reasons) : allReasons,
    ...(issuers && { crlIssuers: issuers.map(comparableGeneralName) }),
  }
}

/** DistributionPointName: whole names, or one relative name below the CRL issuer. */
function pointNames(point: Tlv, issuer: Uint8Array): readonly string[] {
  const [choice] = readChildren(point.value, 'distributionPoint')
  if (choice?.tag === constructed(0)) return readGeneralNameList(choice.value, 'distributionPoint').map(comparableGeneralName)
  if (choice?.tag === constructed(1)) return [`directory:${nameKeyBelow(issuer, choice.value)}`]
  return malformed('distributionPoint', 'it is neither fullName nor nameRelativeToCRLIssuer')
}

function readReasons(flags: Tlv): ReasonMask {
  const { bytes } = readBitString(flags, 'reasons', flags.tag)
  let mask = 0
  for (let bit = 1; bit <= 8; bit++) if (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) mask |= 1 << bit
  return mask
}

/** Context-specific fields by number, each once. */
function fieldsOf(parts: readonly Tlv[], what: string): ReadonlyMap<number, Tlv> {
  const fields = new Map<number, Tlv>()
  for (const part of parts) {
    const n = part.tag & 0x1f
    if ((part.tag !== primitive(n) && part.tag !== constructed(n)) || fields.has(n)) malformed(what, `tag 0x${part.tag.toString(16)}`)
    fields.set(n, part)
  }
  return fields
}
