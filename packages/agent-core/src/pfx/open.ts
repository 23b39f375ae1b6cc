import { normaliseBer } from '../der/ber.ts'
import {
  constructed,
  expectTag,
  malformed,
  primitive,
  readChildren,
  readCount,
  readOctetString,
  readOid,
  readSequence,
  Tag,
  type Tlv,
} from '../der/index.ts'
import { type PasswordCipher, type ReadingRules, readPasswordCipher, withDecrypted } from './encryption.ts'
import { asInvalidPfx, exceeded, invalidPfx } from './failures.ts'
import { iterationBudget, pfxLimits } from './limits.ts'
import { verifiedPassword } from './mac.ts'
import { ContentOid } from './oids.ts'
import { type PasswordOctets, spellings, wipePasswords } from './password.ts'
import { type Holdings, importPrivateKey, type PfxCertificate, type PfxKey, readSafeContents, type ShroudedKey } from './safe-contents.ts'

export interface OpenPfxOptions {
  /** The empty text also opens what was made without a password. */
  readonly password: string
  /** Read 3DES and RC2 too: old Windows, Android and Java files. Default false. */
  readonly legacy?: boolean | undefined
  /** Lowers the sums of {@link pfxLimits}, where many files come from strangers. */
  readonly maxIterations?: number | undefined
}

/** What a PFX holds, in its order. Nothing in it is trusted, and no key was compared with a certificate: {@link identityOf} does. */
export interface OpenedPfx {
  readonly keys: readonly PfxKey[]
  readonly certificates: readonly PfxCertificate[]
  /** Types of bags that were passed over: `crlBag`, `secretBag`, `certBag of OID`, or an OID. */
  readonly ignored: readonly string[]
}

/**
 * Opens a PKCS#12 file, DER or BER, in password integrity mode (RFC 7292): PBMAC1 (RFC 9579), or HMAC with SHA-1 or SHA-2;
 * PBES2 with AES-CBC, or unencrypted; the older ciphers by the switch `legacy`. The MAC is asked for, and verified before anything
 * that it covers is read. Private keys leave as KeyObjects only; what they were read from is wiped, the input excepted.
 *
 * A wrong password and whatever else fails in the cryptography: `ERR_PFX_PASSWORD`, one message. Not a PFX of this kind, without a MAC
 * or by public keys: `ERR_PFX_INVALID`. An algorithm without support, or without its switch: `ERR_ALGORITHM_REFUSED`.
 * Beyond {@link pfxLimits}: `ERR_LIMIT_EXCEEDED`, before the work.
 */
export async function openPfx(bytes: Uint8Array, { password, legacy = false, maxIterations }: OpenPfxOptions): Promise<OpenedPfx> {
  if (bytes.length > pfxLimits.bytes) exceeded(`${bytes.length} bytes`, pfxLimits.bytes)
  const passwords = spellings(password)
  try {
    return await openWith(bytes, passwords, { legacy, budget: iterationBudget(maxIterations) })
  } catch (error) {
    throw asInvalidPfx(error)
  } finally {
    wipePasswords(passwords)
  }
}

async function openWith(bytes: Uint8Array, passwords: readonly PasswordOctets[], rules: ReadingRules): Promise<OpenedPfx> {
  const { content, macData } = readPfx(bytes)
  const password = await verifiedPassword(macData, content, passwords, rules.budget)
  const holdings: Holdings = { keys: [], certificates: [], ignored: [], bags: 0 }
  // Every part that can be read is read before the first is decrypted, so that the sum of what they ask for is known.
  const sealed = readAuthenticatedSafe(content, holdings, rules)
  for (const { cipher, encrypted } of sealed)
    await withDecrypted(cipher, encrypted, password, (plain) => readSafeContents(plain, holdings, rules))
  const keys: PfxKey[] = []
  for (const key of holdings.keys) keys.push('cipher' in key ? await unshrouded(key, password) : key)
  return { keys, certificates: holdings.certificates, ignored: holdings.ignored }
}

