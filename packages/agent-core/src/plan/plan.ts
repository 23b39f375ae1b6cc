import type { AgentErrorCode } from '../errors.ts'
import type {
  CertificateProfile,
  DevicePolicy,
  DeviceState,
  FailedProfile,
  Failure,
  IdentityKey,
  InstalledRoot,
  Instant,
  PendingEnrollment,
  PfxProfile,
  ScepProfile,
  TrustedRootProfile,
} from '../types.ts'
import { type Finding, isSameRequest, judgeIdentity } from './rules.ts'
import { renewAt } from './schedule.ts'

/** Why an action is taken. Appears unchanged in report, log, test and docs. */
export type Reason =
  | 'AttemptCompleted'
  | 'CertificateChanged'
  | 'EkuChanged'
  | 'Expired'
  | 'IdentityMissing'
  | 'KeyExportChanged'
  | 'KeySpecChanged'
  | 'KeyStorageChanged'
  | 'KeyUnreferenced'
  | 'KeyUsageChanged'
  | 'PollDue'
  | 'PrivateKeyUnusable'
  | 'ProfileFailed'
  | 'ProfileRemoved'
  | 'RenewalDue'
  | 'RequestChanged'
  | 'RootChanged'
  | 'RootMissing'
  | 'RootNoLongerTrusted'
  | 'RootNotDeployed'
  | 'SubjectAltNamesChanged'
  | 'SubjectChanged'
  | 'ValidityChanged'

export type Action =
  | { readonly kind: 'install-root'; readonly root: TrustedRootProfile; readonly reason: Reason }
  | { readonly kind: 'remove-root'; readonly root: InstalledRoot; readonly reason: Reason }
  | { readonly kind: 'enroll' | 'renew' | 'poll'; readonly profile: ScepProfile; readonly reason: Reason }
  /** The PFX is fetched and its key imported, for the first time or again. */
  | { readonly kind: 'import'; readonly profile: PfxProfile; readonly reason: Reason }
  /** The attempt ends without a request; its key is destroyed as unreferenced. */
  | { readonly kind: 'end-attempt'; readonly key: IdentityKey; readonly reason: Reason }
  /** The profile fails without a key or a call. */
  | {
      readonly kind: 'fail'
      readonly profile: Pick<FailedProfile, 'id' | 'displayName' | 'principal'>
      readonly code: AgentErrorCode
      readonly message: string
      readonly reason: Reason
    }
  | { readonly kind: 'remove-identity'; readonly key: IdentityKey; readonly reason: Reason }
  | { readonly kind: 'destroy-key'; readonly keyLabel: string; readonly reason: Reason }

export interface Held {
  readonly key: IdentityKey
  /** Absent where only a new policy, or the user, helps. */
  readonly until?: Instant
}

export interface Plan {
  readonly actions: readonly Action[]
  /** Work that is due but must wait: silence is explained. */
  readonly held: readonly Held[]
  /** The next moment at which the plan can change by itself. */
  readonly wakeAt?: Instant
}

/** Decides what to do. Reads no clock, store or network: same arguments, same plan. */
export function planActions(policy: DevicePolicy, state: DeviceState, now: Instant): Plan {
  const steps = [
    ...policy.scepProfiles.map((profile) => planProfile(profile, (found) => ({ ...found, profile }), policy, state, now)),
    ...policy.pfxProfiles.map((profile) => planProfile(profile, ({ reason }) => ({ kind: 'import', profile, reason }), policy, state, now)),
  ]
  const actions: Action[] = [
    ...missingRoots(policy, state),
    ...completedAttempts(state),
    ...removedProfiles(policy, state),
    ...policy.failedProfiles.map(failedProfile),
    ...steps.flatMap((step) => step.actions),
    // Old roots go last: removing one first could cut off the server that issues the replacement.
    ...surplusRoots(policy, state),
    ...unreferencedKeys(state),
  ]
  const wakeAt = Math.min(...profilesOf(policy).map((profile, i) => profileWakeAt(profile, steps[i]?.held, state, now)))
  return { actions, held: steps.flatMap((step) => step.held ?? []), ...(wakeAt < Number.POSITIVE_INFINITY && { wakeAt }) }
}

/** In the order of the steps. */
const profilesOf = (policy: DevicePolicy): readonly CertificateProfile[] => [...policy.scepProfiles, ...policy.pfxProfiles]

/** What a finding about a profile leads to. */
type Act = (found: Pick<Finding, 'reason'> & { readonly kind: Finding['kind'] | 'poll' }) => Action

interface Step {
  readonly actions: readonly Action[]
  readonly held?: Held
}

function planProfile(profile: CertificateProfile, act: Act, policy: DevicePolicy, state: DeviceState, now: Instant): Step {
  const key = keyOf(profile)
  const attempt = state.attempts.get(key)
  const stale = attempt !== undefined && !isSameRequest(attempt.requested, profile.request)
  const over = stale || isCompleted(key, state)
  const cleared: Action[] = stale ? [{ kind: 'end-attempt', key, reason: 'RequestChanged' }] : []
  const next = nextAction(profile, act, policy, state, over ? undefined : state.pending.get(key), now)
  if (!next) return { actions: cleared }
  const failure = state.failures.get(key)
  if (next.kind === 'fail' || !failure || !isHeld(failure, policy, state, now)) return { actions: [...cleared, next] }
  return { actions: cleared, held: { key, ...(failure.retry === 'backoff' && { until: failure.retryAt }) } }
}

