import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Instant } from '@certfleet/agent-core'
import { z } from 'zod'
import type { Binding, ExpectedRequest } from './records.ts'
import type { ValidationCode } from './validation.ts'

/** What a challenge says to the lab; to a device it is opaque. */
export interface ChallengeContents {
  /** Of the attempt: the same for the same attempt. */
  readonly id: string
  readonly binding: Binding & { readonly attemptId: string }
  /** The exact requests that it is good for, one for each principal that the profile is delivered to. */
  readonly expected: readonly ExpectedRequest[]
  readonly madeAt: Instant
}

export interface ChallengeSeal {
  /** Base64. The same for the same contents. */
  seal(contents: ChallengeContents): string
  /** The contents, or which step failed. The signature is verified before anything is decrypted. */
  open(challenge: string): ChallengeContents | ValidationCode
}

/** Written into every challenge; another number is another lab's. */
const contentsVersion = 1
const ivBytes = 12
const tagBytes = 16
const macBytes = 32
const cipher = 'aes-256-gcm'
const maxContentsBytes = 1024 * 1024
/** Up to here a challenge stays below 2,048 characters as it is; deflating takes longer than all the rest of it. */
const maxPlainBytes = 1024
const deflateOptions = { windowBits: 12, memLevel: 4 }
/** The first octet of the contents tells how the rest is written. */
const written = { plain: 0, deflated: 1 } as const

/**
 * `IV ‖ AES-256-GCM(JSON, deflated where it is long) ‖ tag ‖ HMAC-SHA256`, each under a key of its own from the lab's secret (RFC 5869). The IV is an HMAC of
 * the contents, so that one never stands for two. `generation` names the key that encrypts; the one that signs stays.
 */
export function challengeSeal(secret: Uint8Array, generation: number): ChallengeSeal {
  const keyFor = (purpose: string) => createSecretKey(derivedKey(secret, purpose))
  const encryptionKey = keyFor(`challenge encryption ${generation}`)
  const ivKey = keyFor(`challenge iv ${generation}`)
  const signingKey = keyFor('challenge signature')
  return {
    seal(contents) {
      const plain = writeContents(contents)
      const iv = hmac(ivKey, plain).subarray(0, ivBytes)
      const encryption = createCipheriv(cipher, encryptionKey, iv)
      const sealed = Buffer.concat([iv, encryption.update(plain), encryption.final(), encryption.getAuthTag()])
      return Buffer.concat([sealed, hmac(signingKey, sealed)]).toString('base64')
    },
    open(challenge) {
      const bytes = Buffer.from(challenge, 'base64')
      // Node skips what is not base64; only its own spelling is taken.
      if (bytes.length <= ivBytes + tagBytes + macBytes || bytes.toString('base64') !== challenge) return 'ChallengeDecodingError'
      const [sealed, mac] = [bytes.subarray(0, -macBytes), bytes.subarray(-macBytes)]
      if (!timingSafeEqual(mac, hmac(signingKey, sealed))) return 'SignatureValidationFailed'
      const plain = decrypt(encryptionKey, sealed)
      return plain === undefined ? 'ChallengeDecryptionError' : (readContents(plain) ?? 'ChallengeDeserializationError')
    },
  }
}

export function derivedKey(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(), purpose, 32))
}

function hmac(key: KeyObject, data: Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function decrypt(key: KeyObject, sealed: Buffer): Buffer | undefined {
  const decryption = createDecipheriv(cipher, key, sealed.subarray(0, ivBytes))
  decryption.setAuthTag(sealed.subarray(-tagBytes))
  const plain = decryption.update(sealed.subarray(ivBytes, -tagBytes))
  try {
    decryption.final()
    return plain
  } catch {
    return undefined
  }
}

const text = z.string()
const expectedSchema = z.object({
  subject: text,
  subjectAltNames: z.array(z.object({ type: z.enum(['dns', 'upn', 'email', 'uri']), value: text })),
  keyUsages: z.array(z.enum(['digitalSignature', 'keyEncipherment'])),
  extendedKeyUsages: z.array(text),
  keyBits: z.number(),
  validity: z.object({ value: z.number(), scale: z.enum(['days', 'months', 'years']) }),
  registeredKeys: z.array(text).exactOptional(),
})
const contentsSchema = z.object({
  version: z.literal(contentsVersion),
  id: text,
  binding: z.object({ deviceId: text, profileId: text, attemptId: text, userId: text.exactOptional() }),
  expected: z.array(expectedSchema).min(1),
  madeAt: z.number(),
})

function writeContents(contents: ChallengeContents): Buffer {
  const json = Buffer.from(JSON.stringify({ version: contentsVersion, ...contents }))
  if (json.length <= maxPlainBytes) return Buffer.concat([Buffer.of(written.plain), json])
  return Buffer.concat([Buffer.of(written.deflated), deflateRawSync(json, deflateOptions)])
}

function readContents(plain: Buffer): ChallengeContents | undefined {
  const rest = plain.subarray(1)
  try {
    const json = plain[0] === written.plain ? rest : inflateRawSync(rest, { maxOutputLength: maxContentsBytes })
    return contentsSchema.safeParse(JSON.parse(json.toString())).data
  } catch {
    // Neither deflated nor JSON: another lab's, too.
    return undefined
  }
}
