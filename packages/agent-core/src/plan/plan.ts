import type { AgentErrorCode } from '../errors.ts'
import type { LifecycleRules, RemovalEvent, RenewalRules } from '../lifecycle.ts'
import type {
  CertificateProfile,
  DevicePolicy,
  DeviceState,
  FailedProfile,
  IdentityKey,
  InstalledRoot,
  Instant,
  PendingEnrollment,
  PfxProfile,
  ScepProfile,
  TrustedRootProfile,
} from '../types.ts'
import { type Held, holdOf } from './hold.ts'
import { type Kept, removedProfiles, surplusRoots, unreferencedKeys } from './removal.ts'
import { type Finding, isSameRequest, judgeIdentity } from './rules.ts'
import { renewAt } from './schedule.ts'

/** Why an action is taken. Appears unchanged in report, log, test and docs. */
export type Reason =
  | 'AttemptCompleted'
  | 'CertificateChanged'
  | 'DeviceRetired'
  | 'DeviceUnenrolled'
  | 'DeviceWiped'
  | 'EkuChanged'
  | 'Expired'
  | 'IdentityMissing'
  | 'KeyExportChanged'
  | 'KeySpecChanged'
  | 'KeyStorageChanged'
  | 'KeyUnreferenced'
  | 'KeyUsageChanged'
  | 'LicenseLost'
  | 'PollDue'
  | 'PrivateKeyUnusable'
  | 'ProfileFailed'
  | 'ProfileReassigned'
  | 'ProfileRemoved'
  | 'RenewalDue'
  | 'RenewalMissed'
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
  /** It stays, and is marked as what no profile may rely on again. */
  | { readonly kind: 'release-identity'; readonly key: IdentityKey; readonly event: RemovalEvent; readonly reason: Reason }
  | { readonly kind: 'destroy-key'; readonly keyLabel: string; readonly reason: Reason }

export type { Held, Kept }

export interface Plan {
  readonly actions: readonly Action[]
  /** Work that is due but must wait: silence is explained. */
  readonly held: readonly Held[]
  /** What outlives its profile: it is no error, and is not renewed. */
  readonly kept: readonly Kept[]
  /** The next moment at which the plan can change by itself. */
  readonly wakeAt?: Instant
}

/** What a plan is made from. */
export interface Situation {
  readonly policy: DevicePolicy
  readonly state: DeviceState
  readonly now: Instant
  readonly lifecycle: LifecycleRules
}

/** Decides what to do. Reads no clock, store or network: same arguments, same plan. */
export function planActions(policy: DevicePolicy, state: DeviceState, now: Instant, lifecycle: LifecycleRules): Plan {
  const situation = { policy, state, now, lifecycle }
  const steps = [
    ...policy.scepProfiles.map((profile) => planProfile(profile, (found) => scepAction(profile, found, lifecycle.renewal), situation)),
    ...policy.pfxProfiles.map((profile) => planProfile(profile, ({ reason }) => ({ kind: 'import', profile, reason }), situation)),
  ]
  const removed = removedProfiles(policy, state, lifecycle)
  const actions: Action[] = [
    ...missingRoots(policy, state),
    ...completedAttempts(state),
    ...removed.actions,
    ...policy.failedProfiles.map(failedProfile),
    ...steps.flatMap((step) => step.actions),
    // Old roots go last: removing one first could cut off the server that issues the replacement.
    ...surplusRoots(policy, state, lifecycle),
    ...unreferencedKeys(state),
  ]
  const wakeAt = Math.min(...steps.map((step) => step.wakeAt))
  const held = steps.flatMap((step) => step.held ?? [])
  return { actions, held, kept: removed.kept, ...(wakeAt < never && { wakeAt }) }
}

/** What a finding about a profile leads to. */
type Act = (found: Pick<Finding, 'reason'> & { readonly kind: Finding['kind'] | 'poll' }) => Action

interface Step {
  readonly actions: readonly Action[]
  readonly held?: Held
  /** When it can change by itself. */
  readonly wakeAt: Instant
}

