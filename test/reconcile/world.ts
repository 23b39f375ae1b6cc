import type { KeyObject } from 'node:crypto'
import {
  type CertificateStores,
  type Device,
  type HttpRequest,
  type HttpResponse,
  handlerTransport,
  type IdentityStore,
  type Jitter,
  type KeyProtection,
  type KeyStorageProvider,
  type ManagementIdentity,
  managementIdentity,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type PfxSource,
  type PolicyCache,
  type PolicyDocument,
  policyService,
  registerDevice,
  type StateStore,
  softwareKeys,
} from '@certfleet/agent-core'
import { createLab, type Lab, type LabOptions, type LabStore, memoryLabStore } from '@certfleet/emulator/lab'
import { type PlatformBindings, type PlatformName, platformAdapter } from '@certfleet/platforms'
import { FakeClock } from '../fakes/clock.ts'
import { type CrashBudget, crashing } from '../fakes/crashing.ts'
import { type PfxConnector, pfxConnector } from '../fakes/pfx-connector.ts'
import { policyDocument } from '../fakes/policy-document.ts'
import { pooledKeys } from '../fakes/pooled-keys.ts'

export const day = 86_400_000
export const start = Date.UTC(2027, 0, 1)
const policyUrl = 'http://lab.example/device/policy'
const token = 'test-only-registration-token'
const never: CrashBudget = { left: Number.POSITIVE_INFINITY }
export const signal = new AbortController().signal

export type Edit = (document: PolicyDocument) => PolicyDocument

/** What a device keeps from one process to the next. */
export interface Kept {
  readonly keys: KeyStorageProvider
  readonly identities: IdentityStore
  readonly stores: CertificateStores
  readonly state: StateStore
  readonly cache: PolicyCache
}

export function keptInMemory(pool: readonly KeyObject[]): Kept {
  return {
    keys: pooledKeys(pool),
    identities: memoryIdentities(),
    stores: memoryStores(),
    state: memoryState(),
    cache: memoryPolicyCache(),
  }
}

export interface World extends Kept {
  readonly clock: FakeClock
  readonly lab: Lab
  /** What answers to `pfx`. */
  readonly connector: PfxConnector
  /** URLs, oldest first. */
  readonly requests: readonly string[]
  /** What the process is made of, over what the device keeps: a new one after each crash. */
  device(budget?: CrashBudget, kept?: Kept): Device
  /** What the service sends now. */
  policy(): PolicyDocument
  edit(edit: Edit): void
}

export interface WorldOptions {
  readonly pool: readonly KeyObject[]
  /** A store with a CA in it, and the next one where a roll-over is prepared: making four CA keys for each of hundreds of labs would take minutes. */
  readonly authority: LabStore
  readonly approve?: LabOptions['approve']
  readonly platform?: PlatformName
  /** Default: a recent one. */
  readonly osVersion?: string
  /** What PFX are made of, in turn. */
  readonly pfxPool?: readonly KeyObject[]
  readonly legacyPfx?: boolean
  readonly edit?: Edit
  /** Default: in memory. */
  readonly kept?: Kept
  /** Answers instead of lab and connector where it answers at all. */
  readonly intercept?: (request: HttpRequest) => HttpResponse | undefined
  /** Default: draws the least. */
  readonly jitter?: Jitter
  /** Default: never. */
  readonly isLocked?: () => Promise<boolean>
  /** What the device has to keep keys in. Default: the pool. */
  readonly keyStorageProviders?: readonly KeyStorageProvider[]
  /** How it is managed, and what its user says. Default: managed as usual. */
  readonly enrolled?: Pick<PlatformBindings, 'management' | 'userConsent' | 'fullDiskEncryption'>
  /** Where the device insists on keeping keys. */
  readonly keyStorage?: KeyProtection
}

/** One device and one lab, in one process, on a clock that stands still until it is told. */
export async function world({
  pool,
  authority,
  approve,
  platform = 'windows',
  osVersion = osVersions[platform],
  pfxPool = [],
  legacyPfx = false,
  edit = (document) => document,
  kept = keptInMemory(pool),
  intercept = () => undefined,
  jitter = { between: (minMs) => minMs },
  isLocked,
  keyStorageProviders,
  keyStorage,
  enrolled = {},
}: WorldOptions): Promise<World> {
  const clock = new FakeClock(start)
  const store = memoryLabStore()
  await store.transaction((transaction) => {
    for (const [key, record] of recordsOf(authority)) transaction.put('authority', key, record)
  })
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
  const management = await managementOf()
  const connector = pfxConnector(pfxPool, clock, management.certificate)
  const transport = handlerTransport(async (request) => {
    requests.push(request.url)
    const intercepted = intercept(request)
    if (intercepted) return intercepted
    return request.url.endsWith('/device/pfx') ? connector.handle(request) : lab.handle(request)
  })
  const { credential } = await registerDevice({
    policyUrl,
    transport,
    registrationToken: token,
    deviceId: 'dev-1',
    platform,
    osVersion,
    ...(enrolled.management && { management: enrolled.management }),
    managementCertificate: management.certificate,
  })

  return {
    clock,
    lab,
    connector,
    requests,
    ...kept,
    edit(next) {
      current = next
    },
    policy: () => current(policyDocument('dev-1', lab.rootCertificate)),
    device(budget = never, { keys, identities, stores, state, cache } = kept) {
      const shaky = crashing(transport, budget)
      const service = policyService({
        policyUrl,
        deviceId: 'dev-1',
        credential,
        transport: shaky,
        cache: crashing(cache, budget),
        management,
      })
      const adapter = platformAdapter(platform, {
        osVersion,
        keyStorageProviders: (keyStorageProviders ?? [keys]).map((provider) => crashing(provider, budget)),
        certificateStores: crashing(stores, budget),
        identities: crashing(identities, budget),
        transport: shaky,
        clock,
        jitter,
        allowHttp: true,
        legacyPfx,
        ...enrolled,
        ...(isLocked && { isLocked }),
      })
      return {
        clock,
        jitter,
        platform: adapter,
        policySource: crashing(service.policySource, budget),
        challengeSource: crashing(service.challengeSource, budget),
        pfxSource: crashing(service.pfxSource as PfxSource, budget),
        reporter: crashing(service.reporter, budget),
        state: crashing(state, budget),
        ...(keyStorage && { keyStorage }),
      }
    },
  }
}

const osVersions = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const

let management: Promise<ManagementIdentity> | undefined

/** One for all: its key is no part of what is tested here. */
function managementOf(): Promise<ManagementIdentity> {
  management ??= managementIdentity(softwareKeys())
  return management
}

/** The CA, and the one that is prepared where a roll-over is. */
function recordsOf(authority: LabStore) {
  const records = ['lab', 'lab-000001'].flatMap((key) => {
    const record = authority.get('authority', key)
    return record ? [[key, record] as const] : []
  })
  if (records.length === 0) throw new Error('the store given has no CA in it')
  return records
}
