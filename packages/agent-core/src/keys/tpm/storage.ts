import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { type Disk, ensureFolder, listFolder, readState, removeFiles, replaceFile } from '../../state/disk.ts'
import { fileVault } from '../file-vault.ts'
import { base64, encodeDocument, invalid, parseDocument } from '../key-documents.ts'
import { type KeyVault, memoryVault } from '../vault.ts'
import { type AuthorizationFailures, noFailures } from './lockout.ts'

/** What a TPM remembers without power. It hands private keys out, so it stays within this folder. */
export interface TpmStorage {
  readonly vault: KeyVault
  failures(): AuthorizationFailures
  saveFailures(failures: AuthorizationFailures): Promise<void>
  /** Labels of keys that were not made here. */
  imported(): ReadonlySet<string>
  saveImported(labels: ReadonlySet<string>): Promise<void>
  /** Nothing of it opens again: whoever calls this drops the storage and opens a new one. */
  forget(): Promise<void>
}

export function memoryStorage(): TpmStorage {
  let failures = noFailures
  let imported: ReadonlySet<string> = new Set()
  return {
    vault: memoryVault(),
    failures: () => failures,
    async saveFailures(saved) {
      failures = saved
    },
    imported: () => imported,
    async saveImported(labels) {
      imported = labels
    },
    async forget() {},
  }
}

const nvramName = 'nvram.json'

const nvramDocument = {
  name: 'the memory of a modelled TPM',
  kind: 'certfleet-tpm-nvram',
  version: 1,
  schema: z.strictObject({
    kind: z.literal('certfleet-tpm-nvram'),
    version: z.literal(1),
    /** Storage root: what the keys of the folder are encrypted under. */
    seed: base64(32),
    /** It was cleared: whatever else is in the folder goes. */
    isCleared: z.boolean(),
    failures: z.strictObject({ count: z.int().min(0), since: z.number() }),
    imported: z.array(z.string()).optional(),
  }),
} as const

type Nvram = z.output<typeof nvramDocument.schema>

/**
 * A TPM's memory in a folder of its own, made where it is missing: `nvram.json` with the storage root, and the keys beside it.
 * One process at a time. A memory that is torn, foreign or gone from beside its keys: `ERR_STATE_INVALID`, and all is left as it is.
 */
export async function folderStorage(folder: string, disk: Disk): Promise<TpmStorage> {
  const file = join(folder, nvramName)
  const write = (next: Nvram) => replaceFile(disk, file, encodeDocument(next))
  let nvram = (await readNvram(folder, disk)) ?? clearedNvram()
  if (nvram.isCleared) {
    await ensureFolder(disk, folder)
    await removeFiles(disk, folder, await othersIn(folder, disk))
    nvram = { ...nvram, isCleared: false }
    await write(nvram)
  }
  const key = Buffer.from(nvram.seed, 'base64')
  const vault = await fileVault(folder, { secret: { key }, disk })
  key.fill(0)
  return {
    vault,
    failures: () => nvram.failures,
    async saveFailures({ count, since }) {
      const next = { ...nvram, failures: { count, since } }
      await write(next)
      nvram = next
    },
    imported: () => new Set(nvram.imported),
    async saveImported(labels) {
      const next = { ...nvram, imported: [...labels] }
      await write(next)
      nvram = next
    },
    // The new storage root comes first: from then on no old key opens, and the next start removes what is left.
    forget: () => write(clearedNvram()),
  }
}

function clearedNvram(): Nvram {
  return { kind: 'certfleet-tpm-nvram', version: 1, seed: randomBytes(32).toString('base64'), isCleared: true, failures: noFailures }
}

async function readNvram(folder: string, disk: Disk): Promise<Nvram | undefined> {
  const file = join(folder, nvramName)
  const bytes = await readState(disk, file)
  if (bytes !== undefined) return parseDocument(bytes, file, nvramDocument)
  if ((await othersIn(folder, disk)).length > 0) throw invalid(file, nvramDocument.name, 'it is gone, and other files are there')
  return undefined
}

/** An unfinished `nvram.json.tmp` is no other: the next write replaces it. */
async function othersIn(folder: string, disk: Disk): Promise<readonly string[]> {
  return ((await listFolder(disk, folder)) ?? []).filter((name) => !name.startsWith(nvramName))
}
