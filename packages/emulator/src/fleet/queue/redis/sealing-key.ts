import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createFile } from '../../../commands/new-file.ts'
import { InputError } from '../../../scenario/input-error.ts'

const sealingKeyBytes = 32
/** What others may do with a file. */
const othersMode = 0o077
const written = new RegExp(`^[0-9a-f]{${2 * sealingKeyBytes}}\n?$`)

/**
 * The key under which orders and kept devices are sealed: one line of 64 hexadecimal digits. `InputError`, which never shows what is in
 * the file, where it is missing, malformed, or readable by others.
 */
export async function readSealingKey(file: string): Promise<Uint8Array> {
  const key = await readKey(file)
  if (!key) throw new InputError(`${file}: there is no such file; it holds the sealing key that "certfleet run --queue" made: copy it here`)
  return key
}

/** Makes the file (mode 600) with a new key where it is missing, else reads it; `InputError` as `readSealingKey`, and where it cannot be made. */
export async function makeSealingKey(file: string): Promise<Uint8Array> {
  const key = await readKey(file)
  if (key) return key
  const made = randomBytes(sealingKeyBytes)
  await createFile(file, `${made.toString('hex')}\n`, 0o600)
  return made
}

/** Undefined where there is no such file. */
async function readKey(file: string): Promise<Uint8Array | undefined> {
  const opened = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new InputError(`${file}: the sealing key cannot be read (${error.code})`)
  })
  if (!opened) return undefined
  try {
    const { mode, size } = await opened.stat()
    // Windows keeps no such mode.
    if (process.platform !== 'win32' && (mode & othersMode) !== 0) {
      throw new InputError(`${file}: others on this machine can read the sealing key; "chmod 600" ends that`)
    }
    const text = size > 2 * sealingKeyBytes + 1 ? '' : await opened.readFile('utf8')
    if (!written.test(text))
      throw new InputError(`${file}: is no sealing key, which is one line of ${2 * sealingKeyBytes} hexadecimal digits`)
    return new Uint8Array(Buffer.from(text.trim(), 'hex'))
  } finally {
    await opened.close()
  }
}
