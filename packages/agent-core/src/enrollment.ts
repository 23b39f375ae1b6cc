import { randomUUID } from 'node:crypto'
import { assertRootInstalled, type Device, type PassContext, rootOf } from './device.ts'
import { AgentError } from './errors.ts'
import { installIdentity, type NewIdentity } from './install.ts'
import { openKey, placeKey, providerOf } from './keys/placement.ts'
import { createCsr } from './pki/csr.ts'
import { verifyIssued } from './pki/issued.ts'
import type { EnrollmentOutcome, EnrollmentProtocol, EnrollmentRequest, KeyHandle, PlatformAdapter } from './ports.ts'
import { type EnrollmentAttempt, identityKey, keyOfProfile, type ScepProfile } from './types.ts'

/** Asks for a certificate by SCEP; what the CA answers is dealt with before it resolves. */
export function enroll(profile: ScepProfile, context: PassContext): Promise<'done' | 'pending'> {
  return obtain(profile, undefined, context)
}

/** The same, vouched for by the certificate that is to be replaced. */
export async function renew(profile: ScepProfile, context: PassContext): Promise<'done' | 'pending'> {
  return obtain(profile, await currentIdentity(profile, context.device.platform), context)
}

/**
 * keygen → CSR → enrol → verify → install.
 *
 * The attempt is recorded before its key exists, and an unfinished attempt hands back its key, so a crash anywhere below resumes with
 * the same key: the transactionID is its hash, so the CA sees a resend and not a second request. What was issued and waits for the user is
 * with the attempt, and nothing is sent for it.
 */
async function obtain(profile: ScepProfile, current: EnrollmentRequest['current'], context: PassContext): Promise<'done' | 'pending'> {
  const { device, signal } = context
  const protocol = await protocolFor(profile, context)
  const { begun, key } = await begin(profile, device)
  if (begun.issued) return settle({ status: 'issued', chain: begun.issued }, profile, { key, placement: begun.placement }, context)
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
  const onRecord = (await state.load()).attempts.get(keyOfProfile(profile))
  const kept = onRecord && (await openKey(onRecord, platform.keyStorageProviders))
  if (kept) return { begun: onRecord, key: kept }
  const { request, hash = 'sha256', multiFactor = false } = profile
  const placement = await placeKey(profile, { spec: request.keySpec, hash, multiFactor }, platform.keyStorageProviders, device.keyStorage)
  if (onRecord) await state.endAttempt(keyOfProfile(profile), { clearFailure: false })
  const id = randomUUID()
  const begun = await state.beginAttempt(keyOfProfile(profile), { id, keyLabel: `certfleet-${id}`, placement, requested: profile.request })
  return { begun, key: await providerOf(placement, platform.keyStorageProviders).generate(profile.request.keySpec, begun.keyLabel) }
}

/** Asks for the outcome of a pending request; the CSR only names issuer and subject now, so it carries no challenge. */
export async function pollEnrollment(profile: ScepProfile, context: PassContext): Promise<'done' | 'pending'> {
  const { device, signal } = context
  const protocol = await protocolFor(profile, context)
  const begun = (await device.state.load()).attempts.get(keyOfProfile(profile))
  const key = begun && (await openKey(begun, device.platform.keyStorageProviders))
  if (!key) throw new AgentError('ERR_KEY_UNAVAILABLE', `the key of the pending request for "${profile.displayName}" is gone`)
  const csr = await createCsr({ ...profile.request, key, hash: profile.hash ?? 'sha256' })
  return settle(await protocol.poll({ csr, key }, signal), profile, { key, placement: begun.placement }, context)
}

type HeldKey = Pick<NewIdentity, 'key' | 'placement'>

/** A CA's no is an answer; only here does it become an error, after which the failure is recorded. */
async function settle(outcome: EnrollmentOutcome, profile: ScepProfile, held: HeldKey, context: PassContext): Promise<'done' | 'pending'> {
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

async function install(profile: ScepProfile, issued: readonly Uint8Array[], held: HeldKey, { device, policy }: PassContext): Promise<void> {
  const { certificate: root } = rootOf(profile, policy)
  const verified = verifyIssued({ issued, request: profile.request, key: held.key, root, at: device.clock.now() })
  await installIdentity(profile, { ...verified, ...held }, device).catch(async (error: unknown) => {
    const isWaiting = error instanceof AgentError && error.code === 'ERR_USER_ACTION_REQUIRED'
    if (isWaiting) await device.state.recordIssued(keyOfProfile(profile), issued)
    throw error
  })
}

async function recordPending(profile: ScepProfile, transactionId: string, { state, clock, platform }: Device): Promise<void> {
  const { polls, firstDelayMs, delayMs } = platform.pendingSchedule
  const before = (await state.load()).pending.get(keyOfProfile(profile))
  const pollsLeft = before ? before.pollsLeft - 1 : polls
  if (pollsLeft <= 0) throw new AgentError('ERR_PENDING_TIMEOUT', `the CA left "${profile.displayName}" pending through every poll`)
  await state.recordPending(keyOfProfile(profile), { transactionId, pollsLeft, pollAt: clock.now() + (before ? delayMs : firstDelayMs) })
}

async function protocolFor(profile: ScepProfile, context: PassContext): Promise<EnrollmentProtocol> {
  await assertRootInstalled(profile, context)
  return context.device.platform.protocolFor(profile, rootOf(profile, context.policy).certificate)
}

async function currentIdentity(profile: ScepProfile, platform: PlatformAdapter): Promise<EnrollmentRequest['current']> {
  const identities = await platform.identities.list()
  const identity = identities.find((candidate) => identityKey(candidate.principal, candidate.profileId) === keyOfProfile(profile))
  const key = identity && (await openKey(identity, platform.keyStorageProviders))
  return identity && key && { certificate: identity.chain[0] as Uint8Array, key }
}
