import {
  type Agent,
  type Clock,
  createAgent,
  type Jitter,
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
import { platformAdapter } from '@certfleet/platforms'
import type { FleetPlatform } from '../scenario/schema.ts'

export interface DeviceSpec {
  /** The id under which it registers. */
  readonly id: string
  readonly platform: FleetPlatform
  /** Dotted numbers. */
  readonly osVersion: string
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
}

/** The real agent, with the ports that hold what it did. */
export interface EmulatedDevice {
  readonly agent: Agent
  readonly platform: PlatformAdapter
  readonly state: StateStore
}

/** Registers a device and puts the real agent on memory ports. Plain http SCEP URLs are allowed on every platform: the lab has no TLS. */
export async function bootDevice(
  spec: DeviceSpec,
  jitter: Jitter,
  surroundings: DeviceSurroundings,
  signal: AbortSignal,
): Promise<EmulatedDevice> {
  const { policyUrl, registrationToken, transport, clock, legacyDes, legacySha1 } = surroundings
  const { id, platform: name, osVersion } = spec
  const platform = platformAdapter(name, {
    osVersion,
    keyStorageProviders: [softwareKeys()],
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    transport,
    clock,
    jitter,
    legacyDes,
    legacySha1,
    allowHttp: true,
  })
  const { deviceId, credential } = await registerDevice(
    { policyUrl, transport, registrationToken, deviceId: id, platform: name, osVersion },
    signal,
  )
  const service = policyService({ policyUrl, credential, deviceId, transport, cache: memoryPolicyCache() })
  const state = memoryState()
  return { agent: createAgent({ ...service, clock, jitter, platform, state }), platform, state }
}
