import {
  type Agent,
  type Clock,
  createAgent,
  type Jitter,
  type ManagementIdentity,
  managementIdentity,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type PlatformAdapter,
  policyService,
  registerDevice,
  type StateStore,
  softwareKeys,
  type Transport,
} from '@certfleet/agent-core'
import { type FactOverrides, type Management, platformAdapter, type UserAnswer } from '@certfleet/platforms'
import type { FleetPlatform } from '../scenario/schema.ts'
import { type DeviceKeyStorage, deviceKeyStorage, type FleetKeyStorage } from './key-storage.ts'

export interface DeviceSpec {
  /** The id under which it registers. */
  readonly id: string
  readonly platform: FleetPlatform
  /** As `parseOs` reads it. */
  readonly osVersion: string
  /** What it is enrolled as. Default: the platform's usual one. */
  readonly management?: Management
  /** What its user says whenever the OS asks. Default: granted. */
  readonly userConsent?: UserAnswer
  /** Its policy may deliver PFX: it makes a management key and registers with its certificate. Default false. */
  readonly receivesPfx?: boolean
}

/** What every device of a fleet shares. */
export interface DeviceSurroundings {
  readonly policyUrl: string
  /** What entitles a device to register. A secret. */
  readonly registrationToken: string
  readonly transport: Transport
  readonly clock: Clock
  /** Read replies in single DES. */
  readonly legacyDes: boolean
  /** Accept SHA-1 where the peer offers nothing better. */
  readonly legacySha1: boolean
  /** Where every device holds every key. Default: where the profiles say, in what the OS has. */
  readonly keyStorage?: FleetKeyStorage | undefined
  /** From `factOverrides`. Default: every OS does as sourced. */
  readonly overrides?: FactOverrides | undefined
}

/** The real agent, with the ports that hold what it did. */
export interface EmulatedDevice {
  readonly agent: Agent
  readonly platform: PlatformAdapter
  readonly state: StateStore
  /** Ends its keys: nobody could use them once the device is gone. */
  close(): Promise<void>
}

/**
 * Registers a device and puts the real agent on memory ports and its own key storage. Plain http SCEP URLs are allowed on every
 * platform: the lab has no TLS.
 */
export async function bootDevice(
  spec: DeviceSpec,
  jitter: Jitter,
  surroundings: DeviceSurroundings,
  signal: AbortSignal,
): Promise<EmulatedDevice> {
  const keyStorage = await deviceKeyStorage(spec, surroundings.clock, surroundings.keyStorage)
  try {
    return { ...(await startAgent(spec, jitter, surroundings, keyStorage, signal)), close: keyStorage.close }
  } catch (error) {
    await keyStorage.close()
    throw error
  }
}

async function startAgent(
  spec: DeviceSpec,
  jitter: Jitter,
  surroundings: DeviceSurroundings,
  { providers, keyStorage }: DeviceKeyStorage,
  signal: AbortSignal,
): Promise<Omit<EmulatedDevice, 'close'>> {
  const { policyUrl, registrationToken, transport, clock, legacyDes, legacySha1, overrides } = surroundings
  const { id, platform: name, osVersion, management: mode, userConsent = 'granted' } = spec
  const platform = platformAdapter(name, {
    osVersion,
    ...(mode && { management: mode }),
    userConsent: async () => userConsent,
    keyStorageProviders: providers,
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    transport,
    clock,
    jitter,
    legacyDes,
    legacySha1,
    allowHttp: true,
    ...(overrides && { overrides }),
  })
  const management = spec.receivesPfx ? await managementIdentity(softwareKeys()) : undefined
  const { deviceId, credential } = await registerDevice(
    {
      ...{ policyUrl, transport, registrationToken, deviceId: id, platform: name, osVersion },
      ...(mode && { management: mode }),
      ...certificateOf(management),
    },
    signal,
  )
  const service = policyService({
    policyUrl,
    credential,
    deviceId,
    transport,
    cache: memoryPolicyCache(),
    ...(management && { management }),
  })
  const state = memoryState()
  const agent = createAgent({ ...service, clock, jitter, platform, state, ...(keyStorage && { keyStorage }) })
  return { agent, platform, state }
}

function certificateOf(management: ManagementIdentity | undefined): { managementCertificate?: Uint8Array } {
  return management ? { managementCertificate: management.certificate } : {}
}
