import {
  type AgentError,
  type AgentState,
  type CertificateStores,
  createAgent,
  filePolicyCache,
  fileState,
  type HttpRequest,
  type HttpResponse,
  type IdentityStore,
  type KeyStorageProvider,
  managementIdentity,
  managementKeyLabel,
  memoryIdentities,
  memoryStores,
  policyService,
  registerDevice,
} from '@certfleet/agent-core'
import { type FactOverrides, platformAdapter } from '@certfleet/platforms'
import type { DeviceSpec } from '../fleet/device.ts'
import type { PushListener } from '../lab/index.ts'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import { simulatedDisk } from './disk.ts'
import { clockOffset, type Episode, episodeAt, type Fault, networkFault } from './faults.ts'
import { deviceClock, type Incarnation, incarnation } from './incarnation.ts'
import type { Violations } from './invariants.ts'
import { simulatedTransport } from './network.ts'
import type { DevicePorts, Sabotage } from './ports.ts'
import { busyWhile } from './storage.ts'
import type { Timeline } from './timeline.ts'
import { describeResult, type Trace } from './trace.ts'
import { witness } from './witness.ts'

/** What every simulated device shares. */
export interface SimulatedWorld {
  readonly seed: Seed
  readonly timeline: Timeline
  readonly trace: Trace
  readonly violations: Violations
  readonly policyUrl: string
  readonly registrationToken: string
  readonly checkInMs: number
  /** False: every wait is the shortest, and renewals come when they are due. */
  readonly hasJitter: boolean
  readonly sabotage: Sabotage
  readonly overrides?: FactOverrides | undefined
  onRenewed(device: string): void
  /** What the network does with requests, and push with messages, goes by chance. */
  isFaulty(): boolean
  handle(request: HttpRequest): Promise<HttpResponse>
  connectPush(credential: string, listener: PushListener): (() => void) | undefined
  onFault(fault: Fault, device: string): void
  /** Whether the service made that key, SubjectPublicKeyInfo, for that device. */
  isKeyFor(device: string, publicKey: Uint8Array): boolean
}

export interface SimulatedDevice {
  readonly spec: DeviceSpec
  /** Begins its first life. */
  boot(): Promise<void>
  /** Lets it crash at a port call within its next few. */
  crashSoon(): void
  crashNever(): void
  identities(): ReturnType<IdentityStore['list']>
  /** What is on its disk; `ERR_STATE_INVALID` where that is no state. */
  state(): Promise<AgentState>
  roots(): ReturnType<CertificateStores['list']>
  /** Of the keys that it holds for certificates. */
  keyLabels(): Promise<readonly string[]>
  /** By its last report: an expired certificate that its OS does not renew any more (platform-behaviours 2.4). */
  readonly hasMissedRenewal: boolean
  readonly crashes: number
}

export interface SimulatedDeviceOptions {
  readonly spec: DeviceSpec
  readonly index: number
  readonly episodes: readonly Episode[]
  /** What it has to keep keys in; one that is a TPM is busy at times. */
  readonly providers: readonly KeyStorageProvider[]
}

const statePath = '/device/state.json'
const policyPath = '/policy/policy'

