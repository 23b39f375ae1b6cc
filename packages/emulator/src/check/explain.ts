import { AgentError } from '@certfleet/agent-core'
import { behaviourOf } from '@certfleet/platforms'
import { type IntentProfile, osVersionOf } from '../tenant/index.ts'
import { checkedDevice } from './context.ts'
import { removal, renewal } from './explain-afterwards.ts'
import { delivery } from './explain-delivery.ts'
import { exchange, issuance } from './explain-issuance.ts'
import { applicable, assigned } from './explain-reach.ts'
import { accepted, keyStorage, request, root } from './explain-request.ts'
import { installation, rootStore } from './explain-root.ts'
import { settings } from './explain-settings.ts'
import type { ExplainedStep, Stage, Walk } from './explain-walk.ts'
import type { CheckContext } from './types.ts'

export { explanationText } from './explain-text.ts'
export type { ExplainedStep } from './explain-walk.ts'

export interface Explanation {
  readonly profile: string
  readonly profileId: string
  readonly device: string
  readonly steps: readonly ExplainedStep[]
}

/** In this order; what the profile says is told wherever its way ends. */
const stages: readonly Stage[] = [
  assigned,
  applicable,
  settings,
  delivery,
  rootStore,
  accepted,
  root,
  keyStorage,
  request,
  exchange,
  issuance,
  installation,
  renewal,
  removal,
]

/**
 * Walks one profile on one device from assignment to removal, up to where it ends. `profile` is an id, or a display name that is unique.
 * `ERR_PROFILE_INVALID` for a profile or device that is not there.
 */
export function explain(context: CheckContext, profile: string, deviceId: string): Explanation {
  const walk = walkOf(context, profileNamed(profile, context), deviceId)
  const steps: ExplainedStep[] = []
  let isOver = false
  for (const stage of stages) {
    if (isOver && stage !== settings) continue
    const taken = stage(walk)
    steps.push(...taken)
    // A setting that is rejected ends the way where the device refuses the profile for it.
    isOver ||= stage !== settings && taken.some(({ outcome }) => outcome === 'stops')
  }
  const { id: profileId, displayName } = walk.profile
  return { profile: displayName, profileId, device: deviceId, steps }
}

function profileNamed(wanted: string, { profiles }: CheckContext): IntentProfile {
  const byId = profiles.get(wanted)
  if (byId) return byId
  const named = [...profiles.values()].filter(({ displayName }) => displayName === wanted)
  if (named.length === 1) return named[0] as IntentProfile
  const problem = named.length === 0 ? `no profile has the id or name "${wanted}"` : `${named.length} profiles are named "${wanted}"`
  throw new AgentError('ERR_PROFILE_INVALID', `${problem}; name one by its id`)
}

function walkOf(context: CheckContext, profile: IntentProfile, deviceId: string): Walk {
  const { intent, tenant, overrides } = context
  if (!intent || !tenant) throw new AgentError('ERR_PROFILE_INVALID', `without a tenant there is no device "${deviceId}"`)
  const device = checkedDevice(context, deviceId)
  const behaviour = behaviourOf(device.os.platform, osVersionOf(device.subscriber.device), overrides)
  const { scepProfiles, pfxProfiles = [] } = device.policy
  const delivered = [...scepProfiles, ...pfxProfiles].find(({ id }) => id === profile.id)
  return { context, intent, tenant, profile, device, behaviour, delivered }
}
