import { createSecretKey, type KeyObject, randomBytes, scrypt } from 'node:crypto'
import { z } from 'zod'
import { AgentError } from '../errors.ts'
import { base64 } from './key-documents.ts'
import { secretKeyOf } from './sealed.ts'

/**
 * What opens a folder of keys: a passphrase, not empty, or 32 octets of the embedder's own.
 * Passphrases that look alike are alike: they are compared in Unicode form NFC, as UTF-8 (RFC 8265 4.2.2). A string cannot be wiped from
 * memory; a key can, by whom it belongs to, once the folder is open.
 */
export type KeySecret = { readonly passphrase: string } | { readonly key: Uint8Array }

/** 128 MiB and about a third of a second: what OWASP's Password Storage Cheat Sheet asks of scrypt at least. */
const scryptCost = { N: 2 ** 17, r: 8, p: 1 } as const

/** The file's figures are used before the file is known to be ours: at most 256 MiB and sixteen times our own work. */
const costsAllowed = { N: [2 ** 14, 2 ** 18], r: [8, 8], p: [1, 8] } as const

/** How the secret became the key-encryption key: not at all, or by scrypt (RFC 7914). */
export const kdfSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('none') }),
  z.strictObject({
    name: z.literal('scrypt'),
    N: z
      .int()
      .min(costsAllowed.N[0])
      .max(costsAllowed.N[1])
      .refine((n) => Number.isInteger(Math.log2(n))),
    r: z.int().min(costsAllowed.r[0]).max(costsAllowed.r[1]),
    p: z.int().min(costsAllowed.p[0]).max(costsAllowed.p[1]),
    salt: base64(16),
  }),
])

export type Kdf = z.output<typeof kdfSchema>

/** Throws `ERR_UNSUPPORTED` for an empty passphrase and for a key that has not 32 octets. */
export function assertKeySecret(secret: KeySecret): void {
  if ('passphrase' in secret) {
    if (secret.passphrase === '') throw new AgentError('ERR_UNSUPPORTED', 'the passphrase of a key storage is empty')
  } else if (secret.key.length !== 32) {
    throw new AgentError('ERR_UNSUPPORTED', `the key of a key storage has ${secret.key.length} octets, expected 32`)
  }
}

export function newKdf(secret: KeySecret): Kdf {
  if ('key' in secret) return { name: 'none' }
  return { name: 'scrypt', ...scryptCost, salt: randomBytes(16).toString('base64') }
}

/** The key-encryption key; `undefined` where a passphrase was given for a key or the other way round. scrypt runs on the thread pool. */
export async function keyEncryptionKey(secret: KeySecret, kdf: Kdf): Promise<KeyObject | undefined> {
  if ('key' in secret) return kdf.name === 'none' ? createSecretKey(secret.key) : undefined
  if (kdf.name === 'none') return undefined
  const passphrase = Buffer.from(secret.passphrase.normalize('NFC'))
  try {
    return secretKeyOf(await deriveOnPool(passphrase, kdf))
  } finally {
    passphrase.fill(0)
  }
}

function deriveOnPool(passphrase: Buffer, { N, r, p, salt }: Extract<Kdf, { name: 'scrypt' }>): Promise<Buffer> {
  // OpenSSL counts a little more than the 128 * N * r octets of RFC 7914 section 2 against the limit.
  const options = { N, r, p, maxmem: 256 * N * r }
  return new Promise((resolve, reject) => {
    scrypt(passphrase, Buffer.from(salt, 'base64'), 32, options, (error, key) => (error ? reject(error) : resolve(key)))
  })
}
