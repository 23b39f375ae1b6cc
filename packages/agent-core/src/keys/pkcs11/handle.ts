import { createHash, createHmac } from 'node:crypto'
import { integer, nullValue, octetString, oid, sequence } from '../../der/index.ts'
import { digestOids } from '../../pki/algorithms.ts'
import type { KeyHandle } from '../../ports.ts'
import type { HashName, KeyProtection, KeySpec } from '../../types.ts'
import type { TokenFacts } from './facts.ts'
import type { PublicHalf } from './keys.ts'
import type { Ask } from './login.ts'

export interface HandleContext {
  readonly token: string
  readonly namespace: string
  readonly protection: KeyProtection
  readonly pkcs1: TokenFacts['pkcs1']
  /** What the substitutes of keys that cannot be unwrapped are drawn from. */
  readonly secret: Uint8Array
  readonly ask: Ask
}

/** Makes handles on keys of one token. Data is hashed here, so that only digests and short ciphertexts go to the token's thread. */
export function tokenKeyHandle({ token, namespace, protection, pkcs1, secret, ask }: HandleContext) {
  return (label: string, { spec, publicKey }: PublicHalf): KeyHandle => {
    const key = { namespace, label, publicKey }
    const handle: KeyHandle = {
      label,
      spec,
      protection,
      publicKey,
      async sign(data, hash) {
        const signature = await ask('sign', { token, key, digest: signedDigest(spec, data, hash) })
        return spec.algorithm === 'rsa' ? signature : ecdsaDer(signature)
      },
    }
    if (spec.algorithm === 'ec' || pkcs1 === 'never') return handle
    const rejectionSecret = createHmac('sha256', secret).update(publicKey).digest()
    return {
      ...handle,
      // A copy: a message takes along all the memory that a Buffer is a part of.
      unwrapKey: (wrapped, { padding, lengthBytes }) =>
        ask('unwrap', { token, key, request: { wrapped: new Uint8Array(wrapped), padding, lengthBytes, rejectionSecret } }),
    }
  }
}

const orderBytes = { 'P-256': 32, 'P-384': 48 } as const

/** What the token is given: a DigestInfo (RFC 8017 9.2), or the leftmost octets of the digest, as many as the curve's order has (FIPS 186-5 6.4). */
function signedDigest(spec: KeySpec, data: Uint8Array, hash: HashName): Uint8Array {
  const digest = createHash(hash).update(data).digest()
  if (spec.algorithm === 'ec') return digest.subarray(0, orderBytes[spec.curve])
  return sequence(sequence(oid(digestOids[hash]), nullValue), octetString(digest))
}

/** ECDSA-Sig-Value (RFC 5480 appendix A) of r and s of equal length. */
function ecdsaDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2
  return sequence(integer(signature.subarray(0, half)), integer(signature.subarray(half)))
}
