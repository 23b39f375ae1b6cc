import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type LabStore, lmdbLabStore, memoryLabStore } from '../lab/index.ts'
import { InputError } from '../scenario/input-error.ts'

export interface LabState {
  readonly store: LabStore
  /** Made once a folder. A secret. */
  readonly registrationToken: string
}

/** What a lab keeps over a restart: its database and its registration token, in `folder`; without one, in memory. */
export async function openLabState(folder: string | undefined): Promise<LabState> {
  if (folder === undefined) return { store: memoryLabStore(), registrationToken: newToken() }
  const store = await lmdbLabStore(folder).catch((error: Error) => {
    throw new InputError(`--state ${folder}: cannot be used (${error.message}); name a folder that can be written`)
  })
  try {
    return { store, registrationToken: await tokenIn(join(folder, 'registration-token')) }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function tokenIn(file: string): Promise<string> {
  const made = newToken()
  try {
    await writeFile(file, `${made}\n`, { flag: 'wx', mode: 0o600 })
    return made
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const token = (await readFile(file, 'utf8')).trim()
  if (!/^[\w-]{32,}$/.test(token)) throw new InputError(`${file}: expected a registration token; remove the file to have a new one made`)
  return token
}

const newToken = (): string => randomBytes(32).toString('base64url')
