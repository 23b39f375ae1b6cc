import type { StateStore } from '../ports.ts'
import type { AgentState } from '../types.ts'
import { inTurn } from './in-turn.ts'

/** One for all: most devices have nothing to remember most of the time. */
const nothing: ReadonlyMap<unknown, unknown> = new Map()
const none = <K, V>() => nothing as ReadonlyMap<K, V>

export const emptyState: AgentState = { attempts: none(), pending: none(), failures: none() }

/** The state kept in memory from `initial` on; each change counts once `persist` has resolved, one after another. */
export function stateStore(initial: AgentState, persist: (state: AgentState) => Promise<void>): StateStore {
  const change = inTurn(initial, persist)
  return {
    load: () => change((now) => ({ next: now, result: now })),
    beginAttempt: (key, attempt) =>
      change((now) => {
        const unfinished = now.attempts.get(key)
        if (unfinished !== undefined) return { next: now, result: unfinished }
        return { next: { ...now, attempts: withEntry(now.attempts, key, attempt) }, result: attempt }
      }),
    recordPending: (key, pending) =>
      change((now) => ({ next: { ...now, pending: withEntry(now.pending, key, pending) }, result: undefined })),
    recordIssued: (key, issued) =>
      change((now) => {
        const attempt = now.attempts.get(key)
        if (attempt === undefined) return { next: now, result: undefined }
        const attempts = withEntry(now.attempts, key, { ...attempt, issued })
        return { next: { ...now, attempts, pending: without(now.pending, key) }, result: undefined }
      }),
    recordFailure: (key, failure) =>
      change((now) => ({ next: { ...now, failures: withEntry(now.failures, key, failure) }, result: undefined })),
    endAttempt: (key, { clearFailure }) =>
      change((now) => ({
        next: {
          attempts: without(now.attempts, key),
          pending: without(now.pending, key),
          failures: clearFailure ? without(now.failures, key) : now.failures,
        },
        result: undefined,
      })),
  }
}

function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map(map).set(key, value)
}

function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const rest = new Map(map)
  rest.delete(key)
  return rest.size > 0 ? rest : none()
}
