import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AgentError, type FileLock, type Instant, lockFile } from '@certfleet/agent-core'
import { assertWholeDatabase } from '../lab/lmdb-file.ts'
import { breakSeal, seal } from '../lab/lmdb-seal.ts'
import { InputError } from '../scenario/input-error.ts'
import { assertSameBoot, flush } from './state-boot.ts'
import { assertSameRun, type FleetRun, manifestOf } from './state-manifest.ts'
import { databaseIn, openRecords, type StateRecords } from './state-records.ts'

/** The state of a fleet, as the one process has it that leads the run. */
export interface BegunRun {
  /** An earlier run left it: its devices go on. */
  readonly resumed: boolean
  /** When the first run on it began. */
  readonly startedAt: Instant
  /** How many devices have anything there now. */
  countDevices(): number
  /** Once every process of the run has closed it or is gone: flushes it to the disk and lets another run have it. */
  close(): Promise<void>
}

/** What is beside the database in a folder of a fleet: its own files, and the folder of its lab. */
const isOurs = (name: string): boolean => name === 'lab' || /^fleet\.(mdb|lock|boot)/.test(name)

/**
 * Takes the folder for a run, makes it where it is missing (mode 700), and sees that what it keeps is of the same devices, seed and keys.
 * Then every process of the run may open it by `openFleetState`.
 *
 * A folder that keeps another run or holds something else is an `InputError`, and left as it is. Another run that has it: `ERR_STATE_BUSY`.
 * A database that is torn, was changed since it was closed, or was in use when the machine went down: `ERR_STATE_INVALID`.
 * A disk that refuses: `ERR_STATE_IO`.
 */
export async function beginFleetRun(folder: string, run: FleetRun): Promise<BegunRun> {
  await assertOurs(folder)
  await makeFolder(folder)
  const lock = await lockFile(join(folder, 'fleet.lock'))
  try {
    return await begin(folder, run, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function begin(folder: string, run: FleetRun, lock: FileLock): Promise<BegunRun> {
  const path = databaseIn(folder)
  await assertWholeDatabase(path)
  await assertSameBoot(join(folder, 'fleet.boot'), path)
  await breakSeal(path)
  const records = openRecords(path)
  async function close() {
    await records.close()
    await flush(path)
    await seal(path)
  }
  try {
    const found = manifestIn(records)
    const manifest = manifestOf(run)
    const { startedAt } = found === undefined ? manifest : assertSameRun(found, manifest, folder)
    if (found === undefined) records.putManifest(manifest)
    return {
      resumed: found !== undefined,
      startedAt,
      countDevices: () => records.countDevices(),
      async close() {
        await close()
        await lock.release()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Undefined in a new database alone. */
function manifestIn(records: StateRecords): unknown {
  return records.isEmpty() ? undefined : (records.manifest() ?? 'none')
}

async function assertOurs(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error) => {
    if (error.code === 'ENOENT') return []
    if (error.code === 'ENOTDIR') throw new InputError(`"${folder}" is no folder: name one for the state of the fleet`)
    throw refused(folder, error)
  })
  const foreign = names.find((name) => !isOurs(name))
  if (foreign === undefined) return
  throw new InputError(`"${folder}" holds something else ("${foreign}"): name an empty folder, or one that an earlier run left`)
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await chmod(folder, 0o700)
  } catch (error) {
    throw refused(folder, error as NodeJS.ErrnoException)
  }
}

function refused(folder: string, error: NodeJS.ErrnoException): AgentError {
  return new AgentError('ERR_STATE_IO', `"${folder}" cannot be used now (${error.code})`, { cause: error })
}
