import {
  adapt,
  type DevicePolicy,
  type DeviceState,
  type IdentityKey,
  identityKey,
  memoryIdentities,
  memoryStores,
  type PlatformAdapter,
  type PolicyDocument,
  parsePolicy,
  planActions,
  type Reason,
  type TrustedRootProfile,
} from '@certfleet/agent-core'
import { type FactOverrides, platformAdapter } from '@certfleet/platforms'
import { type Device, managementOf, osVersionOf } from '../tenant/index.ts'

/** In the place of roots that an export does not tell: the same before and after, so that it decides nothing. */
export const unknownRootId = 'unknown root'

/** What becomes of one device's certificate when its profile is edited. */
export type Effect =
  | { readonly kind: 'mended' }
  | { readonly kind: 'broken'; readonly why: string }
  /** The device asks for another certificate, or has another PFX delivered. */
  | { readonly kind: 'reissued'; readonly reason: Reason }

/** Asks the agent's planner what a device that has the certificates of `before` does once it is told `after`. What is not there: nothing. */
export function effectsOn(
  device: Device,
  [before, after]: readonly [before: PolicyDocument, after: PolicyDocument],
  overrides: FactOverrides | undefined,
): ReadonlyMap<string, Effect> {
  const changed = changedIds(before, after)
  // Nearly all devices of most edits end here; to read a policy is dear.
  if (changed.length === 0) return new Map()
  const adapter = adapterOf(device, overrides)
  const [old, now] = [before, after].map((document) => policyOf(document, adapter)) as [DevicePolicy, DevicePolicy]
  const had = stepsOf(old, nothingInstalled, adapter)
  const fresh = stepsOf(now, nothingInstalled, adapter)
  const next = stepsOf(now, installedBy(old, had), adapter)
  const effects = changed.map((id) => [id, effectOf(had.get(id), fresh.get(id), next.get(id))] as const)
  return new Map(effects.flatMap(([id, effect]) => (effect ? [[id, effect]] : [])))
}

/** `had`, `fresh`: on a device that has nothing, by the old and the new policy. `next`: by the new one on a device that has the old one's. */
function effectOf(had: Step | undefined, fresh: Step | undefined, next: Step | undefined): Effect | undefined {
  const isInstalled = had?.kind === 'asks'
  if (fresh?.kind !== 'asks') return isInstalled ? { kind: 'broken', why: fresh?.why ?? 'it is not for this OS' } : undefined
  if (!isInstalled) return { kind: 'mended' }
  return next?.kind === 'asks' ? { kind: 'reissued', reason: next.reason } : undefined
}

/** The certificate profiles that are delivered otherwise, fail now or failed before. */
function changedIds(before: PolicyDocument, after: PolicyDocument): readonly string[] {
  const [old, now] = [textsOf(before), textsOf(after)]
  return [...new Set([...old.keys(), ...now.keys()])].filter((id) => old.get(id) !== now.get(id))
}

/** Equal texts, equal requests. */
function textsOf({ trustedRoots, scepProfiles, pfxProfiles = [] }: PolicyDocument): ReadonlyMap<string, string> {
  const roots = new Map(trustedRoots.map((root) => [root.id, JSON.stringify(root)]))
  return new Map(
    [...scepProfiles, ...pfxProfiles].map((profile) => [profile.id, JSON.stringify(profile) + roots.get(profile.rootProfileId)]),
  )
}

function policyOf(document: PolicyDocument, adapter: PlatformAdapter): DevicePolicy {
  const policy = parsePolicy(Buffer.from(JSON.stringify(document)))
  return adapt({ ...policy, trustedRoots: [...policy.trustedRoots, unknownRoot] }, adapter)
}

const unknownRoot: TrustedRootProfile = {
  id: unknownRootId,
  displayName: 'unknown root',
  certificate: new Uint8Array(),
  fingerprint: '',
  destinationStore: 'computer-root',
  assignedTo: ['device', 'user'],
}

/** An instant like any other: nothing is due for renewal on the day of issue. */
const issuedAt = 0
const expiresAt = 365 * 86_400_000

const nothingInstalled: DeviceState = {
  roots: [],
  identities: new Map(),
  attempts: new Map(),
  pending: new Map(),
  failures: new Map(),
  keyLabels: new Set(),
  keyStorage: [],
  locked: false,
}

/** The device on the day on which it got what the policy says. */
function installedBy({ trustedRoots, scepProfiles, pfxProfiles }: DevicePolicy, had: ReadonlyMap<string, Step>): DeviceState {
  const installed = [...scepProfiles, ...pfxProfiles].filter(({ id }) => had.get(id)?.kind === 'asks')
  const identities = installed.map(({ id, principal, request }) => {
    const facts = { profileId: id, principal, keyLabel: id, keyUsable: true, requested: request, renewalJitterMs: 0 }
    return [identityKey(principal, id), { ...facts, notBefore: issuedAt, notAfter: expiresAt }] as const
  })
  return {
    ...nothingInstalled,
    roots: trustedRoots.map(({ destinationStore: store, fingerprint }) => ({ store, fingerprint })),
    identities: new Map<IdentityKey, (typeof identities)[number][1]>(identities),
    keyLabels: new Set(identities.map(([, { keyLabel }]) => keyLabel)),
  }
}

type Step = { readonly kind: 'asks'; readonly reason: Reason } | { readonly kind: 'fails'; readonly why: string }

/** What the planner has the device do, by profile. */
function stepsOf(policy: DevicePolicy, state: DeviceState, { lifecycle }: PlatformAdapter): ReadonlyMap<string, Step> {
  const steps = new Map<string, Step>()
  for (const action of planActions(policy, state, issuedAt, lifecycle).actions) {
    if (action.kind === 'fail') steps.set(action.profile.id, { kind: 'fails', why: action.message })
    if (action.kind === 'enroll' || action.kind === 'renew' || action.kind === 'import')
      steps.set(action.profile.id, { kind: 'asks', reason: action.reason })
  }
  return steps
}

const asSourced: FactOverrides = new Map()
const adapters = new WeakMap<FactOverrides, Map<string, PlatformAdapter>>()

/** One for all devices of a release. */
function adapterOf(device: Device, overrides: FactOverrides = asSourced): PlatformAdapter {
  const known = adapters.get(overrides) ?? new Map<string, PlatformAdapter>()
  adapters.set(overrides, known)
  const [osVersion, management] = [osVersionOf(device), managementOf(device)]
  const key = `${device.platform} ${osVersion} ${management}`
  const adapter = known.get(key) ?? newAdapter(device, overrides)
  known.set(key, adapter)
  return adapter
}

/** It decides, and never acts. */
function newAdapter(device: Device, overrides: FactOverrides): PlatformAdapter {
  const management = managementOf(device)
  return platformAdapter(device.platform, {
    osVersion: osVersionOf(device),
    ...(management && { management }),
    overrides,
    keyStorageProviders: [],
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    transport: { send: () => Promise.reject(new Error('a comparison asks no server')) },
    clock: { now: () => issuedAt, sleep: async () => {} },
    jitter: { between: (minMs) => minMs },
  })
}
