import { randomUUID } from 'node:crypto'
import { adapt } from './adapt.ts'
import { AgentError, adviceByCode } from './errors.ts'
import { destroyKey, openKey, placeKey, providerOf } from './keys/placement.ts'
import { observe } from './observe.ts'
import { createCsr } from './pki/csr.ts'
import { verifyIssued } from './pki/issued.ts'
import { type Action, type Plan, planActions } from './plan/plan.ts'
import { backoffBounds, jitterShareOfWindow, renewalWindowMs } from './plan/schedule.ts'
import type {
  ChallengeSource,
  Clock,
  EnrollmentOutcome,
  EnrollmentProtocol,
  EnrollmentRequest,
  Jitter,
  KeyHandle,
  PlatformAdapter,
  PolicySource,
  Reporter,
  StateStore,
} from './ports.ts'
import { type ActionResult, type Report, summarize } from './report.ts'
import {
  type DevicePolicy,
  type EnrollmentAttempt,
  type Failure,
  type Identity,
  type IdentityKey,
  type Instant,
  identityKey,
  type KeyPlacement,
  type KeyProtection,
  type ScepProfile,
} from './types.ts'

/** Everything that one device is made of, as ports. */
export interface Device {
  readonly clock: Clock
  readonly jitter: Jitter
  readonly platform: PlatformAdapter
  readonly policySource: PolicySource
  readonly challengeSource: ChallengeSource
  readonly state: StateStore
  readonly reporter: Reporter
  /** Holds every key there instead of where profiles say. It may be stricter than a profile; one that it would weaken fails. */
  readonly keyStorage?: KeyProtection
}

export interface Pass {
  readonly report: Report
  /** When there will be something to do without a new policy. */
  readonly wakeAt?: Instant
}

type Observer = (result: ActionResult) => void

/**
 * One pass: policy → observe → plan → keygen → CSR → enrol → verify → install → report.
 *
 * Safe to call again after a crash anywhere: nothing is remembered but what `state`, the stores and the keys hold.
 * Rejects with an `AgentError` when there is no policy to work from, or when the report cannot be delivered; the work is done by then.
 */
export async function reconcile(device: Device, signal: AbortSignal, onResult: Observer = () => {}): Promise<Pass> {
  const policy = adapt(await device.policySource.fetch(signal), device.platform)
  const results: ActionResult[] = []
  const run = async (plan: Plan, state: Awaited<ReturnType<typeof observe>>, isWanted: (action: Action) => boolean) => {
    for (const action of plan.actions.filter(isWanted)) {
      const result = await attempt(action, { device, policy, failures: state.failures, signal })
      results.push(result)
      onResult(result)
    }
  }

  const before = await observe(device.platform, device.state)
  const plan = planActions(policy, before, device.clock.now())
  await run(plan, before, () => true)

  // What the actions left behind goes at once: the key of a certificate that was just replaced, an attempt that is over.
  const between = plan.actions.length > 0 ? await observe(device.platform, device.state) : before
  const tidying = planActions(policy, between, device.clock.now())
  await run(tidying, between, ({ kind }) => kind === 'end-attempt' || kind === 'destroy-key')

  const at = device.clock.now()
  const identities = await device.platform.identities.list()
  const report = summarize({ policy, platform: device.platform.name, results, state: between, identities, plan: tidying, at })
  await device.reporter.send(report, signal)
  return { report, ...(tidying.wakeAt !== undefined && { wakeAt: tidying.wakeAt }) }
}

interface Context {
  readonly device: Device
  readonly policy: DevicePolicy
  readonly failures: ReadonlyMap<IdentityKey, Failure>
  readonly signal: AbortSignal
}

/** One failed action never stops the others; a bug (anything but AgentError) stops everything. */
async function attempt(action: Action, context: Context): Promise<ActionResult> {
  const { clock } = context.device
  const startedAt = clock.now()
  const result = (status: ActionResult['status']) => ({
    kind: action.kind,
    reason: action.reason,
    subject: subjectOf(action),
    status,
    durationMs: clock.now() - startedAt,
  })
  try {
    return result(await perform(action, context))
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    await recordFailure(action, error, context)
    return { ...result('failed'), code: error.code, message: error.message }
  }
}

