import {
  type Clock,
  type KeyProtection,
  type KeyStorageProvider,
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
  return new MemoryStorage(await memoryKeys(spec, index, options))
}

class MemoryStorage implements DeviceStorage {
  readonly keyStorageProviders: readonly KeyStorageProvider[]
  declare readonly keyStorage?: KeyProtection
  readonly certificateStores = memoryStores()
  readonly identities = memoryIdentities()
  readonly state = memoryState()
  readonly policyCache = memoryPolicyCache()
  readonly #keys: DeviceKeys
  #registration: Registration | undefined

  constructor(keys: DeviceKeys) {
    this.keyStorageProviders = keys.keyStorageProviders
    if (keys.keyStorage) this.keyStorage = keys.keyStorage
    this.#keys = keys
  }

  managementKeys(): KeyStorageProvider {
    return this.#keys.managementKeys()
  }

  async registration(): Promise<Registration | undefined> {
    return this.#registration
  }

  async saveRegistration(given: Registration): Promise<void> {
    this.#registration = given
  }

  close(): Promise<void> {
    return this.#keys.close()
  }
}

function memoryKeys(spec: DeviceSpec, index: number, { clock, keys, keyStorage }: DeviceStorageOptions): Promise<DeviceKeys> | DeviceKeys {
  if (keys?.marking === undefined || keyStorage) return ownKeys(spec, clock, keyStorage)
  return new DrawnDeviceKeys(keys.forDevice(index), protectionsOf(spec))
}

class DrawnDeviceKeys implements DeviceKeys {
  readonly keyStorageProviders: readonly KeyStorageProvider[]
  readonly #drawn: KeyStorageProvider

  constructor(drawn: KeyStorageProvider, protections: readonly KeyProtection[]) {
    this.keyStorageProviders = asProtections(drawn, protections)
    this.#drawn = drawn
  }

  managementKeys(): KeyStorageProvider {
    return this.#drawn
  }

  close(): Promise<void> {
    return destroyAll(this.#drawn)
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
