import { bitString, explicit, integer, sequence, Tag, time, tlv } from '../der/index.ts'
import type { KeyHandle } from '../ports.ts'
import type { HashName, Instant } from '../types.ts'
import { signatureAlgorithm } from './algorithms.ts'
import { type NameInput, nameDer } from './build-certificate.ts'
import { ExtensionOid } from './certificate-extensions.ts'
import { authorityKeyIdentifierExtension, type ExtensionValue, encodeExtensions, keyIdentifierOf } from './extensions.ts'

/** CRLReason (RFC 5280 5.3.1); removeFromCRL is for delta CRLs, which certfleet does not write. */
export const crlReasons = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const

export type CrlReason = keyof typeof crlReasons

export interface RevokedCertificate {
  /** Unsigned big-endian. */
  readonly serialNumber: Uint8Array
  readonly revokedAt: Instant
  readonly reason: CrlReason
}

export interface CrlContents {
  readonly issuer: NameInput
  /** Rises with every CRL of the issuer, 0 to 2^159-1 (RFC 5280 5.2.3). */
  readonly number: number | bigint
  readonly thisUpdate: Instant
  /** When the next one is to be had; a CRL without it could be replayed for ever. */
  readonly nextUpdate: Instant
  readonly entries: readonly RevokedCertificate[]
  /** The issuer's key. */
  readonly signer: KeyHandle
  readonly hash: HashName
}

/** Signs a complete version 2 CRL of everything that its issuer issued, DER (RFC 5280 5.1). */
export async function buildCrl(contents: CrlContents): Promise<Uint8Array> {
  const { issuer, number, thisUpdate, nextUpdate, entries, signer, hash } = contents
  const algorithm = signatureAlgorithm(signer.spec.algorithm, hash)
  const extensions: ExtensionValue[] = [
    authorityKeyIdentifierExtension(keyIdentifierOf(signer.publicKey)),
    { oid: ExtensionOid.CrlNumber, value: integer(number) },
  ]
  const tbs = sequence(
    integer(1),
    algorithm,
    nameDer(issuer),
    time(thisUpdate),
    time(nextUpdate),
    // The list is absent where it would be empty (RFC 5280 5.1.2.6).
    ...(entries.length === 0 ? [] : [sequence(...entries.map(entryDer))]),
    explicit(0, encodeExtensions(extensions)),
  )
  return sequence(tbs, algorithm, bitString(await signer.sign(tbs, hash)))
}

/** RFC 5280 5.3.1: the reason unspecified is not to be written. */
function entryDer({ serialNumber, revokedAt, reason }: RevokedCertificate): Uint8Array {
  const code = tlv(Tag.Enumerated, Uint8Array.of(crlReasons[reason]))
  const extensions = reason === 'unspecified' ? [] : [encodeExtensions([{ oid: ExtensionOid.ReasonCode, value: code }])]
  return sequence(integer(serialNumber), time(revokedAt), ...extensions)
}
