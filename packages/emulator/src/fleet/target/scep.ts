import {
  AgentError,
  type ChallengeSource,
  type DevicePolicy,
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
export function scepTarget(options: ScepTargetOptions): FleetTarget {
  return {
    async admit({ spec, transport }) {
      const device = new SoloDevice(options, spec.id, transport)
      return { policySource: device, challengeSource: device, reporter: nobody }
    },
  }
}

const nobody: Reporter = { send: async () => {} }

/** Keeps nothing between two passes: a policy costs its device less to make than to hold. */
class SoloDevice implements PolicySource, ChallengeSource {
  readonly #options: ScepTargetOptions
  readonly #id: string
  readonly #transport: Transport

  constructor(options: ScepTargetOptions, id: string, transport: Transport) {
    this.#options = options
    this.#id = id
    this.#transport = transport
  }

  async fetch(): Promise<DevicePolicy> {
    return parsePolicy(Buffer.from(JSON.stringify(this.#options.policyFor(this.#id))), this.#id)
  }

  async challengeFor(profileId: string, _attemptId: string, signal: AbortSignal): Promise<string | undefined> {
    const { challenge } = this.#options
    return challenge?.kind === 'mscep-admin' ? passwordFor(profileId, challenge, this.#transport, signal) : challenge?.text
  }
}

async function passwordFor(profileId: string, page: MscepAdminPage, transport: Transport, signal: AbortSignal): Promise<string> {
  const password = await mscepAdminPassword(page, transport, signal).catch((error: unknown) => {
    if (signal.aborted || !(error instanceof AgentError)) throw error
    throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', `no challenge for "${profileId}": ${error.message}`, { cause: error })
  })
  if (password !== undefined) return password
  throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', `no challenge for "${profileId}": the password cache of mscep_admin is full`)
}
