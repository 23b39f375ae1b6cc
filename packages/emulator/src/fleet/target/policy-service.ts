import {
  AgentError,
  type ChallengeSource,
  connectPush,
  type DeliveredPfx,
  type DevicePolicy,
  type ManagementIdentity,
  managementIdentity,
  managementKeyLabel,
  type PfxSource,
  type PolicyCache,
  type PolicyService,
  type PolicySource,
  type PushChannel,
  policyService,
  type Registration,
  type Report,
  type Reporter,
  registerDevice,
  type TlsTrust,
} from '@certfleet/agent-core'
import type { Admission, DeviceService, FleetTarget, PushEvents } from '../ports.ts'
import { MemberPush, MemberPushOptions } from './member-push.ts'

export interface PolicyServiceTargetOptions {
  /** `…/device/policy`; the other services are beside it. */
  readonly policyUrl: string
  /** What entitles a device to register. A secret. */
  readonly registrationToken: string
  /** Whether there is a push channel beside it. */
  readonly push: boolean
  /** Of the push channel; all else goes by the transport of the admission. Default: the system's CAs. */
  readonly trust?: TlsTrust
  /** The address of this machine that push connections come from. Default: the system's choice. */
  readonly localAddress?: string | undefined
}

/**
 * A policy service, embedded or somebody's: devices register there and get policy, challenges, PFX and push. One whose registration is on
 * record registers again only when a registration that was good is refused (`ERR_UNAUTHORIZED`), or when the management key that it
 * registered with is gone.
 */
export function policyServiceTarget(options: PolicyServiceTargetOptions): FleetTarget {
  return {
    async admit(admission, signal) {
      const management = await managementOf(admission)
      const known = management?.isNew ? undefined : await admission.storage.registration()
      const member = new Member(options, admission, management?.identity)
      if (known) member.believe(known)
      else await member.register(signal)
      return member.service()
    },
  }
}

/** The service cannot know which devices have keys for PFX but by their registration, so that a new key needs a new one. */
async function managementOf({ spec, storage }: Admission): Promise<{ identity: ManagementIdentity; isNew: boolean } | undefined> {
  if (!spec.receivesPfx) return undefined
  const keys = storage.managementKeys()
  const isNew = (await keys.open(managementKeyLabel)) === undefined
  return { identity: await managementIdentity(keys), isNew }
}

/** One registered device. Thousands are at rest: it keeps what a pass needs of an earlier one, and makes all else when it is asked for. */
class Member implements PolicySource, ChallengeSource, Reporter, PfxSource {
  readonly #options: PolicyServiceTargetOptions
  readonly #admission: Admission
  readonly #management: ManagementIdentity | undefined
  #registration: Registration | undefined
  /** Remembers the policy that it parsed last. */
  #policySource: PolicySource | undefined
  /** The service has taken the registration before. */
  #isGood = false

  constructor(options: PolicyServiceTargetOptions, admission: Admission, management: ManagementIdentity | undefined) {
    this.#options = options
    this.#admission = admission
    this.#management = management
  }

  service(): DeviceService {
    const service: { -readonly [Name in keyof DeviceService]: DeviceService[Name] } = {
      policySource: this,
      challengeSource: this,
      reporter: this,
    }
    if (this.#management) service.pfxSource = this
    if (this.#options.push) service.connectPush = (onWake, events) => this.#connectPush(onWake, events)
    return service
  }

  believe(registration: Registration): void {
    this.#registration = registration
    this.#policySource = this.#client(this.#admission.storage.policyCache).policySource
    this.#isGood = true
  }

  async register(signal: AbortSignal): Promise<void> {
    const { policyCache } = this.#admission.storage
    const cache = this.#registration ? emptied(policyCache) : policyCache
    this.#registration = await registered(this.#options, this.#admission, this.#management, signal)
    this.#policySource = this.#client(cache).policySource
    this.#isGood = false
  }

  /** Every pass begins with it: what a refused credential keeps from the others is put right here. */
  async fetch(signal: AbortSignal): Promise<DevicePolicy> {
    try {
      return await this.#fetchOnce(signal)
    } catch (error) {
      if (!this.#isGood || !(error instanceof AgentError) || error.code !== 'ERR_UNAUTHORIZED') throw error
      await this.register(signal)
      return this.#fetchOnce(signal)
    }
  }

  async challengeFor(profileId: string, attemptId: string, signal: AbortSignal): Promise<string | undefined> {
    return this.#client().challengeSource.challengeFor(profileId, attemptId, signal)
  }

  async send(report: Report, signal: AbortSignal): Promise<void> {
    return this.#client().reporter.send(report, signal)
  }

  async pfxFor(profileId: string, attemptId: string, signal: AbortSignal): Promise<DeliveredPfx> {
    return (this.#client() as Required<PolicyService>).pfxSource.pfxFor(profileId, attemptId, signal)
  }

  async #fetchOnce(signal: AbortSignal): Promise<DevicePolicy> {
    const policy = await (this.#policySource as PolicySource).fetch(signal)
    this.#isGood = true
    return policy
  }

  #connectPush(onWake: () => void, events: PushEvents): PushChannel {
    return new MemberPush(events, (watch) =>
      connectPush(new MemberPushOptions(this.#options, this.#admission, () => this.#registered().credential, { onWake, ...watch })),
    )
  }

  #registered(): Registration {
    return this.#registration as Registration
  }

  #client(cache: PolicyCache = this.#admission.storage.policyCache): PolicyService {
    const { deviceId, credential } = this.#registered()
    const { policyUrl } = this.#options
    const { transport } = this.#admission
    const management = this.#management
    return policyService({ policyUrl, credential, deviceId, transport, cache, ...(management && { management }) })
  }
}

async function registered(
  { policyUrl, registrationToken }: PolicyServiceTargetOptions,
  { spec, transport, storage }: Admission,
  management: ManagementIdentity | undefined,
  signal: AbortSignal,
): Promise<Registration> {
  const { id: deviceId, platform, osVersion, management: mode } = spec
  const registration = await registerDevice(
    {
      ...{ policyUrl, transport, registrationToken, deviceId, platform, osVersion },
      ...(mode && { management: mode }),
      ...(management && { managementCertificate: management.certificate }),
    },
    signal,
  )
  await storage.saveRegistration(registration)
  return registration
}

/** What an earlier registration was given says nothing about what this one may be given. */
function emptied(cache: PolicyCache): PolicyCache {
  let isOwn = false
  return {
    load: async () => (isOwn ? cache.load() : undefined),
    async save(entry) {
      await cache.save(entry)
      isOwn = true
    },
  }
}
