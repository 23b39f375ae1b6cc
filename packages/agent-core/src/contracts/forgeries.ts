import { constants, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto'

/** A ciphertext that carries no key, with the octets at the end of what it decrypts to. */
export interface Forged {
  readonly wrapped: Uint8Array
  readonly tail: Buffer
}

interface Forgery {
  readonly name: string
  /** The octets before encryption; they are `block` octets and good until changed. */
  spoil?(block: Buffer, keyAt: number): void
  /** What becomes of the ciphertext. */
  cut?(wrapped: Buffer, modulus: Buffer): Buffer
}

/** RFC 8017 7.2.2, broken at each of its conditions. */
export const forgeries: readonly Forgery[] = [
  { name: 'first octet not 0', spoil: (block) => block.fill(1, 0, 1) },
  { name: 'block type 1', spoil: (block) => block.fill(1, 1, 2) },
  { name: 'no 0 before the key', spoil: (block, keyAt) => block.fill(7, keyAt - 1, keyAt) },
  { name: 'a 0 among the first eight octets of the padding', spoil: (block) => block.fill(0, 5, 6) },
  { name: 'a 0 at the end of the padding', spoil: (block, keyAt) => block.fill(0, keyAt - 2, keyAt - 1) },
  { name: 'the 0 one octet late', spoil: (block, keyAt) => block.fill(7, keyAt - 1, keyAt).fill(0, keyAt, keyAt + 1) },
  { name: 'no 0 at all', spoil: (block, keyAt) => block.fill(7, keyAt - 1) },
  { name: 'no padding', spoil: (block) => block.fill(randomBytes(block.length), 1).fill(9, 1, 2) },
  { name: 'all zero', spoil: (block) => block.fill(0) },
  { name: 'one octet short', cut: (wrapped) => wrapped.subarray(1) },
  { name: 'one octet long', cut: (wrapped) => Buffer.concat([Buffer.of(0), wrapped]) },
  { name: 'empty', cut: () => Buffer.alloc(0) },
  { name: 'twice as long', cut: (wrapped) => Buffer.concat([wrapped, wrapped]) },
  { name: 'the modulus itself', cut: (_wrapped, modulus) => modulus },
  { name: 'above the modulus', cut: (wrapped) => wrapped.fill(0xff) },
]

export function forge(name: string, publicKey: KeyObject, cek: Uint8Array): Forged {
  const forgery = forgeries.find((candidate) => candidate.name === name)
  const modulus = Buffer.from(publicKey.export({ format: 'jwk' }).n as string, 'base64url')
  const keyAt = modulus.length - cek.length
  const block = padded(cek, keyAt)
  forgery?.spoil?.(block, keyAt)
  const wrapped = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block)
  return { wrapped: forgery?.cut?.(wrapped, modulus) ?? wrapped, tail: block.subarray(keyAt) }
}

/** 00 02, octets that are not zero, 00, the key. */
function padded(cek: Uint8Array, keyAt: number): Buffer {
  const padding = randomBytes(keyAt - 3).map((octet) => octet || 1)
  return Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), cek])
}
