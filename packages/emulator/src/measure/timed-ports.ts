import type { EnrollmentProtocol, IdentityStore, PlatformAdapter, Transport } from '@certfleet/agent-core'
import type { StepTimer } from './step-timer.ts'
import { timedKeys } from './timed-keys.ts'
import type { Step } from './types.ts'

export function timedTransport(transport: Transport, timer: StepTimer): Transport {
  return {
    async send(request, signal) {
      const step = stepOf(request.url)
      const send = () => transport.send(request, signal)
      return timer.note(await (step ? timer.time(step, send) : send()))
    },
  }
}

export const timedPlatform = (adapter: PlatformAdapter, timer: StepTimer): PlatformAdapter => new TimedPlatform(adapter, timer)

/** Members are taken over one by one: what is put together by spreading has a shape of its own for each device. */
class TimedPlatform implements PlatformAdapter {
  readonly name: string
  readonly keyStorageProviders: PlatformAdapter['keyStorageProviders']
  readonly certificateStores: PlatformAdapter['certificateStores']
  readonly identities: IdentityStore
  readonly pendingSchedule: PlatformAdapter['pendingSchedule']
  readonly storeFor: PlatformAdapter['storeFor']
  readonly requestFor: PlatformAdapter['requestFor']
  readonly pfxRules: PlatformAdapter['pfxRules']
  readonly pfxRequestFor: PlatformAdapter['pfxRequestFor']
  declare readonly inapplicable?: NonNullable<PlatformAdapter['inapplicable']>
  readonly ignoredSettings: PlatformAdapter['ignoredSettings']
  readonly isLocked: PlatformAdapter['isLocked']
  declare readonly shownOf?: NonNullable<PlatformAdapter['shownOf']>
  readonly lifecycle: PlatformAdapter['lifecycle']
  readonly #adapter: PlatformAdapter
  readonly #timer: StepTimer

  constructor(adapter: PlatformAdapter, timer: StepTimer) {
    this.name = adapter.name
    this.keyStorageProviders = adapter.keyStorageProviders.map((provider) => timedKeys(provider, timer))
    this.certificateStores = adapter.certificateStores
    this.identities = new TimedIdentities(adapter.identities, timer)
    this.pendingSchedule = adapter.pendingSchedule
    this.storeFor = adapter.storeFor
    this.requestFor = adapter.requestFor
    this.pfxRules = adapter.pfxRules
    this.pfxRequestFor = adapter.pfxRequestFor
    if (adapter.inapplicable) this.inapplicable = adapter.inapplicable
    this.ignoredSettings = adapter.ignoredSettings
    this.isLocked = adapter.isLocked
    if (adapter.shownOf) this.shownOf = adapter.shownOf
    this.lifecycle = adapter.lifecycle
    this.#adapter = adapter
    this.#timer = timer
  }

  protocolFor(...given: Parameters<PlatformAdapter['protocolFor']>): EnrollmentProtocol {
    return timedProtocol(this.#adapter.protocolFor(...given), this.#timer)
  }
}

class TimedIdentities implements IdentityStore {
  readonly #identities: IdentityStore
  readonly #timer: StepTimer

  constructor(identities: IdentityStore, timer: StepTimer) {
    this.#identities = identities
    this.#timer = timer
  }

  list(): ReturnType<IdentityStore['list']> {
    return this.#identities.list()
  }

  install(...given: Parameters<IdentityStore['install']>): Promise<void> {
    return this.#timer.time('install', () => this.#identities.install(...given))
  }

  remove(...given: Parameters<IdentityStore['remove']>): Promise<void> {
    return this.#identities.remove(...given)
  }
}

/** For as long as it makes its request: the agent keeps none. */
function timedProtocol(protocol: EnrollmentProtocol, timer: StepTimer): EnrollmentProtocol {
  return {
    name: protocol.name,
    request: async (...given) => timer.note(await protocol.request(...given)),
    poll: async (...given) => timer.note(await timer.time('poll', () => protocol.poll(...given))),
  }
}

const byOperation = /[?&]operation=(GetCACaps|GetCACert|PKIOperation)(?:&|$)/
/** The last name of a path. */
const byName = /([^/?#]+)\/?(?:[?#]|$)/
const stepsByName: ReadonlyMap<string, Step> = new Map([
  ['register', 'register'],
  ['policy', 'policy'],
  ['challenge', 'challenge'],
  // The page on which NDES gives out its challenges.
  ['mscep_admin', 'challenge'],
  ['pfx', 'pfx'],
  ['report', 'report'],
])

/** What a device asks for by that URL: of SCEP by the operation (RFC 8894 4.1), of the policy service by the name. Undefined for others. */
export function stepOf(url: string): Step | undefined {
  const operation = byOperation.exec(url)?.[1] as Step | undefined
  return operation ?? stepsByName.get(byName.exec(url)?.[1] ?? '')
}
