import {
  constructed,
  expectTag,
  integerBytes,
  malformed,
  primitive,
  readBitString,
  readBoolean,
  readChildren,
  readCount,
  readDer,
  readOctetString,
  readOid,
  readSequence,
  readText,
  Tag,
  type Tlv,
} from '../der/index.ts'

export interface Extension {
  readonly critical: boolean
  /** Contents of extnValue: the extension's own DER. */
  readonly value: Uint8Array
}

const keyUsageBits = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const

/** RFC 5280 4.2.1.3. */
export type KeyUsageBit = (typeof keyUsageBits)[number]

export interface BasicConstraints {
  readonly ca: boolean
  readonly pathLength?: number
}

export interface AuthorityKeyIdentifier {
  readonly keyIdentifier?: Uint8Array
  readonly issuer?: readonly GeneralName[]
  readonly serialNumber?: Uint8Array
}

/** RFC 5280 4.2.1.6. `upn` is the otherName 1.3.6.1.4.1.311.20.2.3; text is unchanged, IP and directory names are their octets. */
export type GeneralName =
  | { readonly type: 'email' | 'dns' | 'uri' | 'upn'; readonly value: string }
  /** In a certificate 4 or 16 octets; in a name constraint twice that, address and mask. */
  | { readonly type: 'ip'; readonly value: Uint8Array }
  /** Name, DER. */
  | { readonly type: 'directory'; readonly value: Uint8Array }
  | { readonly type: 'other'; readonly oid: string; readonly value: Uint8Array }
  | { readonly type: 'registeredId'; readonly value: string }
  | { readonly type: 'x400' | 'ediParty'; readonly value: Uint8Array }

/** The extensions that are decoded with the certificate. */
export interface KnownExtensions {
  readonly keyUsage?: ReadonlySet<KeyUsageBit>
  readonly basicConstraints?: BasicConstraints
  readonly subjectKeyIdentifier?: Uint8Array
  readonly authorityKeyIdentifier?: AuthorityKeyIdentifier
  /** Dotted OIDs. */
  readonly extendedKeyUsage?: readonly string[]
  readonly subjectAltNames?: readonly GeneralName[]
}

export const ExtensionOid = {
  SubjectKeyIdentifier: '2.5.29.14',
  KeyUsage: '2.5.29.15',
  SubjectAltName: '2.5.29.17',
  IssuerAltName: '2.5.29.18',
  BasicConstraints: '2.5.29.19',
  CrlNumber: '2.5.29.20',
  ReasonCode: '2.5.29.21',
  InvalidityDate: '2.5.29.24',
  DeltaCrlIndicator: '2.5.29.27',
  IssuingDistributionPoint: '2.5.29.28',
  CertificateIssuer: '2.5.29.29',
  NameConstraints: '2.5.29.30',
  CrlDistributionPoints: '2.5.29.31',
  CertificatePolicies: '2.5.29.32',
  PolicyMappings: '2.5.29.33',
  AuthorityKeyIdentifier: '2.5.29.35',
  PolicyConstraints: '2.5.29.36',
  ExtendedKeyUsage: '2.5.29.37',
  FreshestCrl: '2.5.29.46',
  InhibitAnyPolicy: '2.5.29.54',
  AuthorityInfoAccess: '1.3.6.1.5.5.7.1.1',
} as const

const upnOid = '1.3.6.1.4.1.311.20.2.3'
const maxGeneralNames = 4096

/** `[n] EXPLICIT Extensions`, or none. Each OID once (RFC 5280 4.2); at least one extension when the field is there. */
export function readExtensions(field: Tlv | undefined, what = 'extensions'): ReadonlyMap<string, Extension> {
  const extensions = new Map<string, Extension>()
  if (field === undefined) return extensions
  for (const tlv of readSequence(field.value, what)) {
    const { oid, extension } = readExtension(tlv, what)
    if (extensions.has(oid)) malformed(what, `${oid} is there twice`)
    extensions.set(oid, extension)
  }
  if (extensions.size === 0) malformed(what, 'the field is there but empty')
  return extensions
}

/** DEFAULT FALSE is not to be encoded (X.690 11.5). */
function readExtension(tlv: Tlv, what: string): { oid: string; extension: Extension } {
  const parts = readChildren(expectTag(tlv, Tag.Sequence, what).value, what)
  const oid = readOid(parts[0], what)
  const critical = parts.length === 3 && readBoolean(parts[1], `${oid} critical`)
  if ((parts.length !== 2 && parts.length !== 3) || (parts.length === 3 && !critical))
    malformed(what, `${oid} is not an OID, critical and a value`)
  return { oid, extension: { critical, value: readOctetString(parts.at(-1), oid) } }
}