function nextAction(
  profile: CertificateProfile,
  act: Act,
  policy: DevicePolicy,
  state: DeviceState,
  pending: PendingEnrollment | undefined,
  now: Instant,
): Action | undefined {
  if (!isRootDeployed(profile, policy)) return rootNotDeployed(profile)
  if (pending) return now < pending.pollAt ? undefined : act({ kind: 'poll', reason: 'PollDue' })

  const identity = state.identities.get(keyOf(profile))
  if (!identity) return act({ kind: 'enroll', reason: 'IdentityMissing' })
  const finding = judgeIdentity(identity, profile, now)
  return finding && act(finding)
}

/** S11 and the assignment matrix of platform-behaviours 2.2: both must reach the device through a principal in common. */
function isRootDeployed(profile: CertificateProfile, policy: DevicePolicy): boolean {
  const root = policy.trustedRoots.find((candidate) => candidate.id === profile.rootProfileId)
  return root?.assignedTo.some((principal) => profile.assignedTo.includes(principal)) ?? false
}

function rootNotDeployed(profile: CertificateProfile): Action {
  const message = `trusted root profile "${profile.rootProfileId}" of "${profile.displayName}" is not deployed to the same ${profile.assignedTo.join(' and ')}; assign both alike`
  return { kind: 'fail', profile, code: 'ERR_ROOT_NOT_DEPLOYED', message, reason: 'RootNotDeployed' }
}

function failedProfile(profile: FailedProfile): Action {
  return { kind: 'fail', profile, code: profile.code, message: profile.message, reason: 'ProfileFailed' }
}

function isHeld(failure: Failure, policy: DevicePolicy, state: DeviceState, now: Instant): boolean {
  if (failure.revision !== policy.revision) return false
  switch (failure.retry) {
    case 'now':
    case 'on-user':
      return false
    case 'backoff':
      return now < failure.retryAt
    case 'on-unlock':
      return state.locked
    case 'on-new-policy':
    case 'never':
      return true
  }
}

function missingRoots(policy: DevicePolicy, state: DeviceState): Action[] {
  const installed = new Set(state.roots.map(rootKey))
  return policy.trustedRoots
    .filter((root) => !installed.has(rootKey({ store: root.destinationStore, fingerprint: root.fingerprint })))
    .map((root) => ({ kind: 'install-root', root, reason: 'RootMissing' }))
}

function surplusRoots(policy: DevicePolicy, state: DeviceState): Action[] {
  const wanted = new Set(policy.trustedRoots.map((root) => rootKey({ store: root.destinationStore, fingerprint: root.fingerprint })))
  return state.roots
    .filter((root) => !wanted.has(rootKey(root)))
    .map((root) => ({ kind: 'remove-root', root, reason: 'RootNoLongerTrusted' }))
}

/** A crash between installing and recording leaves an attempt whose key is already in use. */
function completedAttempts(state: DeviceState): Action[] {
  return [...state.attempts.keys()]
    .filter((key) => isCompleted(key, state))
    .map((key) => ({ kind: 'end-attempt', key, reason: 'AttemptCompleted' }))
}

function isCompleted(key: IdentityKey, state: DeviceState): boolean {
  const attempt = state.attempts.get(key)
  return attempt !== undefined && state.identities.get(key)?.keyLabel === attempt.keyLabel
}

/** A profile that merely fails keeps what it has: the old certificate stays usable. */
function removedProfiles(policy: DevicePolicy, state: DeviceState): Action[] {
  const wanted = new Set([...profilesOf(policy), ...policy.failedProfiles].map(keyOf))
  const gone = (keys: Iterable<IdentityKey>) => [...keys].filter((key) => !wanted.has(key))
  return [
    ...gone(state.attempts.keys()).map((key): Action => ({ kind: 'end-attempt', key, reason: 'ProfileRemoved' })),
    ...gone(state.identities.keys()).map((key): Action => ({ kind: 'remove-identity', key, reason: 'ProfileRemoved' })),
  ]
}

function unreferencedKeys(state: DeviceState): Action[] {
  const referenced = new Set([...state.attempts.values(), ...state.identities.values()].map((holder) => holder.keyLabel))
  return [...state.keyLabels]
    .filter((keyLabel) => !referenced.has(keyLabel))
    .map((keyLabel) => ({ kind: 'destroy-key', keyLabel, reason: 'KeyUnreferenced' }))
}

/** Held work waits for its moment; a pending request for its poll, which may be due; a good identity for its renewal. */
function profileWakeAt(profile: CertificateProfile, held: Held | undefined, state: DeviceState, now: Instant): Instant {
  const never = Number.POSITIVE_INFINITY
  if (held) return held.until ?? never
  const key = keyOf(profile)
  const pending = state.pending.get(key)
  if (pending) return pending.pollAt
  const identity = state.identities.get(key)
  const renewal = identity ? renewAt(identity, profile.renewalThresholdPercent) : never
  return renewal > now ? renewal : never
}

const keyOf = (profile: Pick<CertificateProfile, 'principal' | 'id'>): IdentityKey => `${profile.principal}/${profile.id}`
const rootKey = (root: InstalledRoot): string => `${root.store} ${root.fingerprint}`