/** The real agent on ports whose time, network, disk and hardware are simulated; what lasts over a crash lasts here too. */
export function simulatedDevice({ spec, index, episodes, providers }: SimulatedDeviceOptions, world: SimulatedWorld): SimulatedDevice {
  const { seed, timeline, trace, violations } = world
  const chance = chanceOf(seed, index, 'device')
  const network = chanceOf(seed, index, 'network')
  const now = () => timeline.now()
  const during = (fault: Episode['fault']) => episodeAt(episodes, fault, now())
  const seen = witness({ spec, violations, isFromService: (publicKey) => world.isKeyFor(spec.id, publicKey) })
  const disk = (world.sabotage.disk ?? asItIs)(simulatedDisk(() => during('disk-full') !== undefined))
  const identities = memoryIdentities()
  const certificateStores = memoryStores()
  let credential: string | undefined
  let life: Incarnation | undefined
  let stepsToCrash = Number.POSITIVE_INFINITY
  let crashes = 0
  let hasMissedRenewal = false
  let hangUp = () => {}

  function crash(): void {
    stepsToCrash = Number.POSITIVE_INFINITY
    crashes++
    trace.add('crash', spec.id)
    world.onFault('crash', spec.id)
    life?.kill()
    hangUp()
    disk.cutPower()
    timeline.at(now() + chance.between(10_000, 600_000), boot)
  }

  /** What an embedder does about a credential that another registration has replaced: one whose answer was lost, say. */
  function registerAgain(own: Incarnation): void {
    trace.add('registers again', spec.id)
    credential = undefined
    own.kill()
    hangUp()
    timeline.at(now() + chance.between(1_000, 60_000), boot)
  }

  async function boot(): Promise<void> {
    const own = incarnation({ name: spec.id, timeline, asleepUntil: () => during('asleep')?.to })
    life = own
    await own.rouse(() => void start(own).catch((error: unknown) => bootFailed(own, error)))
  }

  /** A bug is thrown from the timeline, where the run ends by it. */
  function bootFailed(own: Incarnation, error: unknown): void {
    own.kill()
    const isForeseen = error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_')
    timeline.at(now() + (isForeseen ? chance.between(60_000, 600_000) : 0), () => {
      if (!isForeseen) throw error
      return boot()
    })
  }

  async function start(own: Incarnation): Promise<void> {
    const onCall = () => {
      if (own.isAlive && stepsToCrash-- <= 0) crash()
    }
    const shaky = <T extends object>(port: T): T => own.through(port, onCall)
    const clock = deviceClock(timeline, own, (at) => clockOffset(episodes, at))
    const transport = simulatedTransport({ timeline, life: own, chance: network, handle: world.handle, faultOf })
    const jitter = world.hasJitter ? chanceOf(seed, index, 'jitter', crashes) : noJitter
    const guarded = shaky(seen.watchDisk(disk, statePath))
    const { id: deviceId, platform: name, osVersion, management, userConsent = 'granted' } = spec
    const { policyUrl, registrationToken, sabotage, overrides } = world
    const mode = management && { management }
    const identity = spec.receivesPfx ? await managementIdentity(own.through(providers[0] as KeyStorageProvider)) : undefined
    const managed = identity && { managementCertificate: identity.certificate }
    const asked = { policyUrl, transport, registrationToken, deviceId, platform: name, osVersion, ...mode, ...managed }
    credential ??= (await registerDevice(asked)).credential
    seen.foundOnDisk(await disk.read(statePath))
    const state = await fileState(statePath, { disk: guarded, lock: noLock })
    seen.restarted(await state.load(), await identities.list())
    const cache = filePolicyCache(policyPath, { disk: guarded })
    const kept = {
      keyStorageProviders: providers.map(withBusyTpm),
      certificateStores,
      identities,
      state,
      ...policyService({ policyUrl, credential, deviceId, transport, cache, ...(identity && { management: identity }) }),
    }
    const ports = through(own, onCall, (sabotage.agent ?? asItIs)(seen.watch((sabotage.storage ?? asItIs)(kept))))
    const platform = platformAdapter(name, {
      ...ports,
      osVersion,
      ...mode,
      userConsent: async () => userConsent,
      transport,
      clock,
      jitter,
      isLocked: async () => during('locked') !== undefined,
      allowHttp: true,
      ...(overrides && { overrides }),
    })
    const connectPush = (onWake: () => void) => listen(own, onWake)
    const agent = createAgent({ ...ports, clock, jitter, platform, checkInIntervalMs: world.checkInMs, connectPush })
    agent.on('result', (result) => {
      trace.add(describeResult(result), deviceId)
      if (result.kind === 'renew' && result.status === 'done') world.onRenewed(deviceId)
    })
    agent.on('error', ({ code }: AgentError) => {
      trace.add(`pass failed ${code}`, deviceId)
      if (code === 'ERR_UNAUTHORIZED') registerAgain(own)
    })
    agent.on('pass', (pass) => {
      hasMissedRenewal = pass.report.profiles.some(({ code }) => code === 'ERR_RENEWAL_MISSED')
      seen.passed(pass, during('tpm-busy') !== undefined)
    })
    agent.start()
  }

  function faultOf() {
    if (!world.isFaulty()) return undefined
    const fault = networkFault(network)
    if (fault) {
      trace.add(fault, spec.id)
      world.onFault(fault, spec.id)
    }
    return fault
  }

  function withBusyTpm(provider: KeyStorageProvider): KeyStorageProvider {
    return provider.protection === 'tpm' ? busyWhile(provider, () => during('tpm-busy') !== undefined) : provider
  }

  function listen(own: Incarnation, onWake: () => void): { close(): Promise<void> } {
    const send = () => {
      if (world.isFaulty() && chance.happens(100)) return world.onFault('push-lost', spec.id)
      timeline.at(now() + chance.between(10, 500), () => own.rouse(onWake))
    }
    hangUp = world.connectPush(credential as string, { send, close: () => {} }) ?? (() => {})
    return { close: async () => hangUp() }
  }

  return {
    spec,
    boot,
    crashSoon() {
      stepsToCrash = chance.between(0, 60)
    },
    crashNever() {
      stepsToCrash = Number.POSITIVE_INFINITY
    },
    identities: () => identities.list(),
    state: async () => (await fileState(statePath, { disk, lock: noLock })).load(),
    roots: () => certificateStores.list(),
    async keyLabels() {
      const labels = await Promise.all(providers.map((provider) => provider.list()))
      return labels.flat().filter((label) => label !== managementKeyLabel)
    },
    get hasMissedRenewal() {
      return hasMissedRenewal
    },
    get crashes() {
      return crashes
    },
  }
}

/** Two lives of one device never overlap. */
const noLock = async () => ({ assertHeld() {}, release: async () => {} })

const noJitter = { between: (minMs: number) => minMs }
const asItIs = <T>(part: T): T => part

/** Every port as one life of the device sees it. */
function through(life: Incarnation, onCall: () => void, ports: DevicePorts): DevicePorts {
  const seenBy = <T extends object>(port: T): T => life.through(port, onCall)
  return {
    keyStorageProviders: ports.keyStorageProviders.map(seenBy),
    certificateStores: seenBy(ports.certificateStores),
    identities: seenBy(ports.identities),
    state: seenBy(ports.state),
    policySource: seenBy(ports.policySource),
    challengeSource: seenBy(ports.challengeSource),
    ...(ports.pfxSource && { pfxSource: seenBy(ports.pfxSource) }),
    reporter: seenBy(ports.reporter),
  }
}
