import { createHash, randomUUID } from 'node:crypto'
import { AgentError, type Clock, type Instant } from '@certfleet/agent-core'
import { identityOf, openPfx, type PfxIdentity } from '@certfleet/agent-core/pfx'
import { fingerprintOf, parseCertificate } from '@certfleet/agent-core/pki'
import type { IntendedPurpose, PfxRequest } from '../../tenant/index.ts'
import type { Audit } from '../audit.ts'
import { sha256Hex } from '../digest.ts'
import type { MakeRsaKey } from '../rsa-keys.ts'
import type { LabStore, LabTransaction } from '../store.ts'
import { type ImportKey, type OpenedImportKey, openImportKey } from './import-key.ts'
import type { ImportedPfxRecord, PaddingScheme } from './records.ts'
import type { Deliverable } from './wrap.ts'

/** A file of a user, its password encrypted to the connector's key. */
export interface PfxImport {
  readonly userPrincipalName: string
  readonly intendedPurpose: IntendedPurpose
  readonly pfx: Uint8Array
  /** As `encryptPfxPassword` does it. */
  readonly encryptedPassword: Uint8Array
  readonly paddingScheme: PaddingScheme
  /** Asked before it is kept; what it throws is thrown on, and nothing is kept. Default: no objection. */
  readonly check?: ((found: ImportedPfx) => void) | undefined
}

/** What is told of an imported file: neither it nor its password. */
export type ImportedPfx = Omit<ImportedPfxRecord, 'pfx' | 'encryptedPassword'>

export interface ImportedPfxes {
  /** What an importer encrypts passwords to; made at its first use. */
  key(): Promise<ImportKey>
  /**
   * Opens and judges a file and keeps it as the newest of its user. The password does not decrypt, or is another's: `ERR_PFX_PASSWORD`.
   * What else is wrong with the file as `openPfx` and `identityOf` tell it. That certificate is there for this user and purpose, or 100
   * are there for this user: `ERR_UNSUPPORTED`.
   */
  add(asked: PfxImport): Promise<ImportedPfx>
  get(id: string): ImportedPfx | undefined
  /** By user, the newest first. */
  list(): readonly ImportedPfx[]
  /** Whether it was there. */
  remove(id: string): Promise<boolean>
  /** See `importedRevision`. */
  revision(userPrincipalName: string, purpose: IntendedPurpose): string | undefined
  /** Key and certificates of the newest file of that user for that purpose. */
  newest(userPrincipalName: string, purpose: IntendedPurpose): Promise<Deliverable | undefined>
}

export interface ImportedPfxOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly makeKey: MakeRsaKey
}

const maxPerUser = 100

/** PFX that an admin imported, keyed by user: a device gets those of the user whom its profile is for. */
export function importedPfxes({ store, clock, audit, makeKey }: ImportedPfxOptions): ImportedPfxes {
  return {
    async key() {
      const { providerName, keyName, publicKey } = await openImportKey(store, makeKey)
      return { providerName, keyName, publicKey }
    },
    async add({ check, ...asked }) {
      const key = await openImportKey(store, makeKey)
      const record = recordOf(asked, await read(asked, key), key, clock.now())
      check?.(told(record))
      await store.transaction((tx) => enter(tx, record, audit))
      return told(record)
    },
    get(id) {
      const record = store.get('importedPfx', id)
      return record && told(record)
    },
    list: () => [...store.list('importedPfxOf')].flatMap((ids) => ids.flatMap((id) => store.get('importedPfx', id) ?? [])).map(told),
    remove: (id) => store.transaction((tx) => removed(tx, id, audit)),
    revision: (...whose) => importedRevision(store, ...whose),
    async newest(userPrincipalName, purpose) {
      const record = newestOf(store, userPrincipalName, purpose)
      if (record === undefined) return undefined
      const { key, certificate, chain } = await read(record, await openImportKey(store, makeKey))
      return { privateKey: key.privateKey, certificates: [certificate, ...chain] }
    },
  }
}

/** Another text wherever another certificate of that user is the newest for that purpose; undefined where there is none. */
export function importedRevision(store: LabStore, userPrincipalName: string, purpose: IntendedPurpose): string | undefined {
  return newestOf(store, userPrincipalName, purpose)?.fingerprint
}

