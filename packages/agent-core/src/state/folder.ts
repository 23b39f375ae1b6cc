import { join } from 'node:path'
import { fileKeys } from '../keys/file-vault.ts'
import type { KeySecret } from '../keys/key-secret.ts'
import { keyFolder, keyLock } from '../keys/open.ts'
import { filePolicyCache } from '../policy/cache.ts'
import type { CertificateStores, IdentityStore, KeyStorageProvider, PolicyCache, StateStore } from '../ports.ts'
import { fileIdentities } from '../stores/file-identities.ts'
import { fileStores } from '../stores/file-stores.ts'
import { type Disk, ensureFolder, systemDisk } from './disk.ts'
import { type FileStateOptions, fileState } from './file.ts'
import { type FileLock, lockFile } from './lock.ts'

/** Everything that one agent keeps between two lives of its process. */
export interface StateFolder {
  readonly state: StateStore
  readonly policyCache: PolicyCache
  readonly certificateStores: CertificateStores
  readonly identities: IdentityStore
  /** Software keys in this folder, as `fileKeys` keeps them and under its terms; once. `openKeyStorage` opens storage of another kind here. */
  softwareKeys(secret: KeySecret): Promise<KeyStorageProvider>
  /** Waits for the last change and lets another process have the folder. A change that is asked for afterwards fails with `ERR_STATE_BUSY`. */
  close(): Promise<void>
}

/**
 * One folder for one agent, of mode 700, made where it is missing, in one that exists. After a crash or a power cut anywhere each file in it
 * is as before a change or as after it, and what a call has resolved lasts.
 *
 * One process of the machine at a time: a second is refused with `ERR_STATE_BUSY`; the lock of a process that is gone is taken over. A file
 * that is torn, foreign or of another version is named by `ERR_STATE_INVALID` and left alone. A disk that refuses is `ERR_STATE_IO`, nothing
 * is lost, and the same objects go on once it is well.
 */
export async function openStateFolder(
  folder: string,
  { disk: wholeDisk = systemDisk, lock = lockFile }: FileStateOptions = {},
): Promise<StateFolder> {
  await ensureFolder(wholeDisk, folder)
  const held = await lock(join(folder, 'state.json.lock'))
  const locks = [held]
  const release = async () => {
    for (const one of locks.splice(0).reverse()) await one.release()
  }
  const disk = whileHeld(wholeDisk, held)
  try {
    const state = await fileState(join(folder, 'state.json'), { disk, lock: async () => held })
    const certificateStores = await fileStores(join(folder, 'stores.json'), { disk })
    const identities = await fileIdentities(join(folder, 'identities.json'), { disk })
    return {
      state,
      policyCache: filePolicyCache(join(folder, 'policy'), { disk }),
      certificateStores,
      identities,
      async softwareKeys(secret) {
        await ensureFolder(disk, join(folder, 'keys'))
        locks.push(await lock(keyLock(folder, 'software')))
        return fileKeys(keyFolder(folder, 'software'), { secret, disk })
      },
      async close() {
        await Promise.all([state.load(), certificateStores.list(), identities.list()])
        await release()
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}

/** The disk, for as long as the folder is this process's. */
function whileHeld(disk: Disk, lock: FileLock): Disk {
  const guarded =
    <Arguments extends readonly unknown[], Result>(step: (...args: Arguments) => Promise<Result>) =>
    async (...args: Arguments): Promise<Result> => {
      lock.assertHeld()
      return step(...args)
    }
  return {
    read: guarded((path) => disk.read(path)),
    write: guarded((path, bytes) => disk.write(path, bytes)),
    sync: guarded((path) => disk.sync(path)),
    rename: guarded((from, to) => disk.rename(from, to)),
    syncFolder: guarded((path) => disk.syncFolder(path)),
    makeFolder: guarded((path) => disk.makeFolder(path)),
    list: guarded((folder) => disk.list(folder)),
    remove: guarded((path) => disk.remove(path)),
  }
}
