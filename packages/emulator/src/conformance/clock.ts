import type { Clock, Instant } from '@certfleet/agent-core'

/** A clock that only moves when it is told to: whoever sleeps moves it on. */
export interface MovableClock extends Clock {
  advance(ms: number): Promise<void>
}

export function movableClock(start: Instant): MovableClock {
  let now = start
  const advance = async (ms: number): Promise<void> => {
    now += ms
  }
  return { now: () => now, sleep: advance, advance }
}