function newestOf(store: LabStore, userPrincipalName: string, purpose: IntendedPurpose): ImportedPfxRecord | undefined {
  const ids = store.get('importedPfxOf', userKey(userPrincipalName)) ?? []
  return ids.flatMap((id) => store.get('importedPfx', id) ?? []).find(({ intendedPurpose }) => intendedPurpose === purpose)
}

async function read({ pfx, encryptedPassword, paddingScheme }: PfxImport, key: OpenedImportKey): Promise<PfxIdentity> {
  const password = key.decrypt(encryptedPassword, paddingScheme)
  if (password === undefined) throw new AgentError('ERR_PFX_PASSWORD', "the password does not decrypt with the connector's key")
  return identityOf(await openPfx(pfx, { password, legacy: true }))
}

const userKey = (userPrincipalName: string): string => sha256Hex(userPrincipalName.toLowerCase())

function recordOf(
  asked: PfxImport,
  { certificate }: PfxIdentity,
  { providerName, keyName }: ImportKey,
  importedAt: Instant,
): ImportedPfxRecord {
  const { notBefore, notAfter } = parseCertificate(certificate)
  const thumbprint = createHash('sha1').update(certificate).digest('hex').toUpperCase()
  const fingerprint = fingerprintOf(certificate)
  return { ...asked, id: randomUUID(), providerName, keyName, thumbprint, fingerprint, notBefore, notAfter, importedAt }
}

function enter(tx: LabTransaction, record: ImportedPfxRecord, audit: Audit): void {
  const { id, userPrincipalName, intendedPurpose, thumbprint } = record
  const ids = tx.get('importedPfxOf', userKey(userPrincipalName)) ?? []
  const others = ids.flatMap((other) => tx.get('importedPfx', other) ?? [])
  if (others.some((other) => other.thumbprint === thumbprint && other.intendedPurpose === intendedPurpose))
    throw new AgentError('ERR_UNSUPPORTED', `certificate ${thumbprint} is imported for ${userPrincipalName} already`)
  if (ids.length >= maxPerUser)
    throw new AgentError('ERR_UNSUPPORTED', `${userPrincipalName} has ${ids.length} imported PFX, expected fewer`)
  tx.put('importedPfx', id, record)
  tx.put('importedPfxOf', userKey(userPrincipalName), [id, ...ids])
  audit.add(tx, { event: 'pfx-imported', detail: `${thumbprint} of ${userPrincipalName} for ${intendedPurpose}` })
}

function removed(tx: LabTransaction, id: string, audit: Audit): boolean {
  const record = tx.get('importedPfx', id)
  if (record === undefined) return false
  const key = userKey(record.userPrincipalName)
  const left = (tx.get('importedPfxOf', key) ?? []).filter((other) => other !== id)
  tx.remove('importedPfx', id)
  if (left.length > 0) tx.put('importedPfxOf', key, left)
  else tx.remove('importedPfxOf', key)
  audit.add(tx, { event: 'pfx-removed', detail: `${record.thumbprint} of ${record.userPrincipalName}` })
  return true
}

function told({ pfx: _, encryptedPassword: __, ...rest }: ImportedPfxRecord): ImportedPfx {
  return rest
}

/** The same; `changed` is told of each user who has another file, or one less. */
export function telling(
  { add, remove, ...imported }: ImportedPfxes,
  changed: (userPrincipalName: string) => Promise<unknown>,
): ImportedPfxes {
  return {
    ...imported,
    async add(asked) {
      const added = await add(asked)
      await changed(added.userPrincipalName)
      return added
    },
    async remove(id) {
      const user = imported.get(id)?.userPrincipalName
      const isRemoved = await remove(id)
      if (user !== undefined) await changed(user)
      return isRemoved
    },
  }
}

/** Whether one of the requests is for a file of that user. */
export function isForUser(userPrincipalName: string, requests: readonly PfxRequest[]): boolean {
  const user = userPrincipalName.toLowerCase()
  return requests.some((request) => request.kind === 'imported' && request.userPrincipalName.toLowerCase() === user)
}
