import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemDisk } from '@certfleet/agent-core'
import { type EmulationKeyMode, openEmulationKeys, type PoolProgress, type RsaBits } from '../keys/index.ts'
import { fleetPlatforms, type Seed } from '../scenario/schema.ts'
import type { Import, ScepIntent } from '../tenant/index.ts'
import type { ShardKeys } from './shard.ts'

export interface PoolRequest {
  readonly mode: EmulationKeyMode
  readonly seed: Seed
  readonly devices: number
  readonly imported: Import
  /** Devices have a management key beside those of their profiles. */
  readonly receivePfx: boolean
  /** Keeps the pool for the next run. Default: a folder that ends with this one. */
  readonly folder?: string | undefined
  readonly onProgress: (progress: PoolProgress) => void
  readonly signal: AbortSignal
}

export interface PreparedKeys {
  readonly keys: ShardKeys
  /** What every report has to show. */
  readonly marking?: string | undefined
  close(): Promise<void>
}

/** A device whose attempt fails begins another, and makes a key for it. A pool of whole keys is too dear to have any to spare. */
const keysPerProfile = { pool: 1, primes: 4 } as const

/** Makes the pool that all shards of a run draw from, where keys are not fresh. */
export async function prepareKeys(request: PoolRequest): Promise<PreparedKeys> {
  const { mode, devices, imported, seed, onProgress, signal } = request
  if (mode === 'fresh') return { keys: { mode }, close: async () => {} }
  const folder = request.folder ?? (await mkdtemp(join(tmpdir(), 'certfleet-keys-')))
  const remove = () => (request.folder === undefined ? rm(folder, { recursive: true, force: true }) : Promise.resolve())
  const keysPerDevice = keysFor(mode, request)
  try {
    const { marking } = await openEmulationKeys({
      ...{ mode, seed: String(seed), devices, keysPerDevice, onProgress, signal },
      keyBits: sizesOf(imported),
      kept: { folder, disk: systemDisk },
    })
    return { keys: { mode, folder, devices, keysPerDevice }, marking, close: remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** In words. */
export function keysText(request: Pick<PoolRequest, 'mode' | 'imported' | 'receivePfx'>): string {
  const { mode } = request
  return mode === 'fresh' ? mode : `${mode}, ${keysFor(mode, request)} a device`
}

function keysFor(mode: keyof typeof keysPerProfile, { imported, receivePfx }: Pick<PoolRequest, 'imported' | 'receivePfx'>): number {
  return Math.max(1, mostProfiles(imported)) * keysPerProfile[mode] + (receivePfx ? 1 : 0)
}

const scepProfiles = ({ profiles }: Import): ScepIntent[] => profiles.filter((profile) => profile.kind === 'scep')

/** That one device may have. */
function mostProfiles(imported: Import): number {
  return Math.max(0, ...fleetPlatforms.map((platform) => scepProfiles(imported).filter((profile) => profile.platform === platform).length))
}

/** Of a management key, and of profiles that the run does not know. */
const usualBits: RsaBits = 2048

/** What no pool is made of here each process would make for itself. */
function sizesOf(imported: Import): readonly RsaBits[] {
  return [...new Set([usualBits, ...scepProfiles(imported).map(({ keyBits }) => keyBits)])]
}
