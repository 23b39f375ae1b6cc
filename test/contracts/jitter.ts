import type { Jitter } from '@certfleet/agent-core'
import type { Test } from 'tap'

/** What every `Jitter` promises (ports.ts): whole milliseconds, uniform, from the lower bound to the upper. */
export async function jitterContract(t: Test, jitter: Jitter): Promise<void> {
  const counts = new Map<number, number>()
  for (let i = 0; i < 5000; i++) {
    const ms = jitter.between(3, 7)
    counts.set(ms, (counts.get(ms) ?? 0) + 1)
  }
  t.same([...counts.keys()].sort(), [3, 4, 5, 6, 7])
  t.ok(
    [...counts.values()].every((count) => count > 800 && count < 1200),
    JSON.stringify([...counts]),
  )
  t.equal(jitter.between(5, 5), 5)
}
