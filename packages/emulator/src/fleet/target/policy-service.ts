import {
  AgentError,
  connectPush,
  type ManagementIdentity,
  managementIdentity,
  managementKeyLabel,
  type PolicyCache,
  type PolicyService,
  policyService,
  type Registration,
  registerDevice,
  softwareKeys,
  type TlsTrust,
} from '@certfleet/agent-core'
import type { Admission, DeviceService, FleetTarget } from '../ports.ts'

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
      const member = { ...options, admission, management: management?.identity }
      const known = management?.isNew ? undefined : await admission.storage.registration()
      return known ? memberService(member, known, true) : memberService(member, await register(member, signal), false)
    },
  }
}

interface Member extends PolicyServiceTargetOptions {
  readonly admission: Admission
  readonly management: ManagementIdentity | undefined
}

/** The service cannot know which devices have keys for PFX but by their registration, so that a new key needs a new one. */
async function managementOf({ spec, storage }: Admission): Promise<{ identity: ManagementIdentity; isNew: boolean } | undefined> {
  if (!spec.receivesPfx) return undefined
  const keys = storage.keyStorageProviders.find(({ protection }) => protection === 'software') ?? softwareKeys()
  const isNew = (await keys.open(managementKeyLabel)) === undefined
  return { identity: await managementIdentity(keys), isNew }
}

async function register({ policyUrl, registrationToken, admission, management }: Member, signal: AbortSignal): Promise<Registration> {
  const { spec, transport, storage } = admission
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

/** `wasGood`: the service has taken that registration before. */
function memberService(member: Member, first: Registration, wasGood: boolean): DeviceService {
  const { admission, management, push } = member
  let registration = first
  let isGood = wasGood
  let service = clientOf(member, registration, admission.storage.policyCache)

  async function registerAgain(signal: AbortSignal): Promise<void> {
    registration = await register(member, signal)
    isGood = false
    service = clientOf(member, registration, emptied(admission.storage.policyCache))
  }

  return {
    policySource: {
      // Every pass begins with it: what a refused credential keeps from the others is put right here.
      async fetch(signal) {
        try {
          return await fetchPolicy(signal)
        } catch (error) {
          if (!isGood || !(error instanceof AgentError) || error.code !== 'ERR_UNAUTHORIZED') throw error
          await registerAgain(signal)
          return fetchPolicy(signal)
        }
      },
    },
    challengeSource: { challengeFor: (...asked) => service.challengeSource.challengeFor(...asked) },
    reporter: { send: (...sent) => service.reporter.send(...sent) },
    ...(management && { pfxSource: { pfxFor: (...asked) => (service as Required<PolicyService>).pfxSource.pfxFor(...asked) } }),
    ...(push && { connectPush: pushOf(member, () => registration.credential) }),
  }

  async function fetchPolicy(signal: AbortSignal) {
    const policy = await service.policySource.fetch(signal)
    isGood = true
    return policy
  }
}

function clientOf({ policyUrl, admission, management }: Member, { deviceId, credential }: Registration, cache: PolicyCache): PolicyService {
  return policyService({ policyUrl, credential, deviceId, transport: admission.transport, cache, ...(management && { management }) })
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

function pushOf(
  { policyUrl, trust, localAddress, admission }: Member,
  credentialOf: () => string,
): NonNullable<DeviceService['connectPush']> {
  const { clock, jitter } = admission
  return (onWake, { onOpen, onDown }) => {
    let isOpen = false
    const down = () => {
      const wasOpen = isOpen
      isOpen = false
      onDown(wasOpen)
    }
    const channel = connectPush({
      ...{ policyUrl, clock, jitter, onWake, onDown: down, ...trust },
      ...(localAddress !== undefined && { localAddress }),
      // Read at each connection: a device may have registered again.
      get credential() {
        return credentialOf()
      },
      onUp(durationMs) {
        isOpen = true
        onOpen(durationMs)
      },
    })
    return {
      async close() {
        await channel.close()
        if (isOpen) down()
      },
    }
  }
}
