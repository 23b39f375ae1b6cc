import { constants, createHmac, type KeyObject, privateDecrypt } from 'node:crypto'

/**
 * Unwraps a key of `lengthBytes` from RSAES-PKCS1-v1_5 (RFC 8017 7.2.2) with implicit rejection: padding, length or ciphertext
 * that is not right gives a pseudo-random key of that length, never an error, the same one whenever the same ciphertext comes again.
 * `rejectionSecret` makes that key unpredictable; it is as secret as the private key and belongs to it alone.
 *
 * Node 20 refuses this padding (CVE-2023-46809) and Node 22 has an implicit rejection of its own that gives another length,
 * so both do the raw RSA operation only and the padding is read here. Work and branches depend on lengths, never on decrypted bytes.
 */
export function unwrapPkcs1(key: KeyObject, wrapped: Uint8Array, lengthBytes: number, rejectionSecret: Uint8Array): Uint8Array {
  const substitute = rejectionKey(wrapped, lengthBytes, rejectionSecret)
  const encoded = rawDecrypt(key, wrapped)
  if (encoded === undefined || encoded.length < lengthBytes + 11) return substitute
  const start = encoded.length - lengthBytes
  const accepted = paddingMask(encoded, start)
  for (let i = 0; i < lengthBytes; i++) {
    substitute[i] = ((encoded[start + i] as number) & accepted) | ((substitute[i] as number) & ~accepted)
  }
  encoded.fill(0)
  return substitute
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

function rejectionKey(wrapped: Uint8Array, lengthBytes: number, secret: Uint8Array): Buffer {
  const blocks: Buffer[] = []
  for (let counter = 0; counter * 32 < lengthBytes; counter++) {
    blocks.push(
      createHmac('sha256', secret)
        .update(Uint8Array.of(counter, lengthBytes >> 8, lengthBytes))
        .update(wrapped)
        .digest(),
    )
  }
  return Buffer.concat(blocks, lengthBytes)
}
