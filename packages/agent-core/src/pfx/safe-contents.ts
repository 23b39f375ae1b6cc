import { createPrivateKey, type KeyObject } from 'node:crypto'
import {
  constructed,
  expectTag,
  malformed,
  readChildren,
  readOctetString,
  readOid,
  readSequence,
  readText,
  Tag,
  type Tlv,
} from '../der/index.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { type PasswordCipher, type ReadingRules, readPasswordCipher } from './encryption.ts'
import { exceeded, invalidPfx } from './failures.ts'
import { pfxLimits } from './limits.ts'
import { BagOid, FriendlyNameOid, LocalKeyIdOid, X509CertificateOid } from './oids.ts'

/** What a bag says about what is in it. */
export interface BagNames {
  readonly friendlyName?: string
  /** Ties a key to its certificate; octets that mean nothing else. */
  readonly localKeyId?: Uint8Array
}

export interface PfxKey extends BagNames {
  readonly privateKey: KeyObject
}

export interface PfxCertificate extends BagNames {
  readonly der: Uint8Array
}

/** A key that is encrypted, read and paid for. */
export interface ShroudedKey extends BagNames {
  readonly cipher: PasswordCipher
  readonly encrypted: Uint8Array
}

/** What the bags held, in their order. Nothing in it is a view of what was read: that may be wiped. */
export interface Holdings {
  readonly keys: (PfxKey | ShroudedKey)[]
  readonly certificates: PfxCertificate[]
  /** Types of bags that were passed over. */
  readonly ignored: string[]
  bags: number
}

/** Adds the bags of one SafeContents, DER (RFC 7292 4.2), to `holdings`. */
export function readSafeContents(bytes: Uint8Array, holdings: Holdings, rules: ReadingRules, depth = 1): void {
  if (depth > pfxLimits.depth) exceeded(`bags ${depth} levels deep`, pfxLimits.depth)
  for (const bag of readSequence(bytes, 'SafeContents')) {
    if (++holdings.bags > pfxLimits.bags) exceeded(`${holdings.bags} bags`, pfxLimits.bags)
    readBag(bag, holdings, rules, depth)
  }
}

function readBag(bag: Tlv, holdings: Holdings, rules: ReadingRules, depth: number): void {
  const [type, wrapped, attributes, ...more] = readChildren(expectTag(bag, Tag.Sequence, 'bag').value, 'bag')
  const dotted = readOid(type, 'bag type')
  if (more.length > 0) malformed('bag', 'values behind the attributes')
  const { raw } = onlyChild(expectTag(wrapped, constructed(0), 'bag'), 'bag')
  const names = readNames(attributes)
  if (dotted === BagOid.SafeContents) readSafeContents(raw, holdings, rules, depth + 1)
  else if (dotted === BagOid.Key) holdings.keys.push({ privateKey: importPrivateKey(raw), ...names })
  else if (dotted === BagOid.ShroudedKey) holdings.keys.push({ ...readShrouded(raw, rules), ...names })
  else if (dotted === BagOid.Certificate) addCertificate(raw, names, holdings)
  else holdings.ignored.push(bagNames.get(dotted) ?? dotted)
}

const bagNames: ReadonlyMap<string, string> = new Map([
  [BagOid.Crl, 'crlBag'],
  [BagOid.Secret, 'secretBag'],
])

/** The caller wipes what it was read from. Why the runtime refuses a key stays here: its words are about the key. */
export function importPrivateKey(pkcs8: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(pkcs8.buffer, pkcs8.byteOffset, pkcs8.length), format: 'der', type: 'pkcs8' })
  } catch {
    return invalidPfx('holds a private key that cannot be used')
  }
}

/** EncryptedPrivateKeyInfo (RFC 5958 3). */
function readShrouded(bytes: Uint8Array, rules: ReadingRules): ShroudedKey {
  const [algorithm, encrypted, ...more] = readSequence(bytes, 'EncryptedPrivateKeyInfo')
  if (more.length > 0) malformed('EncryptedPrivateKeyInfo', 'values behind the key')
  const cipher = readPasswordCipher(algorithm, 'private key', rules)
  return { cipher, encrypted: Uint8Array.from(readOctetString(encrypted, 'encrypted private key')) }
}

function addCertificate(bytes: Uint8Array, names: BagNames, { certificates, ignored }: Holdings): void {
  const [type, wrapped, ...more] = readSequence(bytes, 'certBag')
  const dotted = readOid(type, 'certificate type')
  if (dotted !== X509CertificateOid) {
    ignored.push(`certBag of ${dotted}`)
    return
  }
  if (more.length > 0) malformed('certBag', 'values behind the certificate')
  if (certificates.length === pfxLimits.certificates) exceeded(`more than ${pfxLimits.certificates} certificates`, pfxLimits.certificates)
  const der = Uint8Array.from(readOctetString(onlyChild(expectTag(wrapped, constructed(0), 'certBag'), 'certBag'), 'certBag'))
  parseCertificate(der)
  certificates.push({ der, ...names })
}

/** RFC 7292 4.2: any attributes; these two are read, and neither comes twice. */
function readNames(attributes: Tlv | undefined): BagNames {
  const values = new Map<string, Tlv>()
  for (const attribute of attributes === undefined ? [] : readChildren(expectTag(attributes, Tag.Set, 'bag attributes').value)) {
    const [type, set, ...more] = readChildren(expectTag(attribute, Tag.Sequence, 'bag attribute').value, 'bag attribute')
    const dotted = readOid(type, 'bag attribute type')
    if (more.length > 0) malformed('bag attribute', 'values behind its set')
    const of = expectTag(set, Tag.Set, 'bag attribute')
    if (dotted !== FriendlyNameOid && dotted !== LocalKeyIdOid) continue
    if (values.has(dotted)) malformed('bag attributes', `${dotted} comes twice`)
    values.set(dotted, onlyChild(of, 'bag attribute'))
  }
  const name = values.get(FriendlyNameOid)
  const id = values.get(LocalKeyIdOid)
  return {
    ...(name && { friendlyName: readText(expectTag(name, Tag.BmpString, 'friendlyName'), 'friendlyName') }),
    ...(id && { localKeyId: Uint8Array.from(readOctetString(id, 'localKeyId')) }),
  }
}

function onlyChild(parent: Tlv, what: string): Tlv {
  const children = readChildren(parent.value, what)
  if (children.length !== 1) malformed(what, `${children.length} values where one was expected`)
  return children[0] as Tlv
}
