import type { Instant } from '@certfleet/agent-core'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import type { SimulatedEvent } from './events.ts'
import type { RootStep } from './policies.ts'

/** A new CA, and an admin who gives its root to the devices in the place of the one before. */
export interface RootReplacement {
  readonly takesOverAt: Instant
  /** What the admin does for the device of that index, in order. */
  stepsOf(index: number): readonly { readonly at: Instant; readonly step: RootStep }[]
}

const dayMs = 86_400_000
/** Of a thousand simulations, how many have one. */
const replacedPerMille = 250

/** By chance: for some devices in place, for others by a profile of its own; early, in time or late. All is done by `until`. */
export function seededReplacement(seed: Seed, from: Instant, until: Instant): RootReplacement | undefined {
  const chance = chanceOf(seed, 'service', 'root')
  if (!chance.happens(replacedPerMille)) return undefined
  const length = until - from
  const takesOverAt = from + chance.between(Math.round(length / 5), Math.round(length * 0.7))
  return {
    takesOverAt,
    stepsOf(index) {
      const own = chanceOf(seed, index, 'root')
      const within = (at: Instant) => Math.max(from + 1, Math.min(until - 1, at))
      const linkedAt = within(takesOverAt + own.between(-dayMs, 3 * dayMs))
      if (own.happens(500)) return [{ at: linkedAt, step: 'replaced' }]
      return [
        { at: within(linkedAt - own.between(0, 5 * dayMs)), step: 'deployed' },
        { at: linkedAt, step: 'linked' },
        { at: within(linkedAt + own.between(0, 10 * dayMs)), step: 'withdrawn' },
      ]
    },
  }
}

/** As a scenario asks for it: deployed on its day, linked when the CA takes over, half-way, withdrawn at the end. */
export function scenarioReplacement(events: readonly SimulatedEvent[], from: Instant): RootReplacement | undefined {
  const event = events.find(({ kind }) => kind === 'replace-root')
  if (event?.kind !== 'replace-root') return undefined
  const [deployedAt, withdrawnAt] = [from + event.day * dayMs, from + (event.day + event.days) * dayMs]
  const takesOverAt = Math.round((deployedAt + withdrawnAt) / 2)
  const steps = [
    { at: deployedAt, step: 'deployed' },
    { at: takesOverAt, step: 'linked' },
    { at: withdrawnAt, step: 'withdrawn' },
  ] as const
  return { takesOverAt, stepsOf: () => steps }
}
