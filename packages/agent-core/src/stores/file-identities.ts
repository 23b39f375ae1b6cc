import { z } from 'zod'
import { base64 } from '../keys/key-documents.ts'
import { principalSchema } from '../policy/schema.ts'
import type { IdentityStore } from '../ports.ts'
import { type Disk, readState, replaceFile, systemDisk } from '../state/disk.ts'
import { inTurn } from '../state/in-turn.ts'
import { encodeJsonFile, parseJsonFile } from '../state/json-file.ts'
import { placementSchema, requestSchema } from '../state/specs.ts'
import { type Identity, type IdentityKey, identityKey } from '../types.ts'

const storedSchema = z.strictObject({
  profileId: z.string().min(1),
  principal: principalSchema,
  /** Leaf first, DER in base64. */
  chain: z.array(base64()).min(1),
  keyLabel: z.string(),
  placement: placementSchema,
  requested: requestSchema,
  renewalJitterMs: z.number().nonnegative(),
  releasedBy: z.enum(['unassigned', 'retired', 'wiped', 'unenrolled', 'unlicensed']).exactOptional(),
})

const documentSchema = z.strictObject({
  kind: z.literal('certfleet-identities'),
  schemaVersion: z.literal(1),
  identities: z.array(storedSchema).refine((all) => new Set(all.map(keyOf)).size === all.length),
})

type Stored = z.output<typeof storedSchema>
type Document = z.output<typeof documentSchema>
type Identities = ReadonlyMap<IdentityKey, Identity>

const identitiesFile = { name: 'the identities of an agent', schemaVersion: 1, schema: documentSchema } as const

/**
 * Identities in one JSON file of mode 600, in a folder that exists: certificates, and the labels of their keys; no key.
 *
 * One such store a file at a time, in one process: the lock of the agent's state keeps others out. A file that is torn, foreign or of another
 * version is named by `ERR_STATE_INVALID` and left alone. A disk that refuses is `ERR_STATE_IO`, and the identities are as before.
 */
export async function fileIdentities(path: string, { disk = systemDisk }: { readonly disk?: Disk } = {}): Promise<IdentityStore> {
  const bytes = await readState(disk, path)
  const initial: Identities = bytes === undefined ? new Map() : parseIdentities(bytes, path)
  const change = inTurn(initial, (identities) => replaceFile(disk, path, encodeIdentities(identities)))
  return {
    list: () => change((now) => ({ next: now, result: [...now.values()] })),
    install: (identity) => change((now) => ({ next: new Map(now).set(keyOf(identity), identity), result: undefined })),
    remove: (key) => change((now) => ({ next: without(now, key), result: undefined })),
  }
}

function parseIdentities(bytes: Uint8Array, path: string): Identities {
  const { identities } = parseJsonFile<Document>(bytes, path, identitiesFile)
  return new Map(identities.map((stored) => [keyOf(stored), { ...stored, chain: stored.chain.map(derOf) }]))
}

function encodeIdentities(identities: Identities): Uint8Array {
  const stored = [...identities.values()].map(storedOf)
  return encodeJsonFile<Document>({ kind: 'certfleet-identities', schemaVersion: 1, identities: stored })
}

/** By name: an object that comes from elsewhere may carry more than belongs in a file. */
function storedOf({ profileId, principal, chain, keyLabel, placement, requested, renewalJitterMs, releasedBy }: Identity): Stored {
  const encoded = chain.map((der) => Buffer.from(der).toString('base64'))
  return { profileId, principal, chain: encoded, keyLabel, placement, requested, renewalJitterMs, ...(releasedBy && { releasedBy }) }
}

const keyOf = ({ principal, profileId }: Pick<Identity, 'principal' | 'profileId'>): IdentityKey => identityKey(principal, profileId)

const derOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))

function without(identities: Identities, key: IdentityKey): Identities {
  if (!identities.has(key)) return identities
  return new Map([...identities].filter(([candidate]) => candidate !== key))
}
