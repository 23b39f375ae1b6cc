import { dirname } from 'node:path'
import { z } from 'zod'
import { type Disk, ensureFolder, readState, replaceFile } from '../../state/disk.ts'
import type { Instant } from '../../types.ts'
import { base64, encodeDocument, invalid, parseDocument } from '../key-documents.ts'
import { kdfSchema } from '../key-secret.ts'
import type { Owner, SealedSecret } from './pin.ts'

/** What a container remembers beside its keys. No PIN. */
export interface ContainerRecord extends Owner {
  /** A profile that wants a key here has reached the device. */
  readonly hasPayload: boolean
  readonly hasMultiFactor: boolean
  /** Since the last right one or the last lock-out. */
  readonly wrongPins: number
  /** In a row. */
  readonly lockouts: number
  readonly lockedUntil: Instant
  /** Absent until the user has set a PIN. */
  readonly secret?: SealedSecret | undefined
}

export interface RecordFile {
  load(): Promise<ContainerRecord>
  /** Durable once it resolves. */
  save(record: ContainerRecord): Promise<void>
}

export function memoryRecord(owner: Owner): RecordFile {
  let record = newRecord(owner)
  return {
    load: async () => record,
    async save(next) {
      record = next
    },
  }
}

/**
 * One JSON file of mode 600, in a folder that is made where it is missing. It holds what the PIN unlocks, so who throws it away to win
 * tries back throws the keys away as well. One that is torn, or of another container: `ERR_STATE_INVALID`, and it is left alone.
 */
export function diskRecord(owner: Owner, path: string, disk: Disk): RecordFile {
  return {
    async load() {
      const bytes = await readState(disk, path)
      return bytes === undefined ? newRecord(owner) : parseRecord(bytes, owner, path)
    },
    async save(record) {
      await ensureFolder(disk, dirname(path))
      await replaceFile(disk, path, encodeDocument({ kind: recordDocument.kind, version: recordDocument.version, ...record }))
    },
  }
}

const newRecord = ({ user, containerName }: Owner): ContainerRecord => ({
  user,
  containerName,
  hasPayload: false,
  hasMultiFactor: false,
  wrongPins: 0,
  lockouts: 0,
  lockedUntil: 0,
})

/** The last one that a Date can name (ECMA-262, time values). */
const latestMoment = 8.64e15

const recordDocument = {
  name: 'the record of this Passport container',
  kind: 'certfleet-passport-container',
  version: 1,
  schema: z.strictObject({
    kind: z.literal('certfleet-passport-container'),
    version: z.literal(1),
    user: z.string(),
    containerName: z.string(),
    hasPayload: z.boolean(),
    hasMultiFactor: z.boolean(),
    wrongPins: z.int().min(0),
    lockouts: z.int().min(0),
    lockedUntil: z.number().min(0).max(latestMoment),
    secret: z.strictObject({ kdf: kdfSchema, nonce: base64(12), sealed: base64(48) }).optional(),
  }),
} as const

function parseRecord(bytes: Uint8Array, { user, containerName }: Owner, path: string): ContainerRecord {
  const { kind: _kind, version: _version, ...record } = parseDocument(bytes, path, recordDocument)
  if (record.user === user && record.containerName === containerName) return record
  throw invalid(path, recordDocument.name, 'it names another user or container')
}
