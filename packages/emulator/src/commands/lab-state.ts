import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type LabStore, lmdbLabStore, memoryLabStore } from '../lab/index.ts'
import { InputError } from '../scenario/input-error.ts'

export interface LabState {
  readonly store: LabStore
  /** A secret of that name: made once a folder, and read from it ever after. */
  secret(name: string): Promise<string>
}

/** What a lab keeps over a restart: its database and its secrets, in `folder`; without one, in memory. */
export async function openLabState(folder: string | undefined): Promise<LabState> {
  if (folder === undefined) return { store: memoryLabStore(), secret: async () => newSecret() }
  const store = await lmdbLabStore(folder).catch((error: Error) => {
    throw new InputError(`--state ${folder}: cannot be used (${error.message}); name a folder that can be written`)
  })
  return { store, secret: (name) => secretIn(join(folder, name)) }
}

async function secretIn(file: string): Promise<string> {
  const made = newSecret()
  try {
    await writeFile(file, `${made}\n`, { flag: 'wx', mode: 0o600 })
    return made
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const secret = (await readFile(file, 'utf8')).trim()
  if (!/^[\w-]{32,}$/.test(secret))
    throw new InputError(`${file}: expected 32 or more letters, digits, - and _; remove it to have a new one made`)
  return secret
}

const newSecret = (): string => randomBytes(32).toString('base64url')
