import { readFile } from 'node:fs/promises'
import { InputError } from '../scenario/input-error.ts'

/** Room for a challenge of 16,384 characters. */
const maxLineFileBytes = 65_536

/** The file that an option names. Unreadable or too large: `InputError`. */
export async function readInput(option: string, file: string, maxBytes: number): Promise<Buffer> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`${option} ${file}: cannot be read (${error.code})`)
  })
  if (bytes.length > maxBytes) throw new InputError(`${option} ${file}: ${bytes.length} bytes, expected at most ${maxBytes}`)
  return bytes
}

/** The first line of the file; an empty one is `InputError`. */
export async function firstLineOf(option: string, file: string, expected: string): Promise<string> {
  const text = (await readInput(option, file, maxLineFileBytes)).toString('utf8')
  const line = text.split(/\r?\n/, 1)[0] as string
  if (line === '') throw new InputError(`${option} ${file}: its first line is empty; expected ${expected}`)
  return line
}

/** The first certificate of a PEM text, or the bytes as they are. */
export function derOf(bytes: Uint8Array): Uint8Array {
  const base64 = /-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/.exec(Buffer.from(bytes).toString('latin1'))?.[1]
  return new Uint8Array(base64 === undefined ? bytes : Buffer.from(base64, 'base64'))
}
