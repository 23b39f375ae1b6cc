import type { Clock } from '../ports.ts'

/** What a piece of work may take: the limit, and up to an eighth of it more where other work is under way. */
export interface TimeLimit {
  /** Calls `onLate` when it is over, once. What this returns is to be called at the end of the work, late or not. */
  begin(onLate: () => void): () => void
}

const ticksPerLimit = 8
/** A reason made once: an abort without one makes an error with a stack. */
const nothingUnderWay = 'nothing is under way'

/**
 * One sleep for all that is under way: one for each would cost as much as the rest of an exchange.
 * It counts ticks and reads no clock, so that steps of it are of no concern. Nothing sleeps while nothing is under way.
 */
export function timeLimit(limitMs: number, clock: Clock): TimeLimit {
  const ticksLeft = new Map<() => void, number>()
  let ticking: AbortController | undefined

  function tickLater(signal: AbortSignal): void {
    clock.sleep(limitMs / ticksPerLimit, signal).then(
      () => {
        tick()
        if (!signal.aborted) tickLater(signal)
      },
      () => undefined,
    )
  }

  function tick(): void {
    for (const [onLate, ticks] of ticksLeft) {
      ticksLeft.set(onLate, ticks - 1)
      if (ticks === 1) onLate()
    }
  }

  function stopWhenIdle(): void {
    if (ticksLeft.size > 0) return
    ticking?.abort(nothingUnderWay)
    ticking = undefined
  }

  return {
    begin(onLate) {
      // What begins in the middle of a tick is given the rest of it.
      ticksLeft.set(onLate, ticking ? ticksPerLimit + 1 : ticksPerLimit)
      if (!ticking) {
        ticking = new AbortController()
        tickLater(ticking.signal)
      }
      return () => {
        if (ticksLeft.delete(onLate)) stopWhenIdle()
      }
    },
  }
}
