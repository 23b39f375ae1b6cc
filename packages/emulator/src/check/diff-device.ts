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
  | { readonly kind: 'none' }
  | { readonly kind: 'mended' }
  | { readonly kind: 'broken'; readonly why: string }
  /** The device asks for another certificate, or has another PFX delivered. */
  | { readonly kind: 'reissued'; readonly reason: Reason }

/** One profile of a device as it is delivered, with its root; what cannot be delivered is not there. */
export interface Delivered {
  readonly document: PolicyDocument
  /** Equal texts, equal requests. */
  readonly text: string
  readonly failure: string | undefined
}

/** Cuts one profile out of a device's policy. */
export function deliveredOf(policy: PolicyDocument, profileId: string): Delivered {
  const isIt = ({ id }: { id: string }) => id === profileId
  const scepProfiles = policy.scepProfiles.filter(isIt)
  const pfxProfiles = (policy.pfxProfiles ?? []).filter(isIt)
  const [{ rootProfileId } = { rootProfileId: '' }] = [...scepProfiles, ...pfxProfiles]
  const trustedRoots = policy.trustedRoots.filter(({ id }) => id === rootProfileId)
  const document = {
    schemaVersion: 1 as const,
    revision: 1,
    deviceId: policy.deviceId,
    trustedRoots,
    scepProfiles,
    pfxProfiles,
    failedProfiles: [],
  }
  return { document, text: JSON.stringify(document), failure: policy.failedProfiles.find(isIt)?.message }
}

/** Asks the agent's planner what a device that has the certificate of `before` does once it is told `after`. */
export function effectOf(before: Delivered, after: Delivered, device: Device, overrides: FactOverrides | undefined): Effect {
  if (before.text === after.text) return { kind: 'none' }
  const adapter = adapterOf(device, overrides)
  const [old, now] = [before, after].map(({ document }) => policyOf(document, adapter)) as [DevicePolicy, DevicePolicy]
  const { lifecycle } = adapter
  const wasInstalled = firstAction(old, nothingInstalled, lifecycle)?.kind === 'asks'
  const fresh = firstAction(now, nothingInstalled, lifecycle)
  if (fresh?.kind !== 'asks') {
    if (!wasInstalled) return { kind: 'none' }
    return { kind: 'broken', why: after.failure ?? (fresh?.kind === 'fails' ? fresh.why : 'it is not delivered any more') }
  }
  if (!wasInstalled) return { kind: 'mended' }
  const next = firstAction(now, installedBy(old), lifecycle)
  return next?.kind === 'asks' ? { kind: 'reissued', reason: next.reason } : { kind: 'none' }
}

function policyOf(document: PolicyDocument, adapter: PlatformAdapter): DevicePolicy {
  const policy = parsePolicy(Buffer.from(JSON.stringify(document)))
  const isUnknown = [...policy.scepProfiles, ...policy.pfxProfiles].some(({ rootProfileId }) => rootProfileId === unknownRootId)
  return adapt(isUnknown ? { ...policy, trustedRoots: [unknownRoot] } : policy, adapter)
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
function installedBy({ trustedRoots, scepProfiles, pfxProfiles }: DevicePolicy): DeviceState {
  const identities = [...scepProfiles, ...pfxProfiles].map(({ id, principal, request }) => {
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

/** What the planner has the device do for its one profile, if anything. */
function firstAction(policy: DevicePolicy, state: DeviceState, lifecycle: PlatformAdapter['lifecycle']): Step | undefined {
  const { actions } = planActions(policy, state, issuedAt, lifecycle)
  for (const action of actions) {
    if (action.kind === 'fail') return { kind: 'fails', why: action.message }
    if (action.kind === 'enroll' || action.kind === 'renew' || action.kind === 'import') return { kind: 'asks', reason: action.reason }
  }
  return undefined
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
