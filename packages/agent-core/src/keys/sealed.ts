import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'

const algorithm = 'aes-256-gcm'
const authTagLength = 16

/** What a document carries beside its readable members. Base64. */
export interface Sealed {
  readonly nonce: string
  /** Ciphertext, then the tag. */
  readonly sealed: string
}

/**
 * The header with `plain` sealed to it: AES-256-GCM under a fresh 96-bit random nonce (NIST SP 800-38D 8.2.2: for up to 2^32 calls a key).
 * The header is bound as it is, member order and all.
 */
export function seal<Header extends object>(key: KeyObject, plain: Uint8Array, header: Header): Header & Sealed {
  const nonce = randomBytes(12)
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength }).setAAD(boundBytes(header))
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return { ...header, nonce: nonce.toString('base64'), sealed: sealed.toString('base64') }
}

/** What was sealed, for the caller to wipe; `undefined` for another key or when anything was changed, never which. */
export function unseal(key: KeyObject, { nonce, sealed, ...header }: Sealed): Buffer | undefined {
  const bytes = Buffer.from(sealed, 'base64')
  if (bytes.length < authTagLength) return undefined
  const decipher = createDecipheriv(algorithm, key, Buffer.from(nonce, 'base64'), { authTagLength })
  decipher.setAAD(boundBytes(header)).setAuthTag(bytes.subarray(-authTagLength))
  const plain = decipher.update(bytes.subarray(0, -authTagLength))
  try {
    decipher.final()
    return plain
  } catch {
    plain.fill(0)
    return undefined
  }
}

/** Takes the bytes over: they are wiped. */
export function secretKeyOf(bytes: Buffer): KeyObject {
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

const boundBytes = (header: object): Buffer => Buffer.from(JSON.stringify(header))
