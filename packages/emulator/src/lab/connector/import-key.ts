import { constants, createPrivateKey, createPublicKey, privateDecrypt, publicEncrypt } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import { sha256Hex } from '../digest.ts'
import type { MakeRsaKey } from '../rsa-keys.ts'
import type { LabStore } from '../store.ts'
import type { ImportKeyRecord, PaddingScheme } from './records.ts'

/** The connector's key for the passwords of imported files, as an importer has to know it. */
export interface ImportKey {
  readonly providerName: string
  readonly keyName: string
  /** RSA, SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
}

export interface OpenedImportKey extends ImportKey {
  /** The password; undefined whatever keeps it from being read. */
  decrypt(encrypted: Uint8Array, padding: PaddingScheme): string | undefined
}

const recordKey = 'connector'
const providerName = 'certfleet lab connector'
const hashes: Readonly<Record<PaddingScheme, string>> = { oaepSha256: 'sha256', oaepSha512: 'sha512' }

/** The key in the store, RSA-2048, made there at its first use. */
export async function openImportKey(store: LabStore, makeKey: MakeRsaKey): Promise<OpenedImportKey> {
  if (store.get('importKeys', recordKey) === undefined) {
    const pkcs8 = (await makeKey(2048)).export({ format: 'der', type: 'pkcs8' })
    await store.transaction((tx) => {
      if (tx.get('importKeys', recordKey) === undefined) tx.put('importKeys', recordKey, { privateKey: pkcs8 })
    })
  }
  const { privateKey } = store.get('importKeys', recordKey) as ImportKeyRecord
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return {
    providerName,
    keyName: `pfx-import-${sha256Hex(publicKey).slice(0, 16)}`,
    publicKey,
    decrypt(encrypted, padding) {
      try {
        return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(privateDecrypt(rsa(key, padding), encrypted))
      } catch {
        return undefined
      }
    },
  }
}

/**
 * What an importer does with a password: UTF-8 of 126 octets at most with `oaepSha512`, 190 with `oaepSha256`. A longer one, or a key that is
 * not RSA: `ERR_UNSUPPORTED`.
 */
export function encryptPfxPassword(
  password: string,
  { publicKey }: Pick<ImportKey, 'publicKey'>,
  padding: PaddingScheme = 'oaepSha512',
): Uint8Array {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    return publicEncrypt(rsa(key, padding), Buffer.from(password))
  } catch (cause) {
    throw new AgentError('ERR_UNSUPPORTED', "the password cannot be encrypted to the connector's key", { cause })
  }
}

function rsa(key: ReturnType<typeof createPublicKey>, padding: PaddingScheme) {
  return { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashes[padding] }
}
