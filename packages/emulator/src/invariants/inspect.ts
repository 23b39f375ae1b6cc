import {
  type AgentState,
  type Clock,
  type DevicePolicy,
  type Jitter,
  managementKeyLabel,
  type PlatformAdapter,
  reconcile,
} from '@certfleet/agent-core'
import type { FactOverrides } from '@certfleet/platforms'
import type { DeviceSpec } from '../fleet/device.ts'
import { type Holdings, leftover } from './leftovers.ts'
import type { DeviceFindings, InvariantId, Judgement } from './names.ts'
import type { DeviceWitness, Seen, WitnessedStorage } from './witness.ts'

export interface Inspection {
  readonly spec: DeviceSpec
  readonly witness: DeviceWitness
  /** What its agent works through. */
  readonly platform: PlatformAdapter
  /** What is under it. */
  readonly storage: WitnessedStorage
  readonly clock: Clock
  readonly jitter: Jitter
  readonly overrides?: FactOverrides | undefined
  /**
   * The device is through and goes on no other time: everything is taken from it, to see that nothing is left. False for a run that was
   * interrupted or may be resumed.
   */
  readonly isOver: boolean
}

/** What there is to say of one device, at its end: no pass is under way, and none follows. */
export async function inspectDevice(inspection: Inspection, signal: AbortSignal): Promise<DeviceFindings> {
  const { spec, witness, storage, isOver } = inspection
  await witness.lookAgain()
  const state = await storage.state.load()
  const { certificates, wrongKeys, wrongRoots, issued, notInstalled } = witness.seen()
  const orphans = orphansOf(notInstalled, isOver ? waiting(state) : underWay(state))
  const named = (found: readonly string[]) => found.map((sentence) => `${spec.id}: ${sentence}`)
  const judged: Partial<Record<InvariantId, Judgement>> = {
    keys: { checked: certificates.length, found: named(wrongKeys) },
    roots: { checked: certificates.length, found: named(wrongRoots) },
    orphans: { checked: issued, found: named(orphans) },
    ...(isOver && { removal: { checked: 1, found: named(await leftAfterRemoval(inspection, signal)) } }),
  }
  const isWaiting = waiting(state).size > 0
  return { device: spec.id, certificates, judged, isUnderWay: isWaiting || (!isOver && state.attempts.size > 0) }
}

/** Labels of keys whose certificates wait for the user of the device. */
const waiting = ({ attempts }: AgentState) => labelsOf([...attempts.values()].filter(({ issued }) => issued !== undefined))
const underWay = ({ attempts }: AgentState) => labelsOf([...attempts.values()])
const labelsOf = (attempts: readonly { readonly keyLabel: string }[]) => new Set(attempts.map(({ keyLabel }) => keyLabel))

function orphansOf(notInstalled: Seen['notInstalled'], excused: ReadonlySet<string>): readonly string[] {
  return [...notInstalled].filter(([label]) => !excused.has(label)).map(([, what]) => what)
}

const nothing: DevicePolicy = {
  // Higher than any that a service gave.
  revision: Number.MAX_SAFE_INTEGER,
  trustedRoots: [],
  scepProfiles: [],
  pfxProfiles: [],
  failedProfiles: [],
}

/** The real agent's pass over a policy without profiles, which nobody is told of. */
async function leftAfterRemoval(inspection: Inspection, signal: AbortSignal): Promise<readonly string[]> {
  const { spec, platform, storage, clock, jitter, overrides } = inspection
  const unasked = () => Promise.reject(new Error('a policy without profiles asks for nothing'))
  const local = {
    policySource: { fetch: async () => ({ ...nothing }) },
    challengeSource: { challengeFor: unasked },
    reporter: { send: async () => {} },
  }
  await reconcile({ ...local, platform, clock, jitter, state: storage.state }, signal)
  const left = leftover(await holdingsOf(storage), 'unassigned', { ...spec, overrides })
  return left === undefined ? [] : [`${left} though no profile is assigned any more`]
}

async function holdingsOf({ identities, certificateStores, keyStorageProviders, state }: WitnessedStorage): Promise<Holdings> {
  const labels = await Promise.all(keyStorageProviders.map((provider) => provider.list()))
  return {
    identities: await identities.list(),
    roots: await certificateStores.list(),
    keyLabels: labels.flat().filter((label) => label !== managementKeyLabel),
    state: await state.load(),
  }
}
