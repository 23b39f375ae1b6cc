import { equal, fail, match, ok } from 'node:assert/strict'
import { constants, createPublicKey, type KeyObject, publicEncrypt, verify } from 'node:crypto'
import { AgentError, type AgentErrorCode } from '../errors.ts'
import type { KeyHandle } from '../ports.ts'
import type { HashName } from '../types.ts'

/** Asserts that `doing` rejects with an `AgentError` of `code`, where one is given, and a message that people can read. */
export async function failsWith(code: AgentErrorCode | undefined, doing: Promise<unknown>, what: string): Promise<AgentError> {
  const error = await doing.then(
    () => fail(`${what}: nothing failed, expected ${code ?? 'an AgentError'}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof AgentError)) throw new Error(`${what}: failed with something else than an AgentError`, { cause: error })
  if (code !== undefined) equal(error.code, code, `${what}: the code (${error.message})`)
  match(error.message, /^[^\n]{4,}$/, `${what}: the message`)
  return error
}

export function publicKeyOf({ publicKey }: Pick<KeyHandle, 'publicKey'>): KeyObject {
  return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
}

/** Asserts that `key` signs `data`, judged by node:crypto. */
export async function signsWith(key: KeyHandle, data: Uint8Array, hash: HashName, what: string): Promise<void> {
  const signature = await key.sign(data, hash)
  ok(signature instanceof Uint8Array, `${what}: a signature is a Uint8Array`)
  ok(verify(hash, data, publicKeyOf(key), signature), `${what}: the signature does not verify with the public key`)
}

/** A digest that the key signs with. */
export const hashOf = ({ hashes }: Pick<KeyHandle, 'hashes'>): HashName => hashes?.[0] ?? 'sha256'

/** RSAES-PKCS1-v1_5. */
export function wrapFor(key: KeyHandle, secret: Uint8Array): Buffer {
  return publicEncrypt({ key: publicKeyOf(key), padding: constants.RSA_PKCS1_PADDING }, secret)
}
