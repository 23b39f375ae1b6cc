import type { Instant } from '@certfleet/agent-core'

/** What happens when, in virtual time. */
export interface Timeline {
  now(): Instant
  /** Enters something for that moment, or for now where it has passed; of one moment in the order of entry. Returns what takes it out again. */
  at(instant: Instant, what: () => void | Promise<void>): () => void
  /** Moves on to `end`: each thing at its moment, and finished before the next. Rejects with what one of them threw. */
  runUntil(end: Instant): Promise<void>
}

interface Entry {
  readonly at: Instant
  readonly order: number
  what: (() => void | Promise<void>) | undefined
}

export function createTimeline(start: Instant): Timeline {
  const entries = entryHeap()
  let now = start
  let order = 0
  return {
    now: () => now,
    at(instant, what) {
      const entry: Entry = { at: Math.max(now, instant), order: order++, what }
      entries.push(entry)
      return () => {
        entry.what = undefined
      }
    },
    async runUntil(end) {
      for (let next = entries.peek(); next && next.at <= end; next = entries.peek()) {
        entries.pop()
        if (!next.what) continue
        now = next.at
        await next.what()
      }
      now = end
    },
  }
}

/** A binary heap, earliest first. */
function entryHeap() {
  const heap: Entry[] = []
  const isBefore = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order)
  const swap = (i: number, j: number) => {
    const entry = heap[i] as Entry
    heap[i] = heap[j] as Entry
    heap[j] = entry
  }
  function rise(from: number): void {
    for (
      let i = from, parent = (i - 1) >> 1;
      i > 0 && isBefore(heap[i] as Entry, heap[parent] as Entry);
      i = parent, parent = (i - 1) >> 1
    ) {
      swap(i, parent)
    }
  }
  function sink(): void {
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2]
      let least = i
      if (left < heap.length && isBefore(heap[left] as Entry, heap[least] as Entry)) least = left
      if (right < heap.length && isBefore(heap[right] as Entry, heap[least] as Entry)) least = right
      if (least === i) return
      swap(i, least)
      i = least
    }
  }
  return {
    peek: (): Entry | undefined => heap[0],
    push(entry: Entry): void {
      heap.push(entry)
      rise(heap.length - 1)
    },
    pop(): void {
      const last = heap.pop()
      if (last === undefined || heap.length === 0) return
      heap[0] = last
      sink()
    },
  }
}
