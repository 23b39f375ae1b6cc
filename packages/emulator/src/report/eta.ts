import type { LiveFacts } from './live.ts'

type Facts = Pick<LiveFacts, 'total' | 'due' | 'completed' | 'elapsedMs' | 'durationMs' | 'lastDueMs' | 'latency'>

/**
 * How long the run still takes; undefined where nothing tells.
 *
 * A run of a given length ends with it. Where the next device begins as one ends, the rest goes on at the pace so far. Where devices
 * begin by plan, a fleet that keeps up ends with the plan, and one that does not at its own pace.
 */
export function etaMs(facts: Facts): number | undefined {
  const { total, completed, elapsedMs, durationMs, lastDueMs = 0 } = facts
  if (durationMs !== undefined) return Math.max(0, durationMs - elapsedMs)
  const ofPlanMs = Math.max(0, lastDueMs - elapsedMs)
  if (completed === 0) return ofPlanMs || undefined
  if (ofPlanMs > 0 && keepsUp(facts)) return ofPlanMs
  return Math.max(ofPlanMs, (elapsedMs / completed) * (total - completed))
}

/**
 * By Little's law as many devices are on their way as begin in the time that one takes. A queue that grows holds at least twice as
 * many, because latency counts from when a device was due: at a capacity c below the rate of arrivals a, 2a/c times as many.
 */
function keepsUp({ due, completed, elapsedMs, latency }: Facts): boolean {
  return latency === undefined || due - completed <= 2 * (completed / elapsedMs) * latency.p50Ms + 1
}

/** `13 s`, `2 min 5 s`, `1 h 2 min`; what is begun counts. */
export function lengthText(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}
