/** The time for which devices stay once they have enrolled: one for all, since whatever waits for it costs each device its memory. */
export interface Stay {
  /** Resolves at its end, or as the run is interrupted. */
  readonly over: Promise<void>
  isOver(): boolean
  /** Calls once it is over, at once where it is; returns what calls off what is still to come. */
  whenOver(call: () => void): () => void
}

/** Until `end` settles. */
export function stayUntilEnd(end: Promise<void>): Stay {
  const calls = new Set<() => void>()
  let isOver = false
  const over = end.finally(() => {
    isOver = true
    for (const call of calls) call()
    calls.clear()
  })
  return {
    over,
    isOver: () => isOver,
    whenOver(call) {
      if (isOver) queueMicrotask(call)
      else calls.add(call)
      return () => void calls.delete(call)
    },
  }
}
