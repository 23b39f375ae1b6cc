import type { DeviceStorageOptions } from '../device-storage.ts'
import { type FleetState, recordedStorage } from '../fleet-state.ts'
import type { DeviceRecords } from '../state-records.ts'
import type { ShardKeeping } from './keeping.ts'

/** What devices keep, in the records of their keepers: as the fleet's database has it, keys included. */
export function keptStorage(keeping: ShardKeeping, options: DeviceStorageOptions): FleetState['storageFor'] {
  return (spec, index) => recordedStorage(ofOneDevice(keeping.keeperOf(index).records), 'kept', options)(spec, index)
}

/** All of them are of the same device. */
function ofOneDevice(records: Map<string, Uint8Array>): DeviceRecords {
  return {
    get: (_, name) => records.get(name),
    put: (_, name, bytes) => void records.set(name, bytes),
    remove: (_, name) => void records.delete(name),
    names: (_, prefix) => [...records.keys()].filter((name) => name.startsWith(prefix)).sort(),
  }
}
