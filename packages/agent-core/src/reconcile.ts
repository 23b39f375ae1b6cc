import { adapt } from './adapt.ts'
import { waitAfter } from './backoff.ts'
import { importPfx } from './delivery.ts'
import type { Device, PassContext } from './device.ts'
import { enroll, pollEnrollment, renew } from './enrollment.ts'
import { AgentError, adviceByCode } from './errors.ts'
import { destroyKey } from './keys/placement.ts'
import type { RemovalEvent } from './lifecycle.ts'
import { observe } from './observe.ts'
import { type Action, type Plan, planActions } from './plan/plan.ts'
import type { PlatformAdapter } from './ports.ts'
import { type ActionResult, type Report, summarize } from './report.ts'
import { type IdentityKey, type Instant, identityKey, keyOfProfile, type TrustedRootProfile } from './types.ts'

export interface Pass {
  readonly report: Report
  /** When there will be something to do without a new policy. */
  readonly wakeAt?: Instant
}

const isTidying: ReadonlySet<Action['kind']> = new Set(['end-attempt', 'remove-root', 'destroy-key'])

type Observer = (result: ActionResult) => void

/**
 * One pass: policy → observe → plan → keygen → CSR → enrol, or fetch a PFX → verify → install → report.
 *
 * Safe to call again after a crash anywhere: nothing is remembered but what `state`, the stores and the keys hold.
 * Rejects with an `AgentError` when there is no policy to work from, or when the report cannot be delivered; the work is done by then.
 */
export async function reconcile(device: Device, signal: AbortSignal, onResult: Observer = () => {}): Promise<Pass> {
  const policy = adapt(await device.policySource.fetch(signal), device.platform)
  const results: ActionResult[] = []
  const missingRoots: PassContext['missingRoots'] = new Map()
  const run = async (plan: Plan, state: Awaited<ReturnType<typeof observe>>, isWanted: (action: Action) => boolean) => {
    for (const action of plan.actions.filter(isWanted)) {
      const result = await attempt(action, { device, policy, failures: state.failures, missingRoots, signal })
      results.push(result)
      onResult(result)
    }
  }

  const before = await observe(device.platform, device.state)
  const plan = planActions(policy, before, device.clock.now(), device.platform.lifecycle)
  await run(plan, before, () => true)

  // What the actions left behind goes at once: an attempt that is over, the key and the root of a certificate that was just replaced.
  const isChanged = plan.actions.length > 0
  const between = isChanged ? await observe(device.platform, device.state) : before
  const tidying = isChanged ? planActions(policy, between, device.clock.now(), device.platform.lifecycle) : plan
  await run(tidying, between, ({ kind }) => isTidying.has(kind))

  const at = device.clock.now()
  const identities = await device.platform.identities.list()
  const report = summarize({ policy, platform: device.platform, results, state: between, identities, plan: tidying, at })
  await device.reporter.send(report, signal)
  return { report, ...(tidying.wakeAt !== undefined && { wakeAt: tidying.wakeAt }) }
}

/** One failed action never stops the others; a bug (anything but AgentError) stops everything. */
async function attempt(action: Action, context: PassContext): Promise<ActionResult> {
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

async function perform(action: Action, context: PassContext): Promise<'done' | 'pending'> {
  const { platform, state } = context.device
  switch (action.kind) {
    case 'install-root':
      await installRoot(action.root, context)
      return 'done'
    case 'remove-root':
      await platform.certificateStores.remove(action.root)
      return 'done'
    case 'end-attempt':
      await state.endAttempt(action.key, { clearFailure: action.reason !== 'RequestChanged' })
      return 'done'
    case 'fail':
      throw new AgentError(action.code, action.message)
    case 'remove-identity':
      await platform.identities.remove(action.key)
      return 'done'
    case 'release-identity':
      await release(action.key, action.event, platform)
      return 'done'
    case 'destroy-key':
      await destroyKey(action.keyLabel, platform.keyStorageProviders)
      return 'done'
    case 'enroll':
      return enroll(action.profile, context)
    case 'renew':
      return renew(action.profile, context)
    case 'poll':
      return pollEnrollment(action.profile, context)
    case 'import':
      await importPfx(action.profile, action.reason, context)
      return 'done'
  }
}

/** What hinders a root hinders what depends on it: noted for the rest of the pass. */
async function installRoot(
  { destinationStore, certificate, fingerprint, displayName }: TrustedRootProfile,
  context: PassContext,
): Promise<void> {
  const { certificateStores } = context.device.platform
  await certificateStores.install(destinationStore, certificate, displayName).catch((error: unknown) => {
    if (error instanceof AgentError) context.missingRoots.set(fingerprint, error)
    throw error
  })
}

async function release(key: IdentityKey, releasedBy: RemovalEvent, { identities }: PlatformAdapter): Promise<void> {
  const identity = (await identities.list()).find(({ principal, profileId }) => identityKey(principal, profileId) === key)
  if (identity) await identities.install({ ...identity, releasedBy })
}

/** What the policy itself forbids is said again at every pass and needs no record. */
async function recordFailure(action: Action, error: AgentError, { device, policy, failures }: PassContext): Promise<void> {
  if (!('profile' in action) || action.kind === 'fail') return
  const key = keyOfProfile(action.profile)
  const advice = adviceByCode[error.code]
  if (advice.attempt === 'end') await device.state.endAttempt(key, { clearFailure: false })
  const previous = failures.get(key)
  const { digest } = action.profile
  const count = previous && previous.digest === digest ? previous.count + 1 : 1
  const lastAt = device.clock.now()
  const retryAt = lastAt + Math.round(waitAfter(error, count, device.jitter))
  const { revision } = policy
  await device.state.recordFailure(key, {
    code: error.code,
    retry: advice.retry,
    count,
    lastAt,
    retryAt,
    revision,
    ...(digest && { digest }),
  })
}

function subjectOf(action: Action): string {
  switch (action.kind) {
    case 'install-root':
    case 'remove-root':
      return `${'destinationStore' in action.root ? action.root.destinationStore : action.root.store}/${action.root.fingerprint}`
    case 'end-attempt':
    case 'remove-identity':
    case 'release-identity':
      return action.key
    case 'destroy-key':
      return action.keyLabel
    default:
      return keyOfProfile(action.profile)
  }
}
