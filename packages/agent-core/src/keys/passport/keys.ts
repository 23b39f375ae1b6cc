import type { Disk } from '../../state/disk.ts'
import { clearVault, fileVault } from '../file-vault.ts'
import { publicKeyOf } from '../key-handle.ts'
import { keyFileOf, readKeyDocument, removeStoredKey, storedKeys } from '../stored-keys.ts'
import { isKeyLabel, type KeyVault, memoryVault } from '../vault.ts'

/** The keys of one container: what is seen of them without a gesture, and the vault behind it. */
export interface ContainerKeys {
  list(): Promise<readonly string[]>
  /** SubjectPublicKeyInfo, DER; undefined where there is no such key. */
  publicKey(label: string): Promise<Uint8Array | undefined>
  remove(label: string): Promise<void>
  /** Destroys every key, and what the old secret opened with them. */
  clear(): Promise<void>
  vault(secret: Uint8Array): Promise<KeyVault>
}

export function memoryKeys(): ContainerKeys {
  let vault = memoryVault()
  return {
    list: () => vault.list(),
    async publicKey(label) {
      const key = await vault.load(label)
      return key && publicKeyOf(key)
    },
    remove: (label) => vault.remove(label),
    async clear() {
      vault = memoryVault()
    },
    vault: async () => vault,
  }
}

export function folderKeys(folder: string, disk: Disk): ContainerKeys {
  return {
    list: async () => (await storedKeys(folder, disk)).map(({ label }) => label),
    async publicKey(label) {
      const document = isKeyLabel(label) ? await readKeyDocument(disk, folder, keyFileOf(label)) : undefined
      return document && Buffer.from(document.publicKey, 'base64')
    },
    remove: (label) => removeStoredKey(folder, label, disk),
    clear: () => clearVault(folder, disk),
    vault: (secret) => fileVault(folder, { secret: { key: secret }, disk }),
  }
}
