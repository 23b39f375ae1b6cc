import { readFileSync } from 'node:fs'
import { UnreadableVectors } from '../suite.ts'

/** A file that must be there. */
export function readVectorFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new UnreadableVectors(`${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : String(error)}`)
  }
}

/** A JSON file with an array under `member`, as every suite has one. */
export function readJsonArray(path: string, member: string): readonly unknown[] {
  const array = (parseJson(path, readVectorFile(path).toString('utf8')) as Record<string, unknown> | null)?.[member]
  if (!Array.isArray(array)) throw new UnreadableVectors(`${path}: expected an object with an array "${member}"`)
  return array
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UnreadableVectors(`${path}: no JSON (${(error as Error).message})`)
  }
}

/** The DER in a PEM text, by label, in order; `''` is a label that the writer left out. */
export function pemBlocks(text: string): readonly { readonly label: string; readonly der: Uint8Array }[] {
  return [...text.matchAll(/-----BEGIN ([^-]*)-----([^-]+)-----END/g)].map(([, label, body]) => ({
    label: label as string,
    der: Buffer.from((body as string).replace(/\s/g, ''), 'base64'),
  }))
}

/** The first block of a PEM text. */
export function pemDer(text: string): Uint8Array {
  return pemBlocks(text)[0]?.der ?? new Uint8Array()
}
