import { constants, createPrivateKey, type KeyObject, privateDecrypt, randomBytes } from 'node:crypto'
import { type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import type { Suite, Verdict } from '../suite.ts'
import { isOneError, openParts } from './envelope.ts'
import { hex, type WycheproofTest, wycheproofSuite } from './wycheproof.ts'

/** The AES keys that an envelope wraps. */
const keyLengths = [16, 24, 32] as const

export const rsaDecryption: readonly Suite[] = ['rsa_pkcs1_2048', 'rsa_pkcs1_3072'].map((algorithm) =>
  wycheproofSuite(algorithm, (group) => {
    const privateKey = createPrivateKey(group.privateKeyPem as string)
    const key = softwareKeyHandle(privateKey, algorithm)
    return (test) => () => (test.result === 'valid' ? opens(key, test) : staysShut(key, privateKey, test))
  }),
)

/** A valid ciphertext opens to its message, and to nothing of it where another length is asked for. */
async function opens(key: KeyHandle, test: WycheproofTest): Promise<Verdict> {
  const message = hex(test.msg)
  const wrapped = hex(test.ct)
  const opened = await unwrap(key, wrapped, message.length)
  for (const length of keyLengths)
    if (length !== message.length && message.subarray(-length).equals(await unwrap(key, wrapped, length))) return 'refuse'
  return message.equals(opened) ? 'accept' : 'refuse'
}

/**
 * An invalid ciphertext gives nothing of what it hides: the unwrapping answers with another key of the length that was asked for, the
 * same one again the next time, and the envelope around it fails with the one error.
 */
async function staysShut(key: KeyHandle, privateKey: KeyObject, test: WycheproofTest): Promise<Verdict> {
  const wrapped = hex(test.ct)
  const encoded = rawDecryption(privateKey, wrapped)
  for (const length of keyLengths) {
    const substitute = await unwrap(key, wrapped, length)
    if (substitute.length !== length || !substitute.equals(await unwrap(key, wrapped, length))) throw new Error('no implicit rejection')
    if (encoded?.subarray(-length).equals(substitute)) return 'accept'
    await assertOneError(key, wrapped, length)
  }
  return 'refuse'
}

/** One wrong key in 256 leaves padding that looks right: such a try tells nothing, and another ciphertext is taken. */
async function assertOneError(key: KeyHandle, wrapped: Uint8Array, keyBytes: number): Promise<void> {
  for (let tries = 0; tries < 8; tries++) {
    try {
      await openParts({ wrappedKey: wrapped, keyBytes, iv: randomBytes(16), encrypted: randomBytes(64) }, key)
    } catch (error) {
      if (isOneError(error)) return
      throw new Error(`another error than the others: ${error}`)
    }
  }
  throw new Error('eight ciphertexts made of chance were decrypted')
}

async function unwrap(key: KeyHandle, wrapped: Uint8Array, lengthBytes: number): Promise<Buffer> {
  return Buffer.from((await key.unwrapKey?.(wrapped, { padding: 'pkcs1', lengthBytes })) as Uint8Array)
}

/** What the ciphertext hides, padding and all; undefined where it is no number below the modulus. */
function rawDecryption(key: KeyObject, wrapped: Uint8Array): Buffer | undefined {
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped)
  } catch {
    return undefined
  }
}
