import { join } from 'node:path'
import {
  type Agent,
  connectPush,
  createAgent,
  httpTransport,
  type KeyStorageProvider,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  registerDevice,
  systemClock,
  systemDisk,
  type Transport,
} from '@certfleet/agent-core'
import { seededJitter } from '@certfleet/agent-core/system'
import { platformAdapter } from '@certfleet/platforms'
import { type EmulationKeys, openEmulationKeys } from '#emulator/keys/index.ts'
import { type FleetPlatform, fleetPlatforms } from '#emulator/scenario/schema.ts'
import { besideTpm } from '#emulator/simulate/storage.ts'
import { type Device, type DeviceCounts, generateTenant, osVersionOf } from '#emulator/tenant/index.ts'
import { root } from '../tooling/root.ts'

export interface LabWish {
  readonly counts: DeviceCounts
  readonly isTls: boolean
}

export interface LabAddress {
  readonly policyUrl: string
  readonly registrationToken: string
  /** Base64 of the DER. Absent: plain HTTP. */
  readonly trustAnchor?: string
}

/** Connected, everything installed, and asleep until its next check-in. */
export interface IdleDevice {
  stop(): Promise<void>
}

export interface IdleFleet {
  /** Resolves once the device of that index is idle. */
  bringUp(index: number): Promise<IdleDevice>
  close(): Promise<void>
}

/** So many devices, a quarter of them on each platform. */
export function countsOf(devices: number): DeviceCounts {
  return Object.fromEntries(fleetPlatforms.map((platform, i) => [platform, Math.floor((devices + i) / fleetPlatforms.length)]))
}

/** A fleet of real agents on ports in memory, with keys of a prime pool. */
export async function idleFleet(devices: number, { policyUrl, registrationToken, trustAnchor }: LabAddress): Promise<IdleFleet> {
  const specs = [...generateTenant({ counts: countsOf(devices), domain: 'contoso.example' }).devices.values()]
  const kept = { folder: join(root, '.build/bench-keys'), disk: systemDisk }
  const keys = await openEmulationKeys({ mode: 'primes', seed: 'idle', devices, keysPerDevice: 1, kept })
  const trust = trustAnchor === undefined ? {} : { trustAnchors: [Buffer.from(trustAnchor, 'base64')] }
  const transport = httpTransport({ ...trust, allowLoopback: true, connections: 64 })
  const service = { policyUrl, transport, trust, registrationToken }
  return {
    bringUp: async (index) => idle(await startDevice(specs[index] as Device, index, keys, service)),
    close: () => transport.close(),
  }
}

interface Service {
  readonly policyUrl: string
  readonly transport: Transport
  readonly trust: { readonly trustAnchors?: readonly Uint8Array[] }
  readonly registrationToken: string
}

async function startDevice({ id, ...device }: Device, index: number, keys: EmulationKeys, service: Service): Promise<Agent> {
  const platform = device.platform as FleetPlatform
  const osVersion = osVersionOf(device)
  const { policyUrl, transport, trust, registrationToken } = service
  const { deviceId, credential } = await registerDevice({ policyUrl, transport, registrationToken, deviceId: id, platform, osVersion })
  const clock = systemClock
  const jitter = seededJitter(`idle/${index}`)
  const { policySource, challengeSource, reporter } = policyService({
    policyUrl,
    credential,
    deviceId,
    transport,
    cache: memoryPolicyCache(),
  })
  // Each by its name: an object that is put together by spreading has a shape of its own.
  return createAgent({
    policySource,
    challengeSource,
    reporter,
    clock,
    jitter,
    state: memoryState(),
    platform: platformAdapter(platform, {
      osVersion,
      userConsent: async () => 'granted',
      keyStorageProviders: storagesOf(platform, keys.forDevice(index)),
      certificateStores: memoryStores(),
      identities: memoryIdentities(),
      transport,
      clock,
      jitter,
      allowHttp: true,
    }),
    connectPush: (onWake) => connectPush({ ...trust, policyUrl, credential, clock, jitter, onWake }),
  })
}

function storagesOf(platform: FleetPlatform, keys: KeyStorageProvider): readonly KeyStorageProvider[] {
  return platform === 'windows' ? besideTpm(keys) : [keys]
}

/** The second pass is that of the connection, which wakes the agent once it is open. */
function idle(agent: Agent): Promise<IdleDevice> {
  return new Promise((resolve, reject) => {
    let passes = 0
    const failed = agent.on('error', reject)
    const passed = agent.on('pass', ({ report }) => {
      const missing = report.profiles.find(({ state }) => state !== 'installed')
      if (missing) return reject(new Error(`${missing.displayName}: ${missing.state} ${missing.message ?? ''}`))
      if (++passes < 2) return
      failed()
      passed()
      resolve(agent)
    })
    agent.start()
  })
}
