import type { Clock } from '@certfleet/agent-core'

interface Judge {
  readonly clock: Clock
  /** For how long a holder that is not heard of keeps what it holds. */
  readonly leaseMs: number
}

/** Hears of the holder by its clock, and judges by the queue's whether it was heard of in time; the result ends that. */
export function hold({ clock, leaseMs }: Judge, holder: Clock, expired: () => void): () => void {
  const over = new AbortController()
  const end = () => over.abort(held)
  let heardAt = clock.now()
  const hear = async () => {
    for (;;) {
      await holder.sleep(leaseMs / 3, over.signal)
      heardAt = clock.now()
    }
  }
  const judge = async () => {
    for (let leftMs = leaseMs; leftMs > 0; leftMs = heardAt + leaseMs - clock.now()) await clock.sleep(leftMs, over.signal)
    end()
    expired()
  }
  const unlessOver = (error: unknown) => {
    if (!over.signal.aborted) throw error
  }
  if (Number.isFinite(leaseMs)) for (const work of [hear, judge]) work().catch(unlessOver)
  return end
}

const held = 'what was held is given back'
