/** One step: from the value as it is to the next one, the same where nothing changes. */
export type Change<Value> = <Result>(step: (value: Value) => { readonly next: Value; readonly result: Result }) => Promise<Result>

/** A value that is changed step by step, one after another; each step counts once `persist` has resolved, and not at all where it rejects. */
export function inTurn<Value>(initial: Value, persist: (value: Value) => Promise<void>): Change<Value> {
  let value = initial
  let last: Promise<unknown> = Promise.resolve()
  return (step) => {
    const turn = last.then(async () => {
      const { next, result } = step(value)
      if (next !== value) await persist(next)
      value = next
      return result
    })
    // The next step goes on from the value before a failed one; the failure is the caller's, who holds `turn`.
    last = turn.catch(() => undefined)
    return turn
  }
}
