import type { Instant } from '@certfleet/agent-core'
import type { Seed } from '../scenario/schema.ts'
import type { VirtualDocument } from '../scenario/virtual.ts'
import { chanceOf } from './chance.ts'
import type { Episode } from './faults.ts'

/** Something that a scenario has happen on a day of its own choosing. */
export type SimulatedEvent = NonNullable<VirtualDocument['events']>[number]

const dayMs = 86_400_000

/** Whether an event happens to a device: the same devices for every event of one share, so that who is unassigned is assigned again. */
export function happensTo({ seed, index }: { readonly seed: Seed; readonly index: number }, share = 1): boolean {
  return chanceOf(seed, index, 'events').between(0, 999_999) < share * 1_000_000
}

/** The events that last, of one device. */
export function deviceEventEpisodes(events: readonly SimulatedEvent[], who: { seed: Seed; index: number }, start: Instant): Episode[] {
  return events.flatMap((event): Episode[] => {
    const from = start + event.day * dayMs
    if (event.kind === 'asleep' && happensTo(who, event.share))
      return [{ fault: 'asleep', from, to: from + event.days * dayMs, offsetMs: 0 }]
    if (event.kind === 'clock-wrong' && happensTo(who, event.share)) {
      return [{ fault: 'clock-stepped', from, to: from + event.days * dayMs, offsetMs: event.byDays * dayMs }]
    }
    return []
  })
}

/** The events that last, of the service. */
export function serviceEventEpisodes(events: readonly SimulatedEvent[], start: Instant): Episode[] {
  return events.flatMap((event): Episode[] => {
    if (event.kind !== 'ca-down') return []
    const from = start + event.day * dayMs
    return [{ fault: 'ca-down', from, to: from + event.days * dayMs, offsetMs: 0 }]
  })
}
