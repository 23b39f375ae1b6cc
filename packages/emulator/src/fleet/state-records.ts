import { join } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { AgentError } from '@certfleet/agent-core'
import { open } from 'lmdb'
import type { RunManifest } from './state-manifest.ts'

/** What devices keep: octets, by device and name. */
export interface DeviceRecords {
  get(device: string, name: string): Uint8Array | undefined
  /** A disk that refuses is `ERR_STATE_IO`, and the record is as before. */
  put(device: string, name: string, bytes: Uint8Array): void
  /** Removing what is not there is not an error. */
  remove(device: string, name: string): void
  /** The names that begin so, in order. */
  names(device: string, prefix: string): string[]
}

/** What the devices of one fleet keep. A change is one transaction, committed when the call returns. */
export interface StateRecords extends DeviceRecords {
  /** How many devices have anything here. */
  countDevices(): number
  isEmpty(): boolean
  /** It may be anybody's. */
  manifest(): unknown
  putManifest(manifest: RunManifest): void
  close(): Promise<void>
}

const manifestKey = 'manifest'
/** What sorts behind every name. */
const last = '\u{10ffff}'

/** The database in a folder of a fleet. */
export const databaseIn = (folder: string): string => join(folder, 'fleet.mdb')

/**
 * Opens the database at `path`, or makes it. As many processes at once as like.
 *
 * What is committed survives the end of its process, however it ends: the system has it. It is not flushed to the disk before the system
 * sees fit: that costs 300 µs of the one writer at a time where a commit costs 20. So a cut of the power can tear the file.
 */
export function openRecords(path: string): StateRecords {
  const database = unlessRefused(path, 'opened', () => openDatabase(path))
  const written = (work: () => unknown) => void unlessRefused(path, 'written', work)
  return {
    get: (device, name) => database.getBinary([device, name]),
    put: (device, name, bytes) => written(() => database.putSync([device, name], Buffer.from(bytes))),
    remove: (device, name) => written(() => database.removeSync([device, name])),
    names: (device, prefix) =>
      [...database.getKeys({ start: [device, prefix], end: [device, prefix + last] })].map((key) => (key as string[])[1] as string),
    countDevices() {
      let count = 0
      let previous: string | undefined
      for (const key of database.getKeys()) {
        const device = Array.isArray(key) ? key[0] : undefined
        if (device !== undefined && device !== previous) count++
        previous = device
      }
      return count
    },
    isEmpty: () => [...database.getKeys({ limit: 1 })].length === 0,
    manifest() {
      const bytes = database.getBinary(manifestKey)
      return bytes && parseJson(bytes)
    },
    putManifest: (manifest) => written(() => database.putSync(manifestKey, Buffer.from(JSON.stringify(manifest)))),
    close: () => database.close(),
  }
}

function openDatabase(path: string) {
  return open<Buffer, string | string[]>({
    ...{ path, noSubdir: true, encoding: 'binary', noSync: true, overlappingSync: false },
    // Not in its types: the mode of a new file.
    ...{ permissionsMode: 0o600 },
  })
}

/** The engine's errors carry the system's numbers, or negative ones of its own. */
function unlessRefused<T>(path: string, what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? Number(error.code) : Number.NaN
    if (Number.isNaN(code)) throw error
    const name = code > 0 ? getSystemErrorName(-code) : `database error ${code}`
    throw new AgentError('ERR_STATE_IO', `"${path}" cannot be ${what} now (${name})`, { cause: error })
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    // No manifest has no members: the schema says so.
    return undefined
  }
}
