import { z } from 'zod'
import { AgentError } from '../errors.ts'
import { base64 } from '../keys/key-documents.ts'
import type { CertificateStores } from '../ports.ts'
import { type Disk, readState, replaceFile, systemDisk } from '../state/disk.ts'
import { inTurn } from '../state/in-turn.ts'
import { encodeJsonFile, parseJsonFile, unreadable } from '../state/json-file.ts'
import type { InstalledRoot } from '../types.ts'
import { admit } from './admission.ts'

const storedSchema = z.strictObject({
  store: z.enum(['computer-root', 'computer-intermediate', 'user-intermediate']),
  /** DER in base64. */
  certificate: base64(),
})

const documentSchema = z.strictObject({
  kind: z.literal('certfleet-certificate-stores'),
  schemaVersion: z.literal(1),
  certificates: z.array(storedSchema),
})

type Stored = z.output<typeof storedSchema>
type Document = z.output<typeof documentSchema>
/** By store and fingerprint. */
type Entries = ReadonlyMap<string, { readonly root: InstalledRoot; readonly certificate: string }>

const storesFile = { name: 'the certificate stores of an agent', schemaVersion: 1, schema: documentSchema } as const

/**
 * The three modelled stores in one JSON file of mode 600, in a folder that exists.
 *
 * One such object a file at a time, in one process: the lock of the agent's state keeps others out. A file that is torn, foreign, of another
 * version, or holds a certificate that its store would refuse is named by `ERR_STATE_INVALID` and left alone. A disk that refuses is
 * `ERR_STATE_IO`, and the stores are as before.
 */
export async function fileStores(path: string, { disk = systemDisk }: { readonly disk?: Disk } = {}): Promise<CertificateStores> {
  const bytes = await readState(disk, path)
  const initial: Entries = bytes === undefined ? new Map() : parseEntries(bytes, path)
  const change = inTurn(initial, (entries) => replaceFile(disk, path, encodeEntries(entries)))
  return {
    list: () => change((now) => ({ next: now, result: [...now.values()].map(({ root }) => root) })),
    install: async (store, der) => {
      const root = { store, fingerprint: admit(store, der) }
      const entry = { root, certificate: Buffer.from(der).toString('base64') }
      return change((now) => ({ next: now.has(keyOf(root)) ? now : new Map(now).set(keyOf(root), entry), result: undefined }))
    },
    remove: (root) => change((now) => ({ next: without(now, keyOf(root)), result: undefined })),
  }
}

function parseEntries(bytes: Uint8Array, path: string): Entries {
  const { certificates } = parseJsonFile<Document>(bytes, path, storesFile)
  const entries = certificates.map(({ store, certificate }, i) => {
    const root = { store, fingerprint: admitted({ store, certificate }, i, path) }
    return [keyOf(root), { root, certificate }] as const
  })
  return new Map(entries)
}

/** What got into the file past the door is not trusted. */
function admitted({ store, certificate }: Stored, index: number, path: string): string {
  try {
    return admit(store, new Uint8Array(Buffer.from(certificate, 'base64')))
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    throw unreadable(path, storesFile.name, `unexpected content at "certificates.${index}"`)
  }
}

function encodeEntries(entries: Entries): Uint8Array {
  const certificates = [...entries.values()].map(({ root: { store }, certificate }) => ({ store, certificate }))
  return encodeJsonFile<Document>({ kind: 'certfleet-certificate-stores', schemaVersion: 1, certificates })
}

const keyOf = ({ store, fingerprint }: InstalledRoot): string => `${store} ${fingerprint}`

function without(entries: Entries, key: string): Entries {
  if (!entries.has(key)) return entries
  return new Map([...entries].filter(([candidate]) => candidate !== key))
}