/** PFX (RFC 7292 4): the AuthenticatedSafe as the MAC covers it, and MacData. */
function readPfx(bytes: Uint8Array): { content: Uint8Array; macData: Tlv } {
  const [version, authSafe, macData, ...more] = readSequence(normaliseBer(bytes, 'PFX'), 'PFX')
  if (readCount(version, 'PFX version') !== 3) invalidPfx('is not of version 3')
  const { type, content } = readContent(authSafe)
  if (type !== ContentOid.Data) invalidPfx(`is protected by content type ${type}, expected a password`)
  if (macData === undefined) invalidPfx('has no MAC, so that nothing shows who made it')
  if (more.length > 0) malformed('PFX', 'values behind the MAC')
  return { content: readOctetString(content, 'AuthenticatedSafe'), macData }
}

interface Sealed {
  readonly cipher: PasswordCipher
  readonly encrypted: Uint8Array
}

/** Reads the parts that are not encrypted and returns the others, paid for. */
function readAuthenticatedSafe(bytes: Uint8Array, holdings: Holdings, rules: ReadingRules): readonly Sealed[] {
  const contents = readSequence(normaliseBer(bytes, 'AuthenticatedSafe'), 'AuthenticatedSafe')
  if (contents.length > pfxLimits.contents) exceeded(`${contents.length} parts`, pfxLimits.contents)
  const sealed: Sealed[] = []
  for (const part of contents) {
    const { type, content } = readContent(part)
    if (type === ContentOid.EncryptedData) sealed.push(readEncryptedData(content, rules))
    else if (type !== ContentOid.Data) invalidPfx(`has a part of content type ${type}, expected data or encrypted data`)
    else readSafeContents(normaliseBer(readOctetString(content, 'SafeContents'), 'SafeContents'), holdings, rules)
  }
  return sealed
}

/** ContentInfo (RFC 5652 3). */
function readContent(info: Tlv | undefined): { type: string; content: Tlv } {
  const [type, wrapped, ...rest] = readChildren(expectTag(info, Tag.Sequence, 'ContentInfo').value, 'ContentInfo')
  const dotted = readOid(type, 'content type')
  const [content, ...more] = readChildren(expectTag(wrapped, constructed(0), 'content').value, 'content')
  if (content === undefined || rest.length > 0 || more.length > 0) malformed('ContentInfo', 'it is not one content with its type')
  return { type: dotted, content }
}

/** EncryptedData (RFC 5652 8) over id-data. */
function readEncryptedData(content: Tlv, rules: ReadingRules): Sealed {
  const [version, info] = readChildren(expectTag(content, Tag.Sequence, 'EncryptedData').value, 'EncryptedData')
  readCount(version, 'EncryptedData version')
  const [type, algorithm, encrypted, ...more] = readChildren(expectTag(info, Tag.Sequence, 'EncryptedData').value, 'EncryptedData')
  if (readOid(type, 'encrypted content type') !== ContentOid.Data) malformed('EncryptedData', 'it does not hold data')
  if (more.length > 0) malformed('EncryptedData', 'values behind the content')
  return { cipher: readPasswordCipher(algorithm, 'content', rules), encrypted: readEncrypted(encrypted) }
}

/** `[0] IMPLICIT OCTET STRING`; BER may send it in segments, which the context tag hides from the normaliser. */
function readEncrypted(content: Tlv | undefined): Uint8Array {
  if (content?.tag === primitive(0)) return content.value
  const segments = readChildren(expectTag(content, constructed(0), 'encrypted content').value, 'encrypted content')
  return Buffer.concat(segments.map((segment) => readOctetString(segment, 'encrypted content')))
}

async function unshrouded({ cipher, encrypted, ...names }: ShroudedKey, password: PasswordOctets): Promise<PfxKey> {
  return { privateKey: await withDecrypted(cipher, encrypted, password, importPrivateKey), ...names }
}
