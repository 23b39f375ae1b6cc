import {
  type CertificateStores,
  type Clock,
  type HttpRequest,
  type HttpResponse,
  type IdentityStore,
  type Instant,
  type Jitter,
  type KeyProtection,
  type KeyStorageProvider,
  memoryIdentities,
  memoryState,
  memoryStores,
  type Pass,
  type PlatformAdapter,
  type PolicyDocument,
  parsePolicy,
  type Report,
  reconcile,
  type Transport,
} from '@certfleet/agent-core'
import { platformAdapter } from '../adapter.ts'
import type { Os } from '../os.ts'
import { pendingScheduleOf } from '../retries.ts'
import type { DeviceWishes, MakeKeys, Sabotage } from './context.ts'
import type { TargetSession } from './target.ts'

/** What a device asked, and what came back; nothing where it failed. */
export interface Exchange {
  readonly at: Instant
  readonly request: HttpRequest
  readonly response?: HttpResponse
}

/** The real agent on memory ports, before a session of the target. */
export interface ConformanceDevice {
  readonly session: TargetSession
  readonly adapter: PlatformAdapter
  readonly stores: CertificateStores
  readonly identities: IdentityStore
  /** The device's way to the server. */
  readonly transport: Transport
  /** One for each of the wished key storages. */
  readonly keys: readonly KeyStorageProvider[]
  /** All that it asked so far, oldest first. */
  readonly exchanges: readonly Exchange[]
  /** How often it asked for a challenge. */
  readonly challengesAsked: () => number
  /** Tells the service and the device what the latter is to have. */
  assign(policy: PolicyDocument): Promise<void>
  /** One pass of the agent. */
  checkIn(): Promise<Report>
  /** When the last pass wanted the next one, if by itself at all. */
  wakeAt(): Instant | undefined
  /** From now on it is locked, or not. */
  lock(isLocked: boolean): void
}

export interface DeviceParts {
  readonly os: Os
  readonly session: TargetSession
  readonly makeKeys: MakeKeys
  readonly wishes: DeviceWishes
  readonly sabotage: Sabotage
}

/** Delays nothing. */
const noJitter: Jitter = { between: (minMs) => minMs }

/** Its keys as those of another kind of storage. By its methods: a provider may be an instance of a class. */
function presentedAs(protection: KeyProtection, provider: KeyStorageProvider): KeyStorageProvider {
  return {
    protection,
    name: `modelled ${protection}`,
    readiness: (wish) => provider.readiness(wish),
    generate: (spec, label) => provider.generate(spec, label),
    ...(provider.import && { import: provider.import.bind(provider) }),
    open: (label) => provider.open(label),
    list: () => provider.list(),
    destroy: (label) => provider.destroy(label),
  }
}

export function bootDevice({ os, session, makeKeys, wishes, sabotage }: DeviceParts): ConformanceDevice {
  const { keyStorage = ['software'], jitter = noJitter, userConsent, fullDiskEncryption } = wishes
  const challenge = sabotage.goodChallenge ? undefined : wishes.challenge
  const keys = keyStorage.map((protection) => presentedAs(protection, makeKeys()))
  const exchanges: Exchange[] = []
  const recorded = recording(exchanges, session.clock, between(session.transport, wishes))
  const transport = sabotage.transport?.(recorded) ?? recorded
  const stores = memoryStores()
  const identities = memoryIdentities()
  let isLocked = false
  const bound = platformAdapter(os.platform, {
    osVersion: versionText(os),
    management: os.management,
    keyStorageProviders: keys,
    certificateStores: stores,
    identities,
    transport,
    clock: session.clock,
    jitter,
    isLocked: async () => isLocked,
    ...(os.overrides && { overrides: os.overrides }),
    ...(userConsent && { userConsent }),
    ...(fullDiskEncryption && { fullDiskEncryption }),
  })
  const genuine = wishes.retries ? { ...bound, pendingSchedule: pendingScheduleOf(os, wishes.retries) } : bound
  const adapter = sabotage.adapter?.(genuine, transport) ?? genuine
  const state = memoryState()
  let challengesAsked = 0
  let last: Pass | undefined
  let policy = parsePolicy(Buffer.from(JSON.stringify(nothing)))
  const reporter = session.reporter ?? { send: async () => {} }
  return {
    session,
    adapter,
    stores,
    identities,
    transport,
    keys,
    exchanges,
    challengesAsked: () => challengesAsked,
    async assign(document) {
      const delivered = await session.assign(document)
      policy = parsePolicy(Buffer.from(JSON.stringify(delivered)))
    },
    async checkIn() {
      const challengeSource = {
        challengeFor(profileId: string, attemptId: string, signal: AbortSignal) {
          challengesAsked++
          const given = () => session.challengeSource.challengeFor(profileId, attemptId, signal)
          return challenge ? challenge(given, session) : given()
        },
      }
      const policySource = { fetch: async () => policy }
      const { clock, pfxSource } = session
      const pfx = pfxSource && { pfxSource }
      const device = { clock, jitter, platform: adapter, policySource, challengeSource, ...pfx, state, reporter }
      last = await reconcile(device, new AbortController().signal)
      return last.report
    },
    wakeAt: () => last?.wakeAt,
    lock(locked) {
      isLocked = locked
    },
  }
}

const nothing: PolicyDocument = {
  schemaVersion: 1,
  revision: 0,
  deviceId: 'nobody',
  trustedRoots: [],
  scepProfiles: [],
  failedProfiles: [],
}

/** As `parseOs` reads it. */
export const versionText = ({ system, version }: Os): string => (system === 'windows-phone' ? `Phone ${version}` : version)

function between(transport: Transport, { between: meet }: DeviceWishes): Transport {
  if (meet === undefined) return transport
  return { send: (request, signal) => meet(request, (sent) => transport.send(sent, signal)) }
}

function recording(exchanges: Exchange[], clock: Clock, transport: Transport): Transport {
  return {
    async send(request, signal) {
      const at = clock.now()
      const index = exchanges.push({ at, request }) - 1
      const response = await transport.send(request, signal)
      exchanges[index] = { at, request, response }
      return response
    },
  }
}
