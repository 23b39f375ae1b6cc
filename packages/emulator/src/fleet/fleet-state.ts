import {
  AgentError,
  type Disk,
  fileIdentities,
  filePolicyCache,
  fileState,
  fileStores,
  type KeyStorageProvider,
  type Registration,
  softwareKeys,
} from '@certfleet/agent-core'
import { z } from 'zod'
import { asProtections } from '../keys/index.ts'
import type { DeviceSpec } from './device.ts'
import type { DeviceKeys, DeviceStorageOptions } from './device-storage.ts'
import { folderName } from './folder-name.ts'
import { deviceKeyStorage, protectionsOf } from './key-storage.ts'
import type { DeviceStorage } from './ports.ts'
import { recordsDisk } from './state-disk.ts'
import { type DeviceRecords, databaseIn, openRecords } from './state-records.ts'
import { placedKeys, recordsDraws, recordsVault } from './state-vault.ts'

/** What the devices of a fleet keep from one process to the next, in the one database of the fleet. */
export interface FleetState {
  /**
   * What that device kept, or nothing yet; its index is its place in the run. By one process at a time, and once in it.
   * Errors as those of the files of an agent (`openStateFolder`); a token that cannot be opened rejects as `openKeyStorage` does.
   */
  storageFor(spec: DeviceSpec, index: number): Promise<DeviceStorage>
  /** Once every device is closed. */
  close(): Promise<void>
}

/**
 * Opens the state of a fleet in a folder that `beginFleetRun` has taken and holds meanwhile; several processes may at once.
 *
 * Private keys are in it in the clear, PKCS #8: it is for emulation. TPM and Passport are placements over these keys, without the limits,
 * pace and moods of the modelled ones; a token keeps its own keys, and they stay there.
 *
 * What a call has resolved is there for the next process, whatever ended this one. A cut of the power may take all of it: `beginFleetRun`
 * then refuses the folder.
 */
export function openFleetState(folder: string, options: DeviceStorageOptions): FleetState {
  const path = databaseIn(folder)
  const records = openRecords(path)
  return {
    storageFor: recordedStorage(records, path, options),
    close: () => records.close(),
  }
}

/** What devices keep, in records; `root` names them in errors. Keys and errors as `openFleetState` has them. */
export function recordedStorage(records: DeviceRecords, root: string, options: DeviceStorageOptions): FleetState['storageFor'] {
  const disk = recordsDisk(records, root)
  return async (spec, index) => {
    const device = folderName(spec.id)
    const files = await filesOf(`${root}/${device}`, disk)
    return { ...files, ...registrationOf(records, device), ...(await keysOf(records, device, spec, index, options)) }
  }
}

type Files = Pick<DeviceStorage, 'certificateStores' | 'identities' | 'state' | 'policyCache'>

async function filesOf(folder: string, disk: Disk): Promise<Files> {
  return {
    certificateStores: await fileStores(`${folder}/stores`, { disk }),
    identities: await fileIdentities(`${folder}/identities`, { disk }),
    state: await fileState(`${folder}/state`, { disk, lock: noLock }),
    policyCache: filePolicyCache(`${folder}/policy`, { disk }),
  }
}

/** The run that has the folder gives each device to one process. */
const noLock = async () => ({ assertHeld() {}, release: async () => {} })

const registrationSchema = z.strictObject({ deviceId: z.string(), credential: z.string() })

function registrationOf(records: DeviceRecords, device: string): Pick<DeviceStorage, 'registration' | 'saveRegistration'> {
  return {
    async registration() {
      const bytes = records.get(device, 'registration')
      return bytes && parseRegistration(bytes, device)
    },
    async saveRegistration({ deviceId, credential }) {
      records.put(device, 'registration', Buffer.from(JSON.stringify({ deviceId, credential })))
    },
  }
}

function parseRegistration(bytes: Uint8Array, device: string): Registration {
  try {
    return registrationSchema.parse(JSON.parse(Buffer.from(bytes).toString()))
  } catch {
    throw new AgentError('ERR_STATE_INVALID', `the record of the registration of ${device} is none; it was left as it is`)
  }
}

async function keysOf(
  records: DeviceRecords,
  device: string,
  spec: DeviceSpec,
  index: number,
  { clock, keyStorage: chosen, keys }: DeviceStorageOptions,
): Promise<DeviceKeys> {
  const placed = placedKeys(records, device)
  const vault = recordsVault(records, device, placed)
  const own: KeyStorageProvider = keys?.keptFor(index, { vault, drawn: recordsDraws(records, device) }) ?? softwareKeys(vault)
  if (chosen?.ksp.kind === 'pkcs11') {
    const { providers, keyStorage, leave } = await deviceKeyStorage(spec, clock, chosen)
    return { keyStorageProviders: providers, ...(keyStorage && { keyStorage }), managementKeys: () => own, close: leave }
  }
  return {
    keyStorageProviders: asProtections(own, protectionsOf(spec, chosen), placed),
    ...(chosen && { keyStorage: chosen.ksp.kind }),
    managementKeys: () => own,
    close: async () => {},
  }
}
