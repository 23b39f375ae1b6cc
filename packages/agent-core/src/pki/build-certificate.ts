import { bitString, explicit, integer, sequence, time } from '../der/index.ts'
import type { KeyHandle } from '../ports.ts'
import type { HashName, Instant } from '../types.ts'
import { signatureAlgorithm } from './algorithms.ts'
import { type ExtensionValue, encodeExtensions } from './extensions.ts'
import { encodeName, parseDistinguishedName, type Rdn } from './names.ts'

export interface CertificateContents {
  /** Unsigned big-endian, 1 to 20 octets, not zero. */
  readonly serialNumber: Uint8Array
  readonly issuer: NameInput
  readonly subject: NameInput
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly notBefore: Instant
  readonly notAfter: Instant
  readonly extensions: readonly ExtensionValue[]
  /** The issuer's key. */
  readonly signer: KeyHandle
  readonly hash: HashName
}

/** Name, DER, taken as it is; or relative names; or a profile's text. */
export type NameInput = Uint8Array | readonly Rdn[] | string

const version3 = explicit(0, integer(2))

/** Signs an X.509 v3 certificate, DER (RFC 5280 4.1). What goes into it is the caller's to judge. */
export async function buildCertificate(contents: CertificateContents): Promise<Uint8Array> {
  const { serialNumber, issuer, subject, publicKey, notBefore, notAfter, extensions, signer, hash } = contents
  const algorithm = signatureAlgorithm(signer.spec.algorithm, hash)
  const tbs = sequence(
    version3,
    integer(serialNumber),
    algorithm,
    nameDer(issuer),
    sequence(time(notBefore), time(notAfter)),
    nameDer(subject),
    publicKey,
    ...(extensions.length === 0 ? [] : [explicit(3, encodeExtensions(extensions))]),
  )
  return sequence(tbs, algorithm, bitString(await signer.sign(tbs, hash)))
}

/** Name, DER. Text that is no name: `ERR_PROFILE_INVALID`. */
export function nameDer(name: NameInput): Uint8Array {
  if (name instanceof Uint8Array) return name
  return encodeName(typeof name === 'string' ? parseDistinguishedName(name) : name)
}
