import { createHash, randomInt } from 'node:crypto'
import {
  AgentError,
  type Clock,
  type KeyProtection,
  type KeyStorageOptions,
  type KeyStorageProvider,
  type Ksp,
  modelledTpm,
  type OpenedKeyStorage,
  openKeyStorage,
  protectionOf,
} from '@certfleet/agent-core'
import { compareVersions, parseOs } from '@certfleet/platforms'
import type { DeviceSpec } from './device.ts'

/** Where a fleet's devices hold their keys, in place of where profiles say. */
export interface FleetKeyStorage {
  readonly ksp: Ksp
  /** Of the token, or of every user's Passport. A secret. */
  readonly pin?: string | undefined
}

/** What one device has to keep keys in. */
export interface DeviceKeyStorage {
  readonly providers: readonly KeyStorageProvider[]
  /** Where every key goes. Absent: where profiles say. */
  readonly keyStorage?: KeyProtection
  /** Destroys the keys, which nobody could use once the device is gone, and ends the session with the token. */
  close(): Promise<void>
  /** Ends the session with the token. The keys stay there. */
  leave(): Promise<void>
}

/** Releases from this one on have Passport for Work (W-PFW). */
const firstPassportVersion = '10'

/** By default as OS and hardware have it: Windows a TPM beside the software KSP, from 10 on a Passport whose user has a PIN; all others software. */
export async function deviceKeyStorage(spec: DeviceSpec, clock: Clock, chosen: FleetKeyStorage | undefined): Promise<DeviceKeyStorage> {
  const ksps = chosen ? [chosen.ksp] : builtIn(spec).map((kind) => ({ kind }))
  const secret = async () => chosen?.pin ?? madeUpPin()
  const opened = await Promise.all(ksps.map((ksp) => openStorage(ksp, spec, { clock, owner: ownerOf(spec, ksp), secret })))
  return {
    providers: opened,
    ...(chosen && { keyStorage: protectionOf(chosen.ksp) }),
    async close() {
      for (const storage of opened) {
        await unlessGone(() => destroyAll(storage))
        await closeKeyStorage(storage)
      }
    },
    async leave() {
      for (const storage of opened) await closeKeyStorage(storage)
    },
  }
}

/** The token that all devices share, held for a while: one that cannot be opened is told once, before any device asks. */
export async function openToken(chosen: FleetKeyStorage | undefined, clock: Clock): Promise<OpenedKeyStorage | undefined> {
  if (chosen?.ksp.kind !== 'pkcs11') return undefined
  const { ksp, pin } = chosen
  return openKeyStorage(ksp, { clock, ...(pin !== undefined && { secret: async () => pin }) })
}

/** A TPM as the device's hardware is. */
async function openStorage(ksp: Ksp, { hardware }: DeviceSpec, options: KeyStorageOptions): Promise<OpenedKeyStorage> {
  if (ksp.kind !== 'tpm' || hardware !== 'tpm-1.2') return openKeyStorage(ksp, options)
  return { ...modelledTpm({ clock: options.clock, version: '1.2' }), close: async () => {} }
}

/** What a device can hold keys in, or is to hold every key in. */
export function protectionsOf(spec: DeviceSpec, chosen?: FleetKeyStorage): readonly KeyProtection[] {
  return chosen ? [protectionOf(chosen.ksp)] : builtIn(spec)
}

function builtIn({ platform, osVersion, hardware }: DeviceSpec): readonly ('software' | 'tpm' | 'passport')[] {
  if (platform !== 'windows') return ['software']
  const { version } = parseOs(platform, osVersion)
  const hasPassport = compareVersions(version, firstPassportVersion) >= 0
  return ['software', ...(hardware === 'no-tpm' ? [] : ['tpm' as const]), ...(hasPassport ? ['passport' as const] : [])]
}

/** On a token, that devices share and that may hold other keys of certfleet's, a name of at most 64 characters for this device's alone. */
function ownerOf({ id }: DeviceSpec, { kind }: Ksp): string {
  if (kind !== 'pkcs11') return id
  const isShort = /^[\x20-\x7e]{1,58}$/.test(id)
  return `fleet/${isShort ? id : createHash('sha256').update(id).digest('hex').slice(0, 58)}`
}

const madeUpPin = (): string => String(randomInt(1_000_000)).padStart(6, '0')

export async function destroyAll(storage: KeyStorageProvider): Promise<void> {
  for (const label of await storage.list()) await storage.destroy(label)
}

/** A session that cannot be ended any more has ended. */
export function closeKeyStorage(storage: OpenedKeyStorage): Promise<void> {
  return unlessGone(() => storage.close())
}

/** A token that has gone is no reason to lose what the devices did. */
async function unlessGone(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
  }
}
