import { createHash, type KeyObject, randomBytes } from 'node:crypto'
import { type Kdf, type KeySecret, keyEncryptionKey, newKdf } from '../key-secret.ts'
import { type Sealed, seal, unseal } from '../sealed.ts'

/** The secret of a container, locked with its PIN: AES-256-GCM under a key made of the PIN. */
export interface SealedSecret extends Sealed {
  readonly kdf: Kdf
}

export interface Owner {
  readonly user: string
  /** Empty where the policy names none. */
  readonly containerName: string
}

/** How a PIN becomes a key. */
export type PinSecret = (pin: string) => KeySecret

/** For a container on disk. Six digits keep no one long who has copied the file, as no TPM counts the tries there; scrypt makes it hours. */
export const slowPin: PinSecret = (pin) => ({ passphrase: pin })

/**
 * For a container in memory. What could read the sealed secret there could read the keys beside it, so scrypt would cost a fleet a third
 * of a second a device and protect nothing.
 */
export const quickPin: PinSecret = (pin) => ({ key: createHash('sha256').update(pin.normalize('NFC')).digest() })

export const newSecret = (): Buffer => randomBytes(32)

export async function sealSecret(secret: Uint8Array, pin: KeySecret, { user, containerName }: Owner): Promise<SealedSecret> {
  const kdf = newKdf(pin)
  const key = (await keyEncryptionKey(pin, kdf)) as KeyObject
  const { nonce, sealed } = seal(key, secret, { user, containerName, kdf })
  return { kdf, nonce, sealed }
}

/** The secret, or undefined where the PIN is another one. What tells is the tag, which OpenSSL compares in constant time. */
export async function unsealSecret(sealed: SealedSecret, pin: KeySecret, { user, containerName }: Owner): Promise<Buffer | undefined> {
  const key = await keyEncryptionKey(pin, sealed.kdf)
  const document = { user, containerName, ...sealed }
  return key && unseal(key, document)
}
