import type { Clock, Instant } from '@certfleet/agent-core'

interface Sleeper {
  readonly at: Instant
  readonly wake: () => void
}

/** A clock that moves only when it is told to. */
export class FakeClock implements Clock {
  #now: Instant
  readonly #sleepers = new Set<Sleeper>()

  constructor(now: Instant = 0) {
    this.#now = now
  }

  now(): Instant {
    return this.#now
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#sleepers.delete(sleeper)
        reject(signal?.reason)
      }
      const wake = () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const sleeper: Sleeper = { at: this.#now + Math.max(0, ms), wake }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** How many are asleep. */
  get sleeping(): number {
    return this.#sleepers.size
  }

  /** Wakes who is due, in order, each at its own moment; what it does at once, further sleeps too, counts before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await new Promise(setImmediate)
    for (let next = this.#nextUntil(until); next; next = this.#nextUntil(until)) {
      this.#now = next.at
      this.#sleepers.delete(next)
      next.wake()
      await new Promise(setImmediate)
    }
    this.#now = until
  }

  #nextUntil(until: Instant): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of this.#sleepers) if (sleeper.at <= until && (!first || sleeper.at < first.at)) first = sleeper
    return first
  }
}
