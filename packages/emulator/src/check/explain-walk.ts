import type { AgentErrorCode } from '@certfleet/agent-core'
import type { Behaviour } from '@certfleet/platforms'
import type { Intent, IntentProfile, Tenant } from '../tenant/index.ts'
import type { Delivered } from './agent-request.ts'
import { failure } from './shown.ts'
import type { CheckContext, CheckedDevice } from './types.ts'

/** One step of a profile's way to a device. */
export interface ExplainedStep {
  /** A few words: `assigned`, `applies`, `key storage`, `request`, `renewal`, `removal`. */
  readonly title: string
  /** `stops`: the way ends here. */
  readonly outcome: 'goes-on' | 'stops' | 'ignored' | 'told'
  readonly text: string
  /** Fact ids or source keys. */
  readonly source?: string
}

/** One profile on its way to one device. */
export interface Walk<Profile extends IntentProfile = IntentProfile> {
  readonly context: CheckContext
  readonly intent: Intent
  readonly tenant: Tenant
  readonly profile: Profile
  readonly device: CheckedDevice
  readonly behaviour: Behaviour
  /** What the device is sent. Absent where the service cannot make it, and for what is no certificate profile. */
  readonly delivered?: Delivered | undefined
}

export type Stage = (walk: Walk) => readonly ExplainedStep[]

export function goesOn(title: string, text: string, source?: string): ExplainedStep {
  return { title, outcome: 'goes-on', text, ...(source !== undefined && { source }) }
}

export function told(title: string, text: string, source?: string): ExplainedStep {
  return { title, outcome: 'told', text, ...(source !== undefined && { source }) }
}

export function stops(title: string, text: string, source?: string): ExplainedStep {
  return { title, outcome: 'stops', text, ...(source !== undefined && { source }) }
}

/** What the agent reports once the way has ended, and what the OS itself shows. */
export function reported(code: AgentErrorCode, { profile, device }: Walk): ExplainedStep {
  return told('shown', `the agent reports ${code}; ${failure(code, profile, device).shown}`)
}
