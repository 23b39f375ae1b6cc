import { AgentError } from '@certfleet/agent-core'
import type { ReadDelivery, ScepDelivery } from '../../rendering/delivery.ts'
import { type Check, holdsTrue, same } from '../check.ts'

/** A delivery in an OS's own form, and what that OS makes of it. */
export interface Reading extends Pick<Check, 'id' | 'given' | 'source' | 'on'> {
  readonly text: string
  readonly facts: readonly string[]
  /** What is looked at. Default: of the SCEP request the members of `is`. */
  readonly of?: (delivery: ReadDelivery) => unknown
  /** What is read. Absent: the OS refuses the delivery. */
  readonly is?: unknown
  /** What the refusal names. Default: the first fact. */
  readonly names?: string
}

/** One of a SyncML message; `id` without its topic. */
export type SyncMlReading = Omit<Reading, 'on'>

export const onWindows = ({ id, ...row }: SyncMlReading): Check => reading({ on: ['windows'], id: `syncml.${id}`, ...row })

export function reading({ text, of, is, names, ...row }: Reading): Check {
  const { facts } = row
  if (is === undefined) {
    const named = names ?? facts[0] ?? ''
    return { ...row, expect: `it is refused (${named})`, run: async ({ read }) => refusedNaming(named, () => read(text)) }
  }
  const look = of ?? (({ scep: [request] }: ReadDelivery) => membersOf(request, is as object))
  return { ...row, expect: `it is taken: ${inWords(is)}`, run: async ({ read }) => same(look(read(text)), is, 'what is read') }
}

const membersOf = (request: ScepDelivery | undefined, like: object): object =>
  Object.fromEntries(Object.keys(like).map((name) => [name, request?.[name as keyof ScepDelivery]]))

function inWords(is: unknown): string {
  return JSON.stringify(is).replaceAll('"', '').replaceAll(',', ', ').replaceAll(':', ': ')
}

/** Rejects the check unless `run` is refused in words that hold `name`. */
export function refusedNaming(name: string, run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    holdsTrue(error.message.includes(name), `${name} is not what it is refused by: ${error.message}`)
    return
  }
  holdsTrue(false, `it is not refused by ${name}`)
}