const never = Number.POSITIVE_INFINITY

function planProfile(profile: CertificateProfile, act: Act, situation: Situation): Step {
  const { state } = situation
  const key = keyOf(profile)
  const attempt = state.attempts.get(key)
  const stale = attempt !== undefined && !isSameRequest(attempt.requested, profile.request)
  const over = stale || isCompleted(key, state)
  const next = nextAction(profile, act, over ? undefined : state.pending.get(key), situation)
  const ending = stale ? 'RequestChanged' : attempt && next?.reason === 'RenewalMissed' ? 'RenewalMissed' : undefined
  const cleared: Action[] = ending ? [{ kind: 'end-attempt', key, reason: ending }] : []
  const held = next && holdOf(next, key, profile, situation)
  const actions = next && !held ? [...cleared, next] : cleared
  return { actions, ...(held && { held }), wakeAt: profileWakeAt(profile, held, situation) }
}

function nextAction(
  profile: CertificateProfile,
  act: Act,
  pending: PendingEnrollment | undefined,
  { policy, state, now }: Situation,
): Action | undefined {
  if (!isRootDeployed(profile, policy)) return rootNotDeployed(profile)
  if (pending) return isPollDue(pending, now) ? act({ kind: 'poll', reason: 'PollDue' }) : undefined

  const identity = state.identities.get(keyOf(profile))
  if (!identity) return act({ kind: 'enroll', reason: 'IdentityMissing' })
  const finding = judgeIdentity(identity, profile, now)
  return finding && act(finding)
}

/** No OS waits for a day: a poll that far ahead was put there by a clock that has been put back since. */
function isPollDue({ pollAt }: PendingEnrollment, now: Instant): boolean {
  return now >= pollAt || pollAt - now > 86_400_000
}

function scepAction(profile: ScepProfile, found: Parameters<Act>[0], { afterExpiry }: RenewalRules): Action {
  if (found.reason !== 'Expired' || afterExpiry === 'enroll') return { ...found, profile }
  const message = `the certificate of "${profile.displayName}" expired before it was renewed, and this OS asks for no other by itself; take the profile from the device and assign it again, or change it`
  return { kind: 'fail', profile, code: 'ERR_RENEWAL_MISSED', message, reason: 'RenewalMissed' }
}

/** S11 and the assignment matrix of platform-behaviours 2.2: both must reach the device through a principal in common. */
export function isRootDeployed(
  profile: Pick<CertificateProfile, 'rootProfileId' | 'assignedTo'>,
  policy: { readonly trustedRoots: readonly Pick<TrustedRootProfile, 'id' | 'assignedTo'>[] },
): boolean {
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

function missingRoots(policy: DevicePolicy, state: DeviceState): Action[] {
  const installed = new Set(state.roots.map(rootKey))
  return policy.trustedRoots
    .filter((root) => !installed.has(rootKey({ store: root.destinationStore, fingerprint: root.fingerprint })))
    .map((root) => ({ kind: 'install-root', root, reason: 'RootMissing' }))
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

/** Held work waits for its moment; a pending request for its poll, which may be due; a good identity for its renewal. */
function profileWakeAt(profile: CertificateProfile, held: Held | undefined, { state, now, lifecycle }: Situation): Instant {
  if (held) return held.until ?? never
  const key = keyOf(profile)
  const pending = state.pending.get(key)
  if (pending) return pending.pollAt
  const identity = state.identities.get(key)
  const isTimed = !('scepUrls' in profile) || lifecycle.renewal.begunBy === 'device'
  const renewal = identity && isTimed ? renewAt(identity, profile.renewalThresholdPercent) : never
  return renewal > now ? renewal : never
}

const keyOf = (profile: Pick<CertificateProfile, 'principal' | 'id'>): IdentityKey => `${profile.principal}/${profile.id}`
const rootKey = (root: InstalledRoot): string => `${root.store} ${root.fingerprint}`
