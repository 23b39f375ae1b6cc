import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { type Disk, listFolder, readState, removeFiles, systemDisk } from '../state/disk.ts'
import type { KeySpec } from '../types.ts'
import { base64, invalid, parseDocument } from './key-documents.ts'
import { isKeyLabel } from './vault.ts'

/** One key of a folder, as its file tells it. The public key is proven only when the key is opened. */
export interface StoredKey {
  readonly label: string
  readonly spec: KeySpec
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** Its path. */
  readonly file: string
}

const keyDocumentSchema = z.strictObject({
  kind: z.literal('certfleet-key'),
  version: z.literal(1),
  label: z.string().refine(isKeyLabel),
  spec: z.discriminatedUnion('algorithm', [
    z.strictObject({ algorithm: z.literal('rsa'), bits: z.int() }),
    z.strictObject({ algorithm: z.literal('ec'), curve: z.enum(['P-256', 'P-384']) }),
  ]),
  publicKey: base64(),
  nonce: base64(12),
  sealed: base64(),
})

export type KeyDocument = z.output<typeof keyDocumentSchema>

const keyDocument = { name: 'a stored key', kind: 'certfleet-key', version: 1, schema: keyDocumentSchema } as const

/**
 * What a folder of `fileKeys` holds, without its secret; nothing where there is no such folder. Files of others are passed over.
 * A key file that is torn, of another version or under another's name is named by `ERR_STATE_INVALID`. A disk that refuses: `ERR_STATE_IO`.
 */
export async function storedKeys(folder: string, disk: Disk = systemDisk): Promise<readonly StoredKey[]> {
  const keys: StoredKey[] = []
  for (const name of (await listFolder(disk, folder)) ?? []) {
    const document = isKeyFile(name) ? await readKeyDocument(disk, folder, name) : undefined
    if (document !== undefined) keys.push(storedKey(document, join(folder, name)))
  }
  return keys
}

/** Removes a key for good, without the folder's secret. Removing what is not there is not an error. A disk that refuses: `ERR_STATE_IO`. */
export async function removeStoredKey(folder: string, label: string, disk: Disk = systemDisk): Promise<void> {
  if ((await listFolder(disk, folder)) === undefined) return
  const name = keyFileOf(label)
  await removeFiles(disk, folder, [name, `${name}.tmp`])
}

/** The name of a label's file. A label may hold what no path may. */
export function keyFileOf(label: string): string {
  return `${createHash('sha256').update(label).digest('hex')}.key`
}

export function isKeyFile(name: string): boolean {
  return /^[0-9a-f]{64}\.key$/.test(name)
}

/** What a file says of its key; `undefined` where there is no such file. */
export async function readKeyDocument(disk: Disk, folder: string, name: string): Promise<KeyDocument | undefined> {
  const file = join(folder, name)
  const bytes = await readState(disk, file)
  if (bytes === undefined) return undefined
  const document = parseDocument(bytes, file, keyDocument)
  if (keyFileOf(document.label) !== name) throw invalid(file, keyDocument.name, 'its name is of another label')
  return document
}

function storedKey({ label, spec, publicKey }: KeyDocument, file: string): StoredKey {
  return { label, spec, publicKey: new Uint8Array(Buffer.from(publicKey, 'base64')), file }
}
