import {
  type Clock,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type Registration,
  softwareKeys,
} from '@certfleet/agent-core'
import { asProtections, type EmulationKeys } from '../keys/index.ts'
import type { DeviceSpec } from './device.ts'
import { destroyAll, deviceKeyStorage, type FleetKeyStorage, protectionsOf } from './key-storage.ts'
import type { DeviceStorage } from './ports.ts'

export interface DeviceStorageOptions {
  readonly clock: Clock
  /** Where every device holds every key. Default: where the profiles say, in what the OS has. */
  readonly keyStorage?: FleetKeyStorage | undefined
  /** What keys are made of, unless they are `fresh` or go where `keyStorage` says. Default: each storage makes its own. */
  readonly keys?: EmulationKeys | undefined
}

/** What a device has to keep keys in. */
export type DeviceKeys = Pick<DeviceStorage, 'keyStorageProviders' | 'keyStorage' | 'managementKeys' | 'close'>

/**
 * What one device keeps for as long as this process has it; its keys are destroyed when it is closed. Drawn keys are in one software
 * storage, which on Windows is shown as a TPM, and from 10 on a Passport, too: without the limits, pace and moods of the modelled ones.
 * A chosen token or Passport that cannot be opened rejects as `openKeyStorage` does.
 */
export async function memoryDeviceStorage(spec: DeviceSpec, index: number, options: DeviceStorageOptions): Promise<DeviceStorage> {
  const keys = await memoryKeys(spec, index, options)
  let registration: Registration | undefined
  return {
    ...keys,
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    state: memoryState(),
    policyCache: memoryPolicyCache(),
    registration: async () => registration,
    async saveRegistration(given) {
      registration = given
    },
  }
}

function memoryKeys(spec: DeviceSpec, index: number, { clock, keys, keyStorage }: DeviceStorageOptions): Promise<DeviceKeys> | DeviceKeys {
  if (keys?.marking === undefined || keyStorage) return ownKeys(spec, clock, keyStorage)
  const drawn = keys.forDevice(index)
  return {
    keyStorageProviders: asProtections(drawn, protectionsOf(spec)),
    managementKeys: () => drawn,
    close: () => destroyAll(drawn),
  }
}

async function ownKeys(spec: DeviceSpec, clock: Clock, chosen: FleetKeyStorage | undefined): Promise<DeviceKeys> {
  const { providers, keyStorage, close } = await deviceKeyStorage(spec, clock, chosen)
  let management: ReturnType<DeviceKeys['managementKeys']> | undefined
  return {
    keyStorageProviders: providers,
    ...(keyStorage && { keyStorage }),
    managementKeys() {
      management ??= softwareKeys()
      return management
    },
    close,
  }
}
