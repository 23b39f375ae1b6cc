import {
  AgentError,
  type Clock,
  createAgent,
  type Identity,
  type InapplicableProfile,
  type KeyStorageProvider,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type Registration,
  seededJitter,
  systemClock,
  type Transport,
} from '@certfleet/agent-core'
import type { DeviceSpec, DeviceStorage, FleetTarget } from '@certfleet/emulator/fleet'
import { platformAdapter } from '@certfleet/platforms'
import { makeKeyPool, pooledKeys } from './pooled-keys.ts'

/** What one device keeps, in memory. */
export async function memoryStorage(keys?: KeyStorageProvider): Promise<DeviceStorage> {
  const own = keys ?? pooledKeys(await makeKeyPool(3))
  let registered: Registration | undefined
  return {
    keyStorageProviders: [own],
    managementKeys: () => own,
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    state: memoryState(),
    policyCache: memoryPolicyCache(),
    registration: async () => registered,
    async saveRegistration(registration) {
      registered = registration
    },
    close: async () => {},
  }
}

export interface TargetRun {
  readonly target: FleetTarget
  readonly transport: Transport
  readonly devices: readonly DeviceSpec[]
  readonly clock?: Clock
  /** By the id of its device. Default: a new one each. */
  readonly storages?: ReadonlyMap<string, DeviceStorage>
  readonly legacy?: boolean
  readonly concurrency?: number
}

export interface EndedDevice {
  readonly deviceId: string
  readonly identities: readonly Identity[]
  readonly failures: readonly { readonly code: string; readonly message: string }[]
  readonly notApplicable: readonly InapplicableProfile[]
}

/** Each device enrols once, so many at once. */
export async function enrolAll({ devices, concurrency = 4, ...run }: TargetRun): Promise<readonly EndedDevice[]> {
  const left = [...devices.entries()]
  const ended: EndedDevice[] = []
  const one = async () => {
    for (let next = left.shift(); next; next = left.shift()) ended[next[0]] = await enrol(next[1], run)
  }
  await Promise.all(Array.from({ length: concurrency }, one))
  return ended
}

async function enrol(
  spec: DeviceSpec,
  { target, transport, clock = systemClock, storages, legacy = false }: Omit<TargetRun, 'devices'>,
): Promise<EndedDevice> {
  const storage = storages?.get(spec.id) ?? (await memoryStorage())
  const { signal } = new AbortController()
  const jitter = seededJitter(spec.id)
  const failures: { code: string; message: string }[] = []
  let notApplicable: readonly InapplicableProfile[] = []
  const failed = (error: unknown) => {
    if (!(error instanceof AgentError)) throw error
    failures.push({ code: error.code, message: error.message })
  }
  const service = await target.admit({ spec, transport, clock, jitter, storage }, signal).catch(failed)
  if (service) {
    const platform = platformAdapter(spec.platform, {
      ...{ osVersion: spec.osVersion, clock, jitter, transport, allowHttp: true, legacyDes: legacy, legacySha1: legacy },
      ...(spec.management && { management: spec.management }),
      userConsent: async () => 'granted',
      keyStorageProviders: storage.keyStorageProviders,
      certificateStores: storage.certificateStores,
      identities: storage.identities,
    })
    const { connectPush: _, ...ports } = service
    const agent = createAgent({ ...ports, clock, jitter, platform, state: storage.state, keyStorage: 'software' })
    agent.on('result', ({ status, code, message }) => {
      if (status === 'failed') failures.push({ code: code ?? '', message: message ?? '' })
    })
    agent.on('pass', ({ report }) => {
      notApplicable = report.notApplicable ?? []
    })
    await agent.runOnce(signal).catch(failed)
  }
  return { deviceId: spec.id, identities: await storage.identities.list(), failures, notApplicable }
}
