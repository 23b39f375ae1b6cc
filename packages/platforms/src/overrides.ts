import { isDeepStrictEqual } from 'node:util'
import { AgentError } from '@certfleet/agent-core'
import type { Fact } from './fact.ts'
import { facts } from './facts.ts'
import { type FactOverrides, off } from './os.ts'

/** Facts that rest on inference, on general knowledge or on a single capture: an embedder who knows better may say so. */
export function isOverridable({ confidence, singleLog, alternatives }: Fact): boolean {
  return (confidence !== 'V' || singleLog === true) && alternatives?.length !== 0
}

/**
 * Checks values that are to stand in for facts, by fact id: `{ 'android.pending.polls': 5, 'apple.pfx-applies': 'off' }`.
 * An unknown fact, one that was read in its source, or a value that the fact cannot have: `ERR_UNSUPPORTED`.
 */
export function factOverrides(values: Readonly<Record<string, unknown>>): FactOverrides {
  for (const [id, value] of Object.entries(values)) {
    const fact = facts.find((candidate) => candidate.id === id)
    if (fact === undefined) refuse(`there is no fact "${id.slice(0, 64)}"; certfleet facts lists them`)
    if (!isOverridable(fact)) refuse(`the fact ${id} stands: ${whyItStands(fact)} (${fact.source})`)
    if (!canSay(fact, value)) refuse(`the fact ${id} cannot say ${JSON.stringify(value)}, ${possible(fact)}`)
  }
  return new Map(Object.entries(values))
}

function canSay({ value, alternatives }: Fact, said: unknown): boolean {
  if (alternatives !== undefined) return [value, ...alternatives].some((one) => isDeepStrictEqual(one, said))
  if (typeof value === 'number') return Number.isSafeInteger(said) && (said as number) >= 0
  if (typeof value === 'string') return typeof said === 'string' && said !== off && /^[\x20-\x7e]{0,256}$/.test(said)
  return typeof value === 'boolean' && typeof said === 'boolean'
}

function possible({ value, alternatives }: Fact): string {
  if (alternatives !== undefined) return `only ${[value, ...alternatives].map((one) => JSON.stringify(one)).join(' or ')}`
  if (typeof value === 'number') return 'only a whole number from 0'
  return typeof value === 'string' ? 'only a text of up to 256 printable ASCII characters, and not "off"' : `only a ${typeof value}`
}

function whyItStands({ alternatives }: Fact): string {
  return alternatives?.length === 0 ? 'there is nothing else that could be emulated' : 'it was read in its source'
}

function refuse(reason: string): never {
  throw new AgentError('ERR_UNSUPPORTED', reason)
}
