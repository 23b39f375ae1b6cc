import { type KeyObject, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeDocument } from '#agent-core/keys/key-documents.ts'
import { type Kdf, keyEncryptionKey } from '#agent-core/keys/key-secret.ts'
import { keyFolder } from '#agent-core/keys/open.ts'
import type { Owner } from '#agent-core/keys/passport/pin.ts'
import { diskRecord } from '#agent-core/keys/passport/record.ts'
import { seal } from '#agent-core/keys/sealed.ts'
import { systemDisk } from '#agent-core/state/disk.ts'

/**
 * A key folder of an earlier process, without a key, under the cheapest scrypt that its file may name: a fortieth of a second rather than
 * the third that a new folder costs at each opening. For tests in which the secret is not being chosen.
 */
export async function softwareFolderBefore(folder: string, passphrase: string): Promise<void> {
  const kdf = cheapest()
  const master = seal(await keyOf(passphrase, kdf), randomBytes(32), { kind: 'certfleet-key-storage', version: 1, kdf })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, 'storage.json'), encodeDocument(master), { mode: 0o600 })
}

/** The same with the PIN of a Passport container, which has no key yet. */
export async function passportFolderBefore(folder: string, pin: string, owner: Owner): Promise<void> {
  const kdf = cheapest()
  const { nonce, sealed } = seal(await keyOf(pin, kdf), randomBytes(32), { ...owner, kdf })
  const news = { hasPayload: false, hasMultiFactor: false, wrongPins: 0, lockouts: 0, lockedUntil: 0 }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  await diskRecord(owner, join(folder, 'container.json'), systemDisk).save({ ...owner, ...news, secret: { kdf, nonce, sealed } })
}

/** What `openKeyStorage` finds for `owner` in an agent's folder. A TPM has no secret, and needs nothing. */
export async function keysBefore(folder: string, kind: 'software' | 'tpm' | 'passport', secret: string, owner = 'user'): Promise<void> {
  const place = keyFolder(folder, kind)
  if (kind === 'software') await softwareFolderBefore(place, secret)
  if (kind === 'passport') await passportFolderBefore(place, secret, { user: owner, containerName: 'certfleet' })
}

const cheapest = (): Kdf => ({ name: 'scrypt', N: 2 ** 14, r: 8, p: 1, salt: randomBytes(16).toString('base64') })

async function keyOf(passphrase: string, kdf: Kdf): Promise<KeyObject> {
  return (await keyEncryptionKey({ passphrase }, kdf)) as KeyObject
}
