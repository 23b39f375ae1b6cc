import {
  type Agent,
  type AgentOptions,
  type Clock,
  createAgent,
  type Jitter,
  type PlatformAdapter,
  type PolicySource,
  type StateStore,
  type Transport,
} from '@certfleet/agent-core'
import {
  type FactOverrides,
  type Management,
  type PlatformBindings,
  platformAdapter,
  type UserAnswer,
  type UserConsent,
} from '@certfleet/platforms'
import type { DeviceWitness } from '../invariants/witness.ts'
import type { DeviceMeter } from '../measure/device-meter.ts'
import type { FleetPlatform } from '../scenario/devices.ts'
import type { Hardware } from '../tenant/index.ts'
import type { DeviceService, DeviceStorage, FleetTarget } from './ports.ts'
import { fencedPfx, fencedTransport } from './queue/fence.ts'

export interface DeviceSpec {
  /** The id under which it registers. */
  readonly id: string
  readonly platform: FleetPlatform
  /** As `parseOs` reads it. */
  readonly osVersion: string
  /** What it is enrolled as. Default: the platform's usual one. */
  readonly management?: Management
  /** What its user says whenever the OS asks. Default: granted. */
  readonly userConsent?: UserAnswer
  /** What keeps its keys beside the software; on Windows alone. Default: a TPM 2.0. */
  readonly hardware?: Hardware
  /** Its policy may deliver PFX: it makes a management key and registers with its certificate. Default false. */
  readonly receivesPfx?: boolean
}

/** What every device of a fleet shares. */
export interface DeviceSurroundings {
  readonly target: FleetTarget
  readonly transport: Transport
  readonly clock: Clock
  /** Read replies in single DES. */
  readonly legacyDes: boolean
  /** Accept SHA-1 where the peer offers nothing better. */
  readonly legacySha1: boolean
  /** From `factOverrides`. Default: every OS does as sourced. */
  readonly overrides?: FactOverrides | undefined
  /** How long after the last a device that stays checks in, and how long at most it pauses before. */
  readonly stay?: { readonly checkInMs: number; readonly thinkMs: number } | undefined
}

/** The real agent, with the ports that hold what it did. */
export interface EmulatedDevice {
  readonly agent: Agent
  readonly platform: PlatformAdapter
  readonly state: StateStore
}

/** What is one device's alone. */
export interface DeviceOwn {
  readonly jitter: Jitter
  readonly storage: DeviceStorage
  readonly meter: DeviceMeter
  readonly witness: DeviceWitness
  readonly transport: Transport
  /** Awaited before each PKIOperation, and before a PFX is asked for and what came of it is told, and not measured. Default: nothing is. */
  readonly fence?: (() => Promise<void>) | undefined
}

/**
 * Lets a device in and puts the real agent on its ports, with meter and witness around them. Plain http SCEP URLs are allowed on every
 * platform: the lab has no TLS.
 */
export async function bootDevice(
  spec: DeviceSpec,
  own: DeviceOwn,
  surroundings: DeviceSurroundings,
  signal: AbortSignal,
): Promise<EmulatedDevice> {
  const { jitter, storage, meter, witness } = own
  const { target, clock, stay } = surroundings
  const way = meter.transport(own.transport)
  const transport = witness.watchTransport(own.fence ? fencedTransport(way, own.fence) : way)
  const service = await target.admit({ spec, transport, clock, jitter, storage }, signal)
  const platform = witness.watchPlatform(meter.platform(platformOf(spec, own, transport, surroundings)))
  const { state } = storage
  const { policySource, challengeSource, reporter } = service
  const options: Writable<AgentOptions> = { clock, jitter, platform, policySource, challengeSource, state, reporter }
  const { pfxSource } = service
  if (pfxSource) options.pfxSource = pfxSource
  if (pfxSource && own.fence) {
    const fenced = fencedPfx({ pfxSource, reporter }, own.fence)
    options.pfxSource = fenced.pfxSource
    options.reporter = fenced.reporter
  }
  if (storage.keyStorage) options.keyStorage = storage.keyStorage
  if (stay) options.checkInIntervalMs = stay.checkInMs
  if (stay && stay.thinkMs > 0) options.policySource = thinking(policySource, stay.thinkMs, clock, jitter)
  if (stay && service.connectPush) options.connectPush = metered(service.connectPush, meter)
  return { agent: createAgent(options), platform, state }
}

/** Filled member by member: what is put together by spreading has a shape of its own for each device, two KiB. */
type Writable<Options> = { -readonly [Name in keyof Options]: Options[Name] }

function platformOf(spec: DeviceSpec, own: DeviceOwn, transport: Transport, surroundings: DeviceSurroundings): PlatformAdapter {
  const { storage, witness, jitter } = own
  const { clock, legacyDes, legacySha1, overrides } = surroundings
  const bindings: Writable<PlatformBindings> = {
    osVersion: spec.osVersion,
    userConsent: consents[spec.userConsent ?? 'granted'],
    keyStorageProviders: storage.keyStorageProviders,
    certificateStores: storage.certificateStores,
    identities: witness.identities,
    transport,
    clock,
    jitter,
    legacyDes,
    legacySha1,
    allowHttp: true,
  }
  if (spec.management) bindings.management = spec.management
  if (overrides) bindings.overrides = overrides
  return platformAdapter(spec.platform, bindings)
}

const consents: Readonly<Record<UserAnswer, UserConsent>> = {
  granted: async () => 'granted',
  refused: async () => 'refused',
  waiting: async () => 'waiting',
}

/** In a function of its own, so that it keeps nothing but these two. */
function metered(connectPush: NonNullable<DeviceService['connectPush']>, meter: DeviceMeter): NonNullable<AgentOptions['connectPush']> {
  return (onWake) => connectPush(onWake, meter.push())
}

/** A pause before every check-in, the first apart. */
function thinking(source: PolicySource, thinkMs: number, clock: Clock, jitter: Jitter): PolicySource {
  let isFirst = true
  return {
    async fetch(signal) {
      if (!isFirst) await clock.sleep(jitter.between(0, thinkMs), signal)
      isFirst = false
      return source.fetch(signal)
    },
  }
}
