/** Tells work that its signal was aborted: one listener for all work under way with the same signal, none once that is over. */
export interface AbortWatch {
  /** Calls `onAbort` when the signal is aborted. What this returns is to be called at the end of the work. */
  begin(signal: AbortSignal, onAbort: () => void): () => void
}

interface Watched {
  readonly underWay: Set<() => void>
  readonly listener: () => void
}

/** A signal walks through all of its listeners to take or to drop one: a fleet under one signal would pay for its size. */
export function abortWatch(): AbortWatch {
  const known = new WeakMap<AbortSignal, Watched>()

  function watch(signal: AbortSignal): Watched {
    const underWay = new Set<() => void>()
    const listener = () => {
      for (const onAbort of underWay) onAbort()
    }
    signal.addEventListener('abort', listener, { once: true })
    const watched = { underWay, listener }
    known.set(signal, watched)
    return watched
  }

  return {
    begin(signal, onAbort) {
      const { underWay, listener } = known.get(signal) ?? watch(signal)
      underWay.add(onAbort)
      return () => {
        if (!underWay.delete(onAbort) || underWay.size > 0) return
        signal.removeEventListener('abort', listener)
        known.delete(signal)
      }
    },
  }
}
