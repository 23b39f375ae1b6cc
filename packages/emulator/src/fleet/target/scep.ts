import {
  AgentError,
  type ChallengeSource,
  type PolicyDocument,
  type PolicySource,
  parsePolicy,
  type Reporter,
  type Transport,
} from '@certfleet/agent-core'
import { type MscepAdminPage, mscepAdminPassword } from '../../challenges/mscep-admin.ts'
import type { FleetTarget } from '../ports.ts'

/** How a device proves that it may enrol: the same text each time, or a password of NDES's admin page for each attempt. */
export type ScepChallenge = { readonly kind: 'static'; readonly text: string } | ({ readonly kind: 'mscep-admin' } & MscepAdminPage)

export interface ScepTargetOptions {
  /** Of `scepPolicies`. */
  readonly policyFor: (deviceId: string) => PolicyDocument
  /** Default: none is sent. */
  readonly challenge?: ScepChallenge | undefined
}

/** A SCEP server alone: each device makes its own policy, nobody registers, and reports go nowhere. */
export function scepTarget({ policyFor, challenge }: ScepTargetOptions): FleetTarget {
  return {
    admit: async ({ spec, transport }) => ({
      policySource: localPolicy(policyFor, spec.id),
      challengeSource: challenges(challenge, transport),
      reporter: nobody,
    }),
  }
}

/** Keeps nothing between two passes: a policy costs its device less to make than to hold. */
function localPolicy(policyFor: ScepTargetOptions['policyFor'], deviceId: string): PolicySource {
  return { fetch: async () => parsePolicy(Buffer.from(JSON.stringify(policyFor(deviceId))), deviceId) }
}

const nobody: Reporter = { send: async () => {} }

function challenges(challenge: ScepChallenge | undefined, transport: Transport): ChallengeSource {
  if (challenge?.kind !== 'mscep-admin') return { challengeFor: async () => challenge?.text }
  return { challengeFor: (profileId, _attemptId, signal) => passwordFor(profileId, challenge, transport, signal) }
}

async function passwordFor(profileId: string, page: MscepAdminPage, transport: Transport, signal: AbortSignal): Promise<string> {
  const password = await mscepAdminPassword(page, transport, signal).catch((error: unknown) => {
    if (signal.aborted || !(error instanceof AgentError)) throw error
    throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', `no challenge for "${profileId}": ${error.message}`, { cause: error })
  })
  if (password !== undefined) return password
  throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', `no challenge for "${profileId}": the password cache of mscep_admin is full`)
}