async function perform(action: Action, context: Context): Promise<'done' | 'pending'> {
  const { platform, state } = context.device
  switch (action.kind) {
    case 'install-root':
      await platform.certificateStores.install(action.root.destinationStore, action.root.certificate)
      return 'done'
    case 'remove-root':
      await platform.certificateStores.remove(action.root)
      return 'done'
    case 'end-attempt':
      await state.endAttempt(action.key, { clearFailure: action.reason === 'AttemptCompleted' })
      return 'done'
    case 'fail':
      throw new AgentError(action.code, action.message)
    case 'remove-identity':
      await platform.identities.remove(action.key)
      return 'done'
    case 'destroy-key':
      await destroyKey(action.keyLabel, platform.keyStorageProviders)
      return 'done'
    case 'enroll':
      return enroll(action.profile, undefined, context)
    case 'renew':
      return enroll(action.profile, await currentIdentity(action.profile, platform), context)
    case 'poll':
      return poll(action.profile, context)
  }
}

/**
 * keygen → CSR → enrol → verify → install.
 *
 * The attempt is recorded before its key exists, and an unfinished attempt hands back its key, so a crash anywhere below resumes with
 * the same key: the transactionID is its hash, so the CA sees a resend and not a second request.
 */
async function enroll(profile: ScepProfile, current: EnrollmentRequest['current'], context: Context): Promise<'done' | 'pending'> {
  const { device, signal } = context
  const protocol = await protocolFor(profile, context)
  const { begun, key } = await begin(profile, device)
  const challenge = await device.challengeSource.challengeFor(profile.id, begun.id, signal)
  const csr = await createCsr({ ...profile.request, key, hash: profile.hash ?? 'sha256', ...(challenge !== undefined && { challenge }) })
  const outcome = await protocol.request({ csr, key, ...(current && { current }) }, signal)
  return settle(outcome, profile, { key, placement: begun.placement }, context)
}

/**
 * The attempt on record with its key. Without its key it is over: whether the key was made and lost or never made, nobody can tell, and the
 * challenge of a request that was sent is spent. The next attempt begins once the storage says that it can make a key.
 */
async function begin(profile: ScepProfile, device: Device): Promise<{ begun: EnrollmentAttempt; key: KeyHandle }> {
  const { state, platform } = device
  const onRecord = (await state.load()).attempts.get(keyOf(profile))
  const kept = onRecord && (await openKey(onRecord, platform.keyStorageProviders))
  if (kept) return { begun: onRecord, key: kept }
  const placement = await placeKey(profile, platform.keyStorageProviders, device.keyStorage)
  if (onRecord) await state.endAttempt(keyOf(profile), { clearFailure: false })
  const id = randomUUID()
  const begun = await state.beginAttempt(keyOf(profile), { id, keyLabel: `certfleet-${id}`, placement, requested: profile.request })
  return { begun, key: await providerOf(placement, platform.keyStorageProviders).generate(profile.request.keySpec, begun.keyLabel) }
}

/** Asks for the outcome of a pending request; the CSR only names issuer and subject now, so it carries no challenge. */
async function poll(profile: ScepProfile, context: Context): Promise<'done' | 'pending'> {
  const { device, signal } = context
  const protocol = await protocolFor(profile, context)
  const begun = (await device.state.load()).attempts.get(keyOf(profile))
  const key = begun && (await openKey(begun, device.platform.keyStorageProviders))
  if (!key) throw new AgentError('ERR_KEY_UNAVAILABLE', `the key of the pending request for "${profile.displayName}" is gone`)
  const csr = await createCsr({ ...profile.request, key, hash: profile.hash ?? 'sha256' })
  return settle(await protocol.poll({ csr, key }, signal), profile, { key, placement: begun.placement }, context)
}

interface HeldKey {
  readonly key: KeyHandle
  readonly placement: KeyPlacement
}

/** A CA's no is an answer; only here does it become an error, after which the failure is recorded. */
async function settle(outcome: EnrollmentOutcome, profile: ScepProfile, held: HeldKey, context: Context): Promise<'done' | 'pending'> {
  switch (outcome.status) {
    case 'pending':
      await recordPending(profile, outcome.transactionId, context.device)
      return 'pending'
    case 'rejected':
      throw rejected(profile, outcome)
    case 'issued':
      await install(profile, outcome.chain, held, context)
      return 'done'
  }
}

function rejected(profile: ScepProfile, outcome: Extract<EnrollmentOutcome, { status: 'rejected' }>): AgentError {
  const code = outcome.failInfo === 'badTime' ? 'ERR_CLOCK_SKEW' : 'ERR_ENROLLMENT_REJECTED'
  const text = outcome.text ? `: ${outcome.text}` : ''
  return new AgentError(code, `the CA rejected "${profile.displayName}" (${outcome.failInfo})${text}`, { cause: outcome })
}

