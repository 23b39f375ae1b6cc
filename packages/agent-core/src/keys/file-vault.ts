import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import type { KeyStorageProvider } from '../ports.ts'
import { type Disk, ensureFolder, listFolder, readState, removeFiles, replaceFile, systemDisk } from '../state/disk.ts'
import { base64, encodeDocument, invalid, parseDocument, refused } from './key-documents.ts'
import { publicKeyOf, specOf } from './key-handle.ts'
import { assertKeySecret, type KeySecret, kdfSchema, keyEncryptionKey, newKdf } from './key-secret.ts'
import { seal, secretKeyOf, unseal } from './sealed.ts'
import { softwareKeys } from './software.ts'
import { isKeyFile, type KeyDocument, keyFileOf, readKeyDocument, removeStoredKey, storedKeys } from './stored-keys.ts'
import { assertKeyLabel, isKeyLabel, type KeyVault, keyExists } from './vault.ts'

export interface FileKeysOptions {
  /** What the folder was made with; what it is made with when it is new. */
  readonly secret: KeySecret
  /** Default: the machine's. */
  readonly disk?: Disk
}

const storageDocument = {
  name: 'a key storage',
  kind: 'certfleet-key-storage',
  version: 1,
  schema: z.strictObject({
    kind: z.literal('certfleet-key-storage'),
    version: z.literal(1),
    kdf: kdfSchema,
    nonce: base64(12),
    sealed: base64(),
  }),
} as const

/** The software KSP on disk (S29): `softwareKeys` over `fileVault`, under its terms. */
export async function fileKeys(folder: string, options: FileKeysOptions): Promise<KeyStorageProvider> {
  return softwareKeys(await fileVault(folder, options))
}

/**
 * Keys in a folder: one file a key, PKCS#8 in AES-256-GCM under the folder's master key, which `storage.json` holds under the secret.
 * What a file says in the clear is bound to its key. Folder of mode 700, made where it is missing, in one that exists; files of mode 600.
 * After a crash anywhere each key is there whole or not at all.
 *
 * The secret is verified here. A wrong one, and whatever was changed since it was written, is `ERR_KEY_SECRET_REFUSED`, for every cause
 * alike; a file that is torn, foreign or of another version is `ERR_STATE_INVALID`. Both name the file and leave it as it is.
 * A disk that refuses is `ERR_STATE_IO`. A secret that cannot be one: `ERR_UNSUPPORTED`.
 *
 * One vault a folder at a time, in one process: the lock of the agent's state keeps others out. `storedKeys` and `removeStoredKey` need none.
 */
export async function fileVault(folder: string, { secret, disk = systemDisk }: FileKeysOptions): Promise<KeyVault> {
  assertKeySecret(secret)
  const master = (await openMaster(disk, folder, secret)) ?? (await createMaster(disk, folder, secret))
  await settleFolder(disk, folder)
  const inTurn = oneAfterAnother()
  return {
    medium: 'disk',
    list: async () => (await storedKeys(folder, disk)).map(({ label }) => label),
    async load(label) {
      const document = isKeyLabel(label) ? await readKeyDocument(disk, folder, keyFileOf(label)) : undefined
      return document && openKey(master, document, join(folder, keyFileOf(label)))
    },
    async store(label, privateKey) {
      assertKeyLabel(label)
      const document = sealKey(master, label, privateKey)
      return inTurn(() => writeKey(disk, folder, document))
    },
    remove: (label) => inTurn(() => removeStoredKey(folder, label, disk)),
  }
}

/**
 * Removes every key of a folder and what their secret opened, without it: the next vault there is a new one, under any secret.
 * A crash on the way leaves fewer keys, under the old secret. No such folder is not an error. A disk that refuses: `ERR_STATE_IO`.
 */
export async function clearVault(folder: string, disk: Disk = systemDisk): Promise<void> {
  const names = await listFolder(disk, folder)
  if (names === undefined) return
  // The storage goes last: keys without it would be listed and never load.
  await removeFiles(
    disk,
    folder,
    names.filter((name) => isKeyFile(name) || isUnfinished(name)),
  )
  await removeFiles(disk, folder, [storageName])
}

const storageName = 'storage.json'
const storageFileOf = (folder: string): string => join(folder, storageName)
const isUnfinished = (name: string): boolean => name.endsWith('.tmp') && isKeyFile(name.slice(0, -'.tmp'.length))

async function openMaster(disk: Disk, folder: string, secret: KeySecret): Promise<KeyObject | undefined> {
  const file = storageFileOf(folder)
  const bytes = await readState(disk, file)
  if (bytes === undefined) return undefined
  const document = parseDocument(bytes, file, storageDocument)
  const wrapping = await keyEncryptionKey(secret, document.kdf)
  const master = wrapping && unseal(wrapping, document)
  if (master === undefined) throw refused(file)
  return secretKeyOf(master)
}

async function createMaster(disk: Disk, folder: string, secret: KeySecret): Promise<KeyObject> {
  const file = storageFileOf(folder)
  if ((await listFolder(disk, folder))?.some(isKeyFile)) throw invalid(file, storageDocument.name, 'it is gone, and keys are there')
  const kdf = newKdf(secret)
  const wrapping = (await keyEncryptionKey(secret, kdf)) as KeyObject
  const master = randomBytes(32)
  const document = seal(wrapping, master, { kind: storageDocument.kind, version: storageDocument.version, kdf })
  const key = secretKeyOf(master)
  await ensureFolder(disk, folder)
  await replaceFile(disk, file, encodeDocument(document))
  return key
}

/** A crash can leave a key that was not in place yet, whose label is no one's, and a name that would not outlive the next power cut. */
async function settleFolder(disk: Disk, folder: string): Promise<void> {
  const names = (await listFolder(disk, folder)) ?? []
  await removeFiles(disk, folder, names.filter(isUnfinished))
}

async function writeKey(disk: Disk, folder: string, document: KeyDocument): Promise<void> {
  const file = join(folder, keyFileOf(document.label))
  if ((await readState(disk, file)) !== undefined) throw keyExists(document.label)
  try {
    await replaceFile(disk, file, encodeDocument(document))
  } catch (error) {
    // A key whose maker heard of a failure would hold its label; where the disk refuses this too, it is there whole or not at all.
    await removeStoredKey(folder, document.label, disk).catch(() => undefined)
    throw error
  }
}

/** Two steps on one file would undo each other. */
function oneAfterAnother(): (step: () => Promise<void>) => Promise<void> {
  let last = Promise.resolve()
  return (step) => {
    const turn = last.then(step)
    last = turn.catch(() => undefined)
    return turn
  }
}

function sealKey(master: KeyObject, label: string, privateKey: KeyObject): KeyDocument {
  const publicKey = publicKeyOf(privateKey).toString('base64')
  const header = { kind: 'certfleet-key', version: 1, label, spec: specOf(privateKey), publicKey } as const
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const document = seal(master, pkcs8, header)
  pkcs8.fill(0)
  return document
}

function openKey(master: KeyObject, document: KeyDocument, file: string): KeyObject {
  const pkcs8 = unseal(master, document)
  if (pkcs8 === undefined) throw refused(file)
  try {
    const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    if (publicKeyOf(privateKey).toString('base64') !== document.publicKey) throw refused(file)
    return privateKey
  } finally {
    pkcs8.fill(0)
  }
}
