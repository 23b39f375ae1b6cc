import type { Clock } from '@certfleet/agent-core'
import type { ShardLease } from './shard-queue.ts'

/** The reason of `leave`, and of `abort` where the shard is not lost. */
export const leftToOthers: Error = new Error('the shard is left to others')

/** How the carrying of a shard may come to an early end. */
export interface CarryEnding {
  /** No device begins any more. */
  readonly leave: AbortSignal
  /** Devices stop where they stand. */
  readonly abort: AbortSignal
  /** Whichever comes first. */
  readonly either: AbortSignal
  abortNow(reason: unknown): void
  /** Aborted by `end`. */
  readonly over: AbortSignal
  /** Listens and waits no more. */
  end(): void
}

interface EndingOptions {
  readonly clock: Clock
  /** The process is to end. */
  readonly signal: AbortSignal
  readonly drainMs: number
}

export function carryEnding({ lost, stop, orders }: ShardLease, { clock, signal, drainMs }: EndingOptions): CarryEnding {
  const [leave, abort, over] = [new AbortController(), new AbortController(), new AbortController()]
  const stopNow = () => abort.abort(leftToOthers)
  function drain(): void {
    if (leave.signal.aborted) return
    leave.abort(leftToOthers)
    clock.sleep(drainMs, over.signal).then(stopNow, () => {})
  }
  when(lost, () => abort.abort(lost.reason), over.signal)
  when(stop, drain, over.signal)
  // Others go on with those that stay: the run is not over.
  when(signal, orders.stay ? stopNow : drain, over.signal)
  return {
    leave: leave.signal,
    abort: abort.signal,
    either: AbortSignal.any([leave.signal, abort.signal]),
    abortNow: (reason) => abort.abort(reason),
    over: over.signal,
    end: () => over.abort(),
  }
}

function when(signal: AbortSignal, act: () => void, until: AbortSignal): void {
  if (signal.aborted) act()
  else signal.addEventListener('abort', act, { once: true, signal: until })
}