async function install(profile: ScepProfile, issued: readonly Uint8Array[], held: HeldKey, { device, policy }: Context): Promise<void> {
  const { request } = profile
  const { key, placement } = held
  const { chain, leaf } = verifyIssued({ issued, request, key, root: rootOf(profile, policy), at: device.clock.now() })
  const windowMs = renewalWindowMs(leaf, profile.renewalThresholdPercent)
  const identity: Identity = {
    profileId: profile.id,
    principal: profile.principal,
    chain,
    keyLabel: key.label,
    placement,
    requested: request,
    renewalJitterMs: Math.floor(device.jitter.between(0, windowMs * jitterShareOfWindow)),
  }
  await device.platform.identities.install(identity)
  await device.state.endAttempt(keyOf(profile), { clearFailure: true })
}

async function recordPending(profile: ScepProfile, transactionId: string, { state, clock, platform }: Device): Promise<void> {
  const { polls, firstDelayMs, delayMs } = platform.pendingSchedule
  const before = (await state.load()).pending.get(keyOf(profile))
  const pollsLeft = before ? before.pollsLeft - 1 : polls
  if (pollsLeft <= 0) throw new AgentError('ERR_PENDING_TIMEOUT', `the CA left "${profile.displayName}" pending through every poll`)
  await state.recordPending(keyOf(profile), { transactionId, pollsLeft, pollAt: clock.now() + (before ? delayMs : firstDelayMs) })
}

/** What the policy itself forbids is said again at every pass and needs no record. */
async function recordFailure(action: Action, error: AgentError, { device, policy, failures }: Context): Promise<void> {
  if (!('profile' in action) || action.kind === 'fail') return
  const key = keyOf(action.profile)
  const advice = adviceByCode[error.code]
  if (advice.attempt === 'end') await device.state.endAttempt(key, { clearFailure: false })
  const previous = failures.get(key)
  const count = previous?.revision === policy.revision ? previous.count + 1 : 1
  const { minMs, maxMs } = backoffBounds(count)
  const lastAt = device.clock.now()
  const retryAt = lastAt + Math.round(device.jitter.between(minMs, maxMs))
  await device.state.recordFailure(key, { code: error.code, retry: advice.retry, count, lastAt, retryAt, revision: policy.revision })
}

/** S11, at the moment of acting: the root that the certificate must lead to is really in its store. */
async function protocolFor(profile: ScepProfile, { device, policy }: Context): Promise<EnrollmentProtocol> {
  const { fingerprint } = profileRoot(profile, policy)
  const installed = await device.platform.certificateStores.list()
  if (!installed.some((root) => root.fingerprint === fingerprint)) {
    throw new AgentError(
      'ERR_ROOT_NOT_INSTALLED',
      `the trusted root of "${profile.displayName}" could not be installed, so nothing was requested`,
    )
  }
  return device.platform.protocolFor(profile, rootOf(profile, policy))
}

function profileRoot(profile: ScepProfile, policy: DevicePolicy) {
  const root = policy.trustedRoots.find((candidate) => candidate.id === profile.rootProfileId)
  if (!root) throw new AgentError('ERR_ROOT_NOT_DEPLOYED', `trusted root profile "${profile.rootProfileId}" is not deployed`)
  return root
}

const rootOf = (profile: ScepProfile, policy: DevicePolicy): Uint8Array => profileRoot(profile, policy).certificate

async function currentIdentity(profile: ScepProfile, platform: PlatformAdapter): Promise<EnrollmentRequest['current']> {
  const identities = await platform.identities.list()
  const identity = identities.find((candidate) => identityKey(candidate.principal, candidate.profileId) === keyOf(profile))
  const key = identity && (await openKey(identity, platform.keyStorageProviders))
  return identity && key && { certificate: identity.chain[0] as Uint8Array, key }
}

const keyOf = (profile: { principal: ScepProfile['principal']; id: string }): IdentityKey => identityKey(profile.principal, profile.id)

function subjectOf(action: Action): string {
  switch (action.kind) {
    case 'install-root':
    case 'remove-root':
      return `${'destinationStore' in action.root ? action.root.destinationStore : action.root.store}/${action.root.fingerprint}`
    case 'end-attempt':
    case 'remove-identity':
      return action.key
    case 'destroy-key':
      return action.keyLabel
    default:
      return keyOf(action.profile)
  }
}
