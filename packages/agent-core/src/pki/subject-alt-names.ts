import { constructed, explicit, oid, primitive, sequence, tlv, utf8String } from '../der/index.ts'
import { AgentError } from '../errors.ts'
import type { SubjectAltName } from '../types.ts'
import { type GeneralName, readGeneralNames } from './certificate-extensions.ts'

/** userPrincipalName as an otherName (MS-WCCE; KB258605). */
const upnOid = '1.3.6.1.4.1.311.20.2.3'

const tagByType = { email: primitive(1), dns: primitive(2), uri: primitive(6) } as const

/**
 * GeneralNames, DER, in the order given (RFC 5280 4.2.1.6).
 * An empty value, or one that an IA5String cannot hold: `ERR_PROFILE_INVALID`. A UPN may be any text.
 */
export function encodeSubjectAltNames(names: readonly SubjectAltName[]): Uint8Array {
  return sequence(...names.map(encodeGeneralName))
}

function encodeGeneralName({ type, value }: SubjectAltName): Uint8Array {
  if (value === '' || /\p{Cc}|\p{Cs}/u.test(value))
    throw new AgentError('ERR_PROFILE_INVALID', `the ${type} alternative name is empty or holds a control character`)
  if (type === 'upn') return tlv(constructed(0), oid(upnOid), explicit(0, utf8String(value)))
  if (/[^\x20-\x7e]/.test(value)) throw new AgentError('ERR_PROFILE_INVALID', `the ${type} alternative name takes ASCII characters only`)
  return tlv(tagByType[type], Buffer.from(value, 'latin1'))
}

/** Reads GeneralNames, DER; IP addresses, directory names and the rest come along as octets. Fails with `ERR_DER_MALFORMED`. */
export function decodeSubjectAltNames(der: Uint8Array): readonly GeneralName[] {
  return readGeneralNames(der, 'subjectAltName')
}

/** Those names of a certificate or a request that a profile can ask for. */
export function readSubjectAltNames({ subjectAltNames = [] }: { readonly subjectAltNames?: readonly GeneralName[] }): SubjectAltName[] {
  return subjectAltNames.flatMap((name) =>
    name.type === 'email' || name.type === 'upn' || name.type === 'dns' || name.type === 'uri'
      ? [{ type: name.type, value: name.value }]
      : [],
  )
}
