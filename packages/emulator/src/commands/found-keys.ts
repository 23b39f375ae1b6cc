import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AgentError,
  describeSpec,
  folderKinds,
  type KeyHandle,
  type KeyStorageProvider,
  keyFolder,
  removeStoredKey,
  type StoredKey,
  storedKeys,
} from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { InputError } from '../scenario/input-error.ts'
import { derOf } from './read-input.ts'

/** A key of an agent, as it may be shown. */
export interface FoundKey {
  readonly label: string
  /** The kind of folder that holds it, or the name of the token. */
  readonly storage: string
  /** `RSA-2048` or `P-256`. */
  readonly key: string
  /** Of the SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKeySha256: string
  /** The file beside the keys that has its certificate. */
  readonly certificate?: string
  destroy(): Promise<void>
}

const certificateFile = /^cert(-\d+)?\.pem$/

/** The keys of a state folder, read without any secret. A folder that is not there: `InputError`. */
export async function keysOfFolder(folder: string): Promise<FoundKey[]> {
  const certificates = await certificatesIn(folder)
  const kinds = await Promise.all(
    folderKinds.map(async (kind) => {
      const own = keyFolder(folder, kind)
      return (await storedKeys(own)).map((key) => found(key, kind, certificates, () => removeStoredKey(own, key.label)))
    }),
  )
  return kinds.flat()
}

/** The keys of this agent on a token; `folder` is looked through for their certificates. */
export async function keysOfToken(token: KeyStorageProvider, folder: string | undefined): Promise<FoundKey[]> {
  const certificates = folder === undefined ? new Map<string, string>() : await certificatesIn(folder)
  const handles: (KeyHandle | undefined)[] = []
  for (const label of await token.list()) handles.push(await token.open(label))
  return handles.flatMap((handle) => (handle ? [found(handle, token.name, certificates, () => token.destroy(handle.label))] : []))
}

function found(
  { label, spec, publicKey }: Pick<StoredKey, 'label' | 'spec' | 'publicKey'>,
  storage: string,
  certificates: ReadonlyMap<string, string>,
  destroy: () => Promise<void>,
): FoundKey {
  const publicKeySha256 = sha256(publicKey)
  const certificate = certificates.get(publicKeySha256)
  return { label, storage, key: describeSpec(spec), publicKeySha256, ...(certificate && { certificate }), destroy }
}

/** Files by the SHA-256 of their public key. */
async function certificatesIn(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`--state ${folder}: cannot be read (${error.code}); name the folder of an agent's state`)
  })
  const files = names.filter((name) => certificateFile.test(name)).map((name) => join(folder, name))
  const read = await Promise.all(files.map(async (file) => [publicKeyIn(await readFile(file)), file] as const))
  return new Map(read.flatMap(([key, file]) => (key === undefined ? [] : [[key, file] as const])))
}

/** Undefined for a file that holds no certificate: it says nothing about the keys. */
function publicKeyIn(bytes: Uint8Array): string | undefined {
  try {
    return sha256(parseCertificate(derOf(bytes)).publicKey)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return undefined
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
