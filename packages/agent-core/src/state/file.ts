import type { StateStore } from '../ports.ts'
import { type Disk, readState, replaceFile, systemDisk } from './disk.ts'
import { encodeState, parseState } from './document.ts'
import { type FileLock, lockFile } from './lock.ts'
import { emptyState, stateStore } from './store.ts'

export interface FileState extends StateStore {
  /** Waits for the last change and lets another process have the file. Further calls fail with `ERR_STATE_BUSY`. */
  close(): Promise<void>
}

export interface FileStateOptions {
  /** Default: the machine's. */
  readonly disk?: Disk
  /** Takes the lock file at `path`. Default: a file on the machine's disk, whatever `disk` is. */
  readonly lock?: (path: string) => Promise<FileLock>
}

/**
 * State in one JSON file of mode 600, in a folder that exists. It holds no key, challenge or password.
 *
 * One process of the machine at a time: `<path>.lock` holds its pid, and a second is refused with `ERR_STATE_BUSY`; the
 * lock of a process that is gone is taken over. A file that is torn, foreign or of another version is named by
 * `ERR_STATE_INVALID` and left alone. A disk that refuses is `ERR_STATE_IO`, and the state is as before.
 */
export async function fileState(path: string, { disk = systemDisk, lock: take = lockFile }: FileStateOptions = {}): Promise<FileState> {
  const lock = await take(`${path}.lock`)
  try {
    const bytes = await readState(disk, path)
    const initial = bytes === undefined ? emptyState : parseState(bytes, path)
    const store = stateStore(initial, async (state) => {
      lock.assertHeld()
      await replaceFile(disk, path, encodeState(state))
    })
    return {
      ...store,
      async close() {
        await store.load()
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}
