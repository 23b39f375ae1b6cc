import { type FileHandle, mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AgentError } from '../errors.ts'

/** The few steps by which files are kept. Nothing lasts over a power cut before its sync. Errors are the system's. */
export interface Disk {
  /** `undefined` where there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>
  /** Creates or empties a file that only its owner may read and write (mode 600), and writes it. */
  write(path: string, bytes: Uint8Array): Promise<void>
  sync(path: string): Promise<void>
  /** Replaces `to` in one step. */
  rename(from: string, to: string): Promise<void>
  /** Makes the names in a folder last, and that names are gone from it. */
  syncFolder(path: string): Promise<void>
  /** A folder that only its owner may enter (mode 700), in one that exists. One that is there stays as it is. */
  makeFolder(path: string): Promise<void>
  /** Names, without the folder's. `undefined` where there is no such folder. */
  list(folder: string): Promise<readonly string[] | undefined>
  /** Removing a file that is not there is not an error. */
  remove(path: string): Promise<void>
}

export const systemDisk: Disk = {
  read: (path) => readFile(path).catch(undefinedWhere(['ENOENT'])),
  write: (path, bytes) => withFile(path, 'w', (file) => file.chmod(0o600).then(() => file.writeFile(bytes))),
  sync: (path) => withFile(path, 'r+', (file) => file.sync()),
  rename,
  // Windows opens no folder and needs no sync: NTFS journals the rename.
  syncFolder: (path) => withFile(path, 'r', (file) => file.sync()).catch(undefinedWhere(['EPERM', 'EISDIR'])),
  makeFolder: (path) => mkdir(path, 0o700).catch(undefinedWhere(['EEXIST'])),
  list: (folder) => readdir(folder).catch(undefinedWhere(['ENOENT'])),
  remove: (path) => unlink(path).catch(undefinedWhere(['ENOENT'])),
}

async function withFile(path: string, flags: string, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags, 0o600)
  try {
    await use(file)
  } finally {
    await file.close()
  }
}

function undefinedWhere(codes: readonly string[]) {
  return (error: NodeJS.ErrnoException): undefined => {
    if (!codes.includes(error.code ?? '')) throw error
  }
}

/**
 * The file's bytes, or `undefined` where there is none.
 * A disk that refuses is `ERR_STATE_IO`: it may be had at another time.
 */
export async function readState(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  return disk.read(path).catch((error) => diskRefused('read', path, error))
}

/**
 * Replaces the file: after a crash anywhere it holds the old bytes or the new ones, and once this resolves the new ones.
 * The new bytes are written beside it first, as `<path>.tmp`. A disk that refuses (full, read-only) is `ERR_STATE_IO`.
 */
export async function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`
  try {
    await disk.write(temporary, bytes)
    await disk.sync(temporary)
    await disk.rename(temporary, path)
    await disk.syncFolder(dirname(path))
  } catch (error) {
    diskRefused('written', path, error)
  }
}

/** The names in a folder, or `undefined` where there is none. A disk that refuses is `ERR_STATE_IO`. */
export async function listFolder(disk: Disk, folder: string): Promise<readonly string[] | undefined> {
  return disk.list(folder).catch((error) => diskRefused('listed', folder, error))
}

/** Makes the folder (mode 700) unless it is there; it lasts once this resolves. A disk that refuses is `ERR_STATE_IO`. */
export async function ensureFolder(disk: Disk, folder: string): Promise<void> {
  try {
    await disk.makeFolder(folder)
    await disk.syncFolder(dirname(folder))
  } catch (error) {
    diskRefused('made', folder, error)
  }
}

/** Removes the files of one folder that are there; they are gone for good once this resolves. A disk that refuses is `ERR_STATE_IO`. */
export async function removeFiles(disk: Disk, folder: string, names: readonly string[]): Promise<void> {
  try {
    for (const name of names) await disk.remove(join(folder, name))
    await disk.syncFolder(folder)
  } catch (error) {
    diskRefused('changed', folder, error)
  }
}

/** Throws `ERR_STATE_IO` for an error of the system (it carries a code), and any other error as it is. */
export function diskRefused(what: string, path: string, error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  if (code === undefined || error instanceof AgentError) throw error
  throw new AgentError('ERR_STATE_IO', `${path} cannot be ${what} now (${code})`, { cause: error })
}
