import type { KeyObject } from 'node:crypto'
import {
  type Device,
  handlerTransport,
  type KeyProtection,
  type KeyStorageProvider,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type PolicyDocument,
  policyService,
  registerDevice,
} from '@certfleet/agent-core'
import { createLab, type Lab, type LabOptions, type LabStore, memoryLabStore } from '@certfleet/emulator/lab'
import { type PlatformName, platformAdapter } from '@certfleet/platforms'
import { FakeClock } from '../fakes/clock.ts'
import { type CrashBudget, crashing } from '../fakes/crashing.ts'
import { policyDocument } from '../fakes/policy-document.ts'
import { pooledKeys } from '../fakes/pooled-keys.ts'

export const day = 86_400_000
export const start = Date.UTC(2027, 0, 1)
const policyUrl = 'http://lab.example/device/policy'
const token = 'test-only-registration-token'
const never: CrashBudget = { left: Number.POSITIVE_INFINITY }
export const signal = new AbortController().signal

export type Edit = (document: PolicyDocument) => PolicyDocument

export interface World {
  readonly clock: FakeClock
  readonly lab: Lab
  readonly keys: ReturnType<typeof pooledKeys>
  readonly identities: ReturnType<typeof memoryIdentities>
  readonly stores: ReturnType<typeof memoryStores>
  readonly state: ReturnType<typeof memoryState>
  /** URLs, oldest first. */
  readonly requests: readonly string[]
  /** What the process is made of, over what the device keeps: a new one after each crash. */
  device(budget?: CrashBudget): Device
  edit(edit: Edit): void
}

export interface WorldOptions {
  readonly pool: readonly KeyObject[]
  /** A store with a CA in it: making four CA keys for each of hundreds of labs would take minutes. */
  readonly authority: LabStore
  readonly approve?: LabOptions['approve']
  readonly platform?: PlatformName
  readonly edit?: Edit
  /** What the device has to keep keys in. Default: the pool. */
  readonly keyStorageProviders?: readonly KeyStorageProvider[]
  /** Where the device insists on keeping keys. */
  readonly keyStorage?: KeyProtection
}

/** One device and one lab, in one process, on a clock that stands still until it is told. */
export async function world({
  pool,
  authority,
  approve,
  platform = 'windows',
  edit = (document) => document,
  keyStorageProviders,
  keyStorage,
}: WorldOptions): Promise<World> {
  const clock = new FakeClock(start)
  const store = memoryLabStore()
  await store.transaction((transaction) => transaction.put('authority', 'lab', copyOf(authority)))
  let current = edit
  const lab: Lab = await createLab({
    store,
    clock,
    registrationToken: token,
    templateValidityMs: 100 * day,
    policyFor: (deviceId) => current(policyDocument(deviceId, lab.rootCertificate)),
    ...(approve && { approve }),
  })
  const requests: string[] = []
  const transport = handlerTransport((request) => {
    requests.push(request.url)
    return lab.handle(request)
  })
  const { credential } = await registerDevice({
    policyUrl,
    transport,
    registrationToken: token,
    deviceId: 'dev-1',
    platform,
    osVersion: osVersions[platform],
  })
  const kept = {
    keys: pooledKeys(pool),
    identities: memoryIdentities(),
    stores: memoryStores(),
    state: memoryState(),
    cache: memoryPolicyCache(),
  }
  const jitter = { between: (minMs: number) => minMs }

  return {
    clock,
    lab,
    requests,
    ...kept,
    edit(next) {
      current = next
    },
    device(budget = never) {
      const shaky = crashing(transport, budget)
      const service = policyService({ policyUrl, deviceId: 'dev-1', credential, transport: shaky, cache: crashing(kept.cache, budget) })
      const adapter = platformAdapter(platform, {
        osVersion: osVersions[platform],
        keyStorageProviders: (keyStorageProviders ?? [kept.keys]).map((provider) => crashing(provider, budget)),
        certificateStores: crashing(kept.stores, budget),
        identities: crashing(kept.identities, budget),
        transport: shaky,
        clock,
        jitter,
        allowHttp: true,
      })
      return {
        clock,
        jitter,
        platform: adapter,
        policySource: crashing(service.policySource, budget),
        challengeSource: crashing(service.challengeSource, budget),
        reporter: crashing(service.reporter, budget),
        state: crashing(kept.state, budget),
        ...(keyStorage && { keyStorage }),
      }
    },
  }
}

const osVersions = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const

function copyOf(authority: LabStore) {
  const record = authority.get('authority', 'lab')
  if (!record) throw new Error('the store given has no CA in it')
  return record
}
