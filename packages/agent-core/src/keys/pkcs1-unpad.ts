import { constants, createHmac, type KeyObject, privateDecrypt } from 'node:crypto'

/** What is to be unwrapped, and from what the substitute is drawn when it cannot be. */
export interface Pkcs1Wrapped {
  readonly wrapped: Uint8Array
  readonly lengthBytes: number
  /** Makes substitutes unpredictable; it is as secret as the private key and belongs to it alone. */
  readonly rejectionSecret: Uint8Array
}

/**
 * Unwraps a key of `lengthBytes` from RSAES-PKCS1-v1_5 (RFC 8017 7.2.2) with implicit rejection: padding, length or ciphertext
 * that is not right gives a pseudo-random key of that length, never an error, the same one whenever the same ciphertext comes again.
 * `rejectionSecret` makes that key unpredictable; it is as secret as the private key and belongs to it alone.
 *
 * Node 20 refuses this padding (CVE-2023-46809) and Node 22 has an implicit rejection of its own that gives another length,
 * so both do the raw RSA operation only and the padding is read here.
 */
export function unwrapPkcs1(key: KeyObject, wrapped: Uint8Array, lengthBytes: number, rejectionSecret: Uint8Array): Uint8Array {
  return unpadPkcs1(rawDecrypt(key, wrapped), { wrapped, lengthBytes, rejectionSecret })
}

/**
 * Reads the padding of what the raw RSA operation gave, as long as the modulus; undefined where the ciphertext was none. The answer is
 * that of `unwrapPkcs1`, and `encoded` is overwritten. Work and branches depend on lengths, never on decrypted bytes.
 */
export function unpadPkcs1(encoded: Uint8Array | undefined, expected: Pkcs1Wrapped): Uint8Array {
  const substitute = pkcs1Substitute(expected)
  const { lengthBytes } = expected
  if (encoded === undefined || encoded.length < lengthBytes + 11) return substitute
  const start = encoded.length - lengthBytes
  const accepted = paddingMask(encoded, start)
  for (let i = 0; i < lengthBytes; i++) {
    substitute[i] = ((encoded[start + i] as number) & accepted) | ((substitute[i] as number) & ~accepted)
  }
  encoded.fill(0)
  return substitute
}

/** What comes in place of a key that cannot be unwrapped. */
export function pkcs1Substitute({ wrapped, lengthBytes, rejectionSecret }: Pkcs1Wrapped): Uint8Array {
  const blocks: Buffer[] = []
  for (let counter = 0; counter * 32 < lengthBytes; counter++) {
    blocks.push(
      createHmac('sha256', rejectionSecret)
        .update(Uint8Array.of(counter, lengthBytes >> 8, lengthBytes))
        .update(wrapped)
        .digest(),
    )
  }
  return Buffer.concat(blocks, lengthBytes)
}

/** Undefined where the ciphertext itself, which everyone can see, is no number below the modulus with as many octets. */
function rawDecrypt(key: KeyObject, wrapped: Uint8Array): Buffer | undefined {
  if (wrapped.length !== ((key.asymmetricKeyDetails?.modulusLength as number) + 7) >> 3) return undefined
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped)
  } catch {
    return undefined
  }
}

/** 0xff when `encoded` is 00 02, octets that are not zero, and 00 just before `start`; otherwise 0. */
function paddingMask(encoded: Uint8Array, start: number): number {
  let wrong = (encoded[0] as number) | ((encoded[1] as number) ^ 2) | (encoded[start - 1] as number)
  for (let i = 2; i < start - 1; i++) wrong |= (((encoded[i] as number) - 1) >> 8) & 0xff
  return ((wrong - 1) >> 8) & 0xff
}