/** Decodes those of `extensions` that {@link KnownExtensions} names. */
export function decodeExtensions(extensions: ReadonlyMap<string, Extension>): KnownExtensions {
  const known: { -readonly [K in keyof KnownExtensions]: KnownExtensions[K] } = {}
  for (const [oid, { value }] of extensions) {
    switch (oid) {
      case ExtensionOid.KeyUsage:
        known.keyUsage = readKeyUsage(value)
        break
      case ExtensionOid.BasicConstraints:
        known.basicConstraints = readBasicConstraints(value)
        break
      case ExtensionOid.SubjectKeyIdentifier:
        known.subjectKeyIdentifier = readOctetString(readDer(value, 'subjectKeyIdentifier'), 'subjectKeyIdentifier')
        break
      case ExtensionOid.AuthorityKeyIdentifier:
        known.authorityKeyIdentifier = readAuthorityKeyIdentifier(value)
        break
      case ExtensionOid.ExtendedKeyUsage:
        known.extendedKeyUsage = readExtendedKeyUsage(value)
        break
      case ExtensionOid.SubjectAltName:
        known.subjectAltNames = readGeneralNames(value, 'subjectAltName')
        break
    }
  }
  return known
}

/** RFC 5280 4.2.1.3: at least one bit is set. */
function readKeyUsage(value: Uint8Array): ReadonlySet<KeyUsageBit> {
  const { bytes } = readBitString(readDer(value, 'keyUsage'), 'keyUsage')
  const usages = new Set(keyUsageBits.filter((_, bit) => ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1))
  if (usages.size === 0) malformed('keyUsage', 'no bit is set')
  return usages
}

function readBasicConstraints(value: Uint8Array): BasicConstraints {
  const parts = readSequence(value, 'basicConstraints')
  const ca = parts[0]?.tag === Tag.Boolean && readBoolean(parts.shift(), 'basicConstraints cA')
  if (parts.length > 1) malformed('basicConstraints', 'values behind pathLenConstraint')
  return parts.length === 0 ? { ca } : { ca, pathLength: readCount(parts[0], 'pathLenConstraint') }
}

function readAuthorityKeyIdentifier(value: Uint8Array): AuthorityKeyIdentifier {
  const what = 'authorityKeyIdentifier'
  const identifier: { -readonly [K in keyof AuthorityKeyIdentifier]: AuthorityKeyIdentifier[K] } = {}
  let last = -1
  for (const part of readSequence(value, what)) {
    const field = part.tag & 0x1f
    if (field <= last) malformed(what, 'its fields are out of order')
    last = field
    if (part.tag === primitive(0)) identifier.keyIdentifier = part.value
    else if (part.tag === constructed(1)) identifier.issuer = readGeneralNameList(part.value, what)
    else if (part.tag === primitive(2)) identifier.serialNumber = integerBytes({ ...part, tag: Tag.Integer }, what)
    else malformed(what, `tag 0x${part.tag.toString(16)}`)
  }
  return identifier
}

/** RFC 5280 4.2.1.12: at least one purpose. */
function readExtendedKeyUsage(value: Uint8Array): readonly string[] {
  const purposes = readSequence(value, 'extendedKeyUsage').map((purpose) => readOid(purpose, 'extendedKeyUsage'))
  if (purposes.length === 0) malformed('extendedKeyUsage', 'it is empty')
  return purposes
}

/** GeneralNames: a SEQUENCE of at least one (RFC 5280 4.2.1.6). */
export function readGeneralNames(value: Uint8Array, what: string): readonly GeneralName[] {
  return readGeneralNameList(expectTag(readDer(value, what), Tag.Sequence, what).value, what)
}

/** The same without its outer tag, as IMPLICIT fields hold it. */
export function readGeneralNameList(contents: Uint8Array, what: string): readonly GeneralName[] {
  const names = readChildren(contents, what)
  if (names.length === 0 || names.length > maxGeneralNames) malformed(what, `${names.length} names, expected 1 to ${maxGeneralNames}`)
  return names.map((name) => readGeneralName(name, what))
}

export function readGeneralName(name: Tlv, what: string): GeneralName {
  switch (name.tag) {
    case constructed(0):
      return readOtherName(name.value, what)
    case primitive(1):
      return { type: 'email', value: ia5(name, what) }
    case primitive(2):
      return { type: 'dns', value: ia5(name, what) }
    case constructed(3):
      return { type: 'x400', value: name.value }
    case constructed(4):
      return { type: 'directory', value: expectTag(readDer(name.value, what), Tag.Sequence, what).raw }
    case constructed(5):
      return { type: 'ediParty', value: name.value }
    case primitive(6):
      return { type: 'uri', value: ia5(name, what) }
    case primitive(7):
      return { type: 'ip', value: name.value }
    case primitive(8):
      return { type: 'registeredId', value: readOid({ ...name, tag: Tag.Oid }, what) }
    default:
      return malformed(what, `tag 0x${name.tag.toString(16)} is no name`)
  }
}

function ia5(name: Tlv, what: string): string {
  return readText({ ...name, tag: Tag.Ia5String }, what)
}

function readOtherName(contents: Uint8Array, what: string): GeneralName {
  const [type, wrapped, ...more] = readChildren(contents, what)
  const oid = readOid(type, what)
  const value = readDer(expectTag(wrapped, constructed(0), what).value, what)
  if (more.length > 0) malformed(what, 'values behind an otherName')
  return oid === upnOid && value.tag === Tag.Utf8String
    ? { type: 'upn', value: readText(value, what) }
    : { type: 'other', oid, value: value.raw }
}
