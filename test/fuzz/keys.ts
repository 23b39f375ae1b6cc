import { checkPrimeSync, constants, createHash, createPrivateKey, type KeyObject, privateDecrypt, sign } from 'node:crypto'
import { AgentError, type HashName, type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import { unwrapPkcs1 } from '#agent-core/keys/pkcs1-unpad.ts'

/** A key whose every operation can be repeated octet for octet, in any process. */
export interface FuzzKey {
  readonly privateKey: KeyObject
  readonly handle: KeyHandle
  /** RSASSA-PKCS1-v1_5. */
  sign(data: Uint8Array, hash?: HashName): Uint8Array
}

const bits = 1024
const exponent = 65_537n

/** The RSA-1024 key of that name, always the same one: what is fuzzed is not its strength. */
export function fuzzKey(name: string): FuzzKey {
  const privateKey = rsaKey(prime(`${name} p`), prime(`${name} q`))
  const signNow = (data: Uint8Array, hash: HashName = 'sha256'): Uint8Array => sign(hash, data, privateKey)
  const handle: KeyHandle = {
    ...softwareKeyHandle(privateKey, name),
    sign: async (data, hash) => signNow(data, hash),
    unwrapKey: async (wrapped, { padding, lengthBytes }) =>
      padding === 'pkcs1'
        ? unwrapPkcs1(privateKey, wrapped, lengthBytes, Buffer.from(name))
        : unwrapOaep(privateKey, wrapped, padding === 'oaep-sha1' ? 'sha1' : 'sha256', lengthBytes),
  }
  return { privateKey, handle, sign: signNow }
}

function unwrapOaep(key: KeyObject, wrapped: Uint8Array, oaepHash: string, lengthBytes: number): Uint8Array {
  try {
    const unwrapped = privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, wrapped)
    if (unwrapped.length === lengthBytes) return unwrapped
  } catch {
    // The same error as below, which is all that a caller may learn.
  }
  throw new AgentError('ERR_CMS_DECRYPT', 'the envelope could not be decrypted')
}

/** The first prime of the name's stream with its two highest bits set, that leaves `exponent` invertible. */
function prime(name: string): bigint {
  for (let counter = 0; ; counter++) {
    const digest = createHash('sha512').update(`${name} ${counter}`).digest()
    digest[0] = (digest[0] as number) | 0xc0
    digest[63] = (digest[63] as number) | 1
    const candidate = BigInt(`0x${digest.toString('hex')}`)
    if (candidate % exponent !== 1n && checkPrimeSync(candidate)) return candidate
  }
}

function rsaKey(p: bigint, q: bigint): KeyObject {
  const d = inverse(exponent, (p - 1n) * (q - 1n))
  const numbers = { n: p * q, e: exponent, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const members = Object.entries(numbers).map(([name, value]) => [name, base64url(value, name)])
  return createPrivateKey({ key: { kty: 'RSA', ...Object.fromEntries(members) }, format: 'jwk' })
}

function base64url(value: bigint, name: string): string {
  const octets = name === 'e' ? 3 : name === 'n' || name === 'd' ? bits / 8 : bits / 16
  return Buffer.from(value.toString(16).padStart(octets * 2, '0'), 'hex').toString('base64url')
}

/** Extended Euclid. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n]
  while (b > 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y]
  return ((x % modulus) + modulus) % modulus
}
