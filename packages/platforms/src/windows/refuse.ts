import { AgentError } from '@certfleet/agent-core'
import type { Fact } from '../fact.ts'

/** Ids come from the file, and may be as long as it. */
const maxProblemCharacters = 512

/** What a configuration service provider refuses: `ERR_PROFILE_INVALID`, with the fact by which it does. */
export function refuseNode(fact: Fact, problem: string): never {
  throw new AgentError('ERR_PROFILE_INVALID', `${problem.slice(0, maxProblemCharacters)} (${fact.id})`)
}

/** A node as a refusal of its value names it. */
export function named(node: string, fact: Fact): string {
  return `${node.slice(0, maxProblemCharacters)} (${fact.id})`
}
