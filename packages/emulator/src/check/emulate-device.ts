import type { KeyObject } from 'node:crypto'
import {
  AgentError,
  type Clock,
  describeSpec,
  type KeySpec,
  type KeyStorageProvider,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  modelledPassport,
  modelledTpm,
  noLatency,
  type Registration,
} from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import { destroyAll, protectionsOf } from '../fleet/key-storage.ts'
import type { DeviceStorage } from '../fleet/ports.ts'
import { drawnKeys, isRsaSize } from '../keys/device-keys.ts'
import type { RsaBits } from '../keys/index.ts'

type DrawKey = (bits: RsaBits) => Promise<KeyObject>

/** What one device keeps while it is emulated: in memory, with the storages of keys that its OS and hardware have, and their limits. */
export async function emulatedStorage(spec: DeviceSpec, clock: Clock, drawKey: DrawKey): Promise<DeviceStorage> {
  const software = drawnKeys('emulated keys', drawKey)
  let registered: Registration | undefined
  const storages = protectionsOf(spec).map(async (protection) => {
    if (protection === 'tpm') return tpmOf(spec, clock, drawKey)
    return protection === 'passport' ? passportOf(spec, clock) : software
  })
  return {
    keyStorageProviders: await Promise.all(storages),
    managementKeys: () => software,
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    state: memoryState(),
    policyCache: memoryPolicyCache(),
    registration: async () => registered,
    async saveRegistration(given) {
      registered = given
    },
    close: () => destroyAll(software),
  }
}

/** Without its pace: what takes long there is not what is asked. */
function tpmOf({ hardware }: DeviceSpec, clock: Clock, drawKey: DrawKey): KeyStorageProvider {
  async function makeKey(spec: KeySpec): Promise<KeyObject> {
    if (spec.algorithm === 'rsa' && isRsaSize(spec.bits)) return drawKey(spec.bits)
    throw new AgentError('ERR_UNSUPPORTED', `no ${describeSpec(spec)} keys are emulated`)
  }
  return modelledTpm({ clock, version: hardware === 'tpm-1.2' ? '1.2' : '2.0', latency: noLatency, makeKey })
}

/** No secret: what it keeps ends with the device. */
const pin = '000000'

/** Of a user who has proved every factor, sets a PIN at once and gives it whenever asked: no tenant says otherwise. */
async function passportOf({ id }: DeviceSpec, clock: Clock): Promise<KeyStorageProvider> {
  const passport = modelledPassport({ clock, user: id, containerName: 'certfleet', pin, onGesture: async () => ({ pin }) })
  await passport.proveMultiFactor()
  return passport
}
