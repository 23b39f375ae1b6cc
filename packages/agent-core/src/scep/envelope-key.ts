import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { softwareKeyHandle } from '../keys/software.ts'
import type { KeyHandle } from '../ports.ts'

const generatePair = promisify(generateKeyPair)
const standIns = new WeakMap<KeyHandle, Promise<KeyHandle>>()

/**
 * The key that signs a SCEP message for `key` and decrypts the answer: the key itself, or, where it cannot decrypt (EC), a throwaway
 * RSA-2048 key, made on the thread pool and kept nowhere (RFC 8894 2.3 wants a key that signs and decrypts).
 *
 * One handle has one stand-in, so that a CertPoll comes from the signer of its request, which servers may insist on.
 * A process that was restarted has another: a server that insists then answers badCertId.
 */
export function envelopeKeyFor(key: KeyHandle): Promise<KeyHandle> {
  if (key.unwrapKey) return Promise.resolve(key)
  const known = standIns.get(key)
  if (known) return known
  const made = generatePair('rsa', { modulusLength: 2048 }).then(({ privateKey }) => softwareKeyHandle(privateKey, `${key.label} envelope`))
  standIns.set(key, made)
  // A key that could not be made is made anew the next time.
  made.catch(() => standIns.delete(key))
  return made
}
