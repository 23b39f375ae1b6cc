import { constants, createHmac, createPrivateKey, createPublicKey, type KeyObject, privateDecrypt, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError } from '../errors.ts'
import type { KeyHandle, UnwrapPadding } from '../ports.ts'
import type { HashName, KeyProtection, KeySpec } from '../types.ts'
import { unwrapPkcs1 } from './pkcs1-unpad.ts'

const signOnPool = promisify(sign) as (hash: string, data: Uint8Array, key: KeyObject) => Promise<Buffer>

/**
 * A handle on an RSA, P-256 or P-384 private key of this process; any other kind: `ERR_UNSUPPORTED`. Nothing on it gives the key out.
 * `protection` is what the provider that asks has promised: this room's providers alone may say more than `software`.
 */
export function keyHandle(privateKey: KeyObject, label: string, protection: KeyProtection): KeyHandle {
  const spec = specOf(privateKey)
  const publicKey = publicKeyOf(privateKey)
  // RSA signs on the thread pool: a tenth more CPU buys the other cores. An ECDSA signature is cheaper than the way there.
  if (spec.algorithm === 'ec') return { label, spec, protection, publicKey, sign: async (data, hash) => sign(hash, data, privateKey) }
  const key = workingCopy(privateKey)
  return {
    label,
    spec,
    protection,
    publicKey,
    sign: (data, hash: HashName) => signOnPool(hash, data, key()),
    async unwrapKey(wrapped, { padding, lengthBytes }) {
      return padding === 'pkcs1'
        ? unwrapPkcs1(key(), wrapped, lengthBytes, rejectionSecretOf(publicKey))
        : unwrapOaep(key(), wrapped, padding, lengthBytes)
    },
  }
}

/**
 * The key to work with, until the memory is wanted: OpenSSL hangs 5 KiB on an RSA key when it is first used. The one that is kept
 * never is.
 */
function workingCopy(privateKey: KeyObject): () => KeyObject {
  let copy: WeakRef<KeyObject> | undefined
  return () => {
    const known = copy?.deref()
    if (known) return known
    // By JWK: DER would pass OpenSSL's decoders, which take ten times as long.
    const fresh = createPrivateKey({ key: privateKey.export({ format: 'jwk' }), format: 'jwk' })
    copy = new WeakRef(fresh)
    return fresh
  }
}

const processSecret = randomBytes(32)

/** One that nobody else can tell, of this key alone. */
function rejectionSecretOf(publicKey: Uint8Array): Uint8Array {
  return createHmac('sha256', processSecret).update(publicKey).digest()
}

/** SubjectPublicKeyInfo, DER. */
export function publicKeyOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
}

/** What an RSA, P-256 or P-384 key is; any other kind: `ERR_UNSUPPORTED`. */
export function specOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): KeySpec {
  if (type === 'rsa' && details?.modulusLength) return { algorithm: 'rsa', bits: details.modulusLength }
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return { algorithm: 'ec', curve: 'P-256' }
  if (type === 'ec' && details?.namedCurve === 'secp384r1') return { algorithm: 'ec', curve: 'P-384' }
  throw new AgentError(
    'ERR_UNSUPPORTED',
    `a private key of type ${type ?? 'unknown'} ${details?.namedCurve ?? ''}, expected RSA, P-256 or P-384`,
  )
}

function unwrapOaep(key: KeyObject, wrapped: Uint8Array, padding: Exclude<UnwrapPadding, 'pkcs1'>, lengthBytes: number): Uint8Array {
  const unwrapped = tryOaep(key, wrapped, padding === 'oaep-sha1' ? 'sha1' : 'sha256')
  if (unwrapped?.length !== lengthBytes) throw new AgentError('ERR_CMS_DECRYPT', 'the envelope could not be decrypted')
  return unwrapped
}

function tryOaep(key: KeyObject, wrapped: Uint8Array, oaepHash: string): Buffer | undefined {
  try {
    return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, wrapped)
  } catch {
    return undefined
  }
}
