import { join } from 'node:path'
import { AgentError } from '../errors.ts'
import type { Clock, KeyStorageProvider } from '../ports.ts'
import { ensureFolder, listFolder, systemDisk } from '../state/disk.ts'
import { lockFile } from '../state/lock.ts'
import { fileKeys } from './file-vault.ts'
import { type Ksp, tokenName } from './ksp.ts'
import { type GestureAnswer, type GesturePrompt, modelledPassport } from './passport/passport.ts'
import { formatPkcs11Uri } from './pkcs11/address.ts'
import { objectLabel } from './pkcs11/key-name.ts'
import { pkcs11Keys } from './pkcs11/provider.ts'
import { softwareKeys } from './software.ts'
import { modelledTpm } from './tpm/tpm.ts'

/** A secret that opens a key storage. */
export interface SecretNeed {
  readonly kind: 'passphrase' | 'pin'
  /** What it opens, for people. */
  readonly of: string
  /** It is being chosen: there is nothing yet that it has to fit. */
  readonly isNew: boolean
  /** Aborted once no answer is awaited any more. */
  readonly signal?: AbortSignal
}

export interface KeyStorageOptions {
  readonly clock: Clock
  /**
   * The agent's state folder, which exists. Keys are kept below it, in `keyFolder`, by one process at a time.
   * Absent: in memory. A token keeps its own keys.
   */
  readonly folder?: string
  /** Whose keys these are: the user of a Passport container, the namespace on a token (1 to 64 printable ASCII characters). Default: one owner. */
  readonly owner?: string
  /** The passphrase of software keys in a folder, the PIN of a Passport or token. Asked where there is need of one, and not before. */
  readonly secret?: (need: SecretNeed) => Promise<string>
  /** Answers for the user of a Passport. Default: with the PIN of `secret`. */
  readonly onGesture?: (prompt: GesturePrompt, signal: AbortSignal) => Promise<GestureAnswer>
}

export interface OpenedKeyStorage extends KeyStorageProvider {
  /** A key as other software names it (RFC 7512). Absent where no other software could reach it. */
  readonly uriOf?: (label: string) => string
  /** Ends the session with a token, and lets another process have the folder. The keys stay. */
  close(): Promise<void>
}

const defaultNamespace = 'certfleet'

/** The kinds that keep keys in a folder of their own. */
export const folderKinds = ['software', 'tpm', 'passport'] as const
export type FolderKind = (typeof folderKinds)[number]

/** Where an agent whose state is in `folder` keeps the keys of one kind. */
export function keyFolder(folder: string, kind: FolderKind): string {
  return join(folder, 'keys', kind)
}

/** The lock file of one kind's keys: whoever opens them holds it. */
export function keyLock(folder: string, kind: FolderKind): string {
  return join(folder, 'keys', `${kind}.lock`)
}

/**
 * The one place where the name of a key storage becomes a provider, for the SDK, the commands and the scenarios alike.
 * Fails as that provider does; `ERR_KEY_SECRET_REFUSED` where a secret is needed and `secret` is absent; `ERR_STATE_BUSY` while another
 * process, or this one already, has the keys of that kind in that folder open.
 */
export async function openKeyStorage(ksp: Ksp, options: KeyStorageOptions): Promise<OpenedKeyStorage> {
  if (ksp.kind === 'pkcs11') return openToken(ksp, options)
  if (options.folder === undefined) return { ...(await openKind(ksp.kind, undefined, options)), close: async () => {} }
  await ensureFolder(systemDisk, join(options.folder, 'keys'))
  const lock = await lockFile(keyLock(options.folder, ksp.kind))
  try {
    return { ...(await openKind(ksp.kind, keyFolder(options.folder, ksp.kind), options)), close: lock.release }
  } catch (error) {
    await lock.release()
    throw error
  }
}

function openKind(kind: FolderKind, folder: string | undefined, options: KeyStorageOptions): Promise<KeyStorageProvider> {
  switch (kind) {
    case 'software':
      return openSoftware(folder, options)
    case 'tpm':
      return Promise.resolve(modelledTpm({ clock: options.clock, ...(folder !== undefined && { folder }) }))
    case 'passport':
      return openPassport(folder, options)
  }
}

async function openToken(address: Extract<Ksp, { kind: 'pkcs11' }>, options: KeyStorageOptions): Promise<OpenedKeyStorage> {
  const { clock, owner: namespace = defaultNamespace } = options
  const pin = await secretFor({ kind: 'pin', of: tokenName(address), isNew: false }, options)
  const keys = await pkcs11Keys({ ...address, pin, clock, namespace })
  return { ...keys, uriOf: (label) => formatPkcs11Uri({ token: address.token, object: objectLabel({ namespace, label }) }) }
}

async function openSoftware(folder: string | undefined, options: KeyStorageOptions): Promise<KeyStorageProvider> {
  if (folder === undefined) return softwareKeys()
  const isNew = !(await listFolder(systemDisk, folder))?.length
  const passphrase = await secretFor({ kind: 'passphrase', of: `keys in ${folder}`, isNew }, options)
  return fileKeys(folder, { secret: { passphrase } })
}

async function openPassport(folder: string | undefined, options: KeyStorageOptions): Promise<KeyStorageProvider> {
  const { clock, owner: user = 'user', onGesture } = options
  const need = { kind: 'pin', of: `Passport container of ${user}` } as const
  let chosen: string | undefined
  const answer = async (_: GesturePrompt, signal: AbortSignal) => ({
    pin: chosen ?? (await secretFor({ ...need, isNew: false, signal }, options)),
  })
  const place = folder === undefined ? {} : { folder }
  const passport = modelledPassport({ clock, user, containerName: 'certfleet', ...place, onGesture: onGesture ?? answer })
  if ((await passport.provisioning()) === 'none') {
    chosen = await secretFor({ ...need, isNew: true }, options)
    if (folder !== undefined) await ensureFolder(systemDisk, folder)
    await passport.setPin(chosen)
  }
  return passport
}

function secretFor(need: SecretNeed, { secret }: KeyStorageOptions): Promise<string> {
  if (secret) return secret(need)
  throw new AgentError('ERR_KEY_SECRET_REFUSED', `no ${need.kind === 'pin' ? 'PIN' : 'passphrase'} was given for the ${need.of}`)
}
