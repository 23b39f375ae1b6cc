import { randomBytes } from 'node:crypto'
import { link, open, unlink } from 'node:fs/promises'
import { InputError } from '../scenario/input-error.ts'

/** A file of that name, complete or not there. One that exists is not overwritten (`InputError`): a link, unlike a rename, refuses a name that is taken. */
export async function createFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(temporary, 'wx', mode).catch((error) => unusable(path, error))
  try {
    await file.writeFile(text)
    await file.sync()
    await link(temporary, path).catch((error) => unusable(path, error))
  } finally {
    await file.close()
    await unlink(temporary)
  }
}

function unusable(path: string, { code }: NodeJS.ErrnoException): never {
  if (code === 'EEXIST') throw new InputError(`${path} exists and is not overwritten; name another, or move the file away`)
  throw new InputError(`${path}: cannot be written (${code})`)
}
