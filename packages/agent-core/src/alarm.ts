import type { Clock } from './ports.ts'

/** Why an alarm's sleep ends: an abort without a reason makes an error with a stack. */
const calledOff = 'the alarm was called off'

/** Calls `ring` once `ms` have passed, unless the function that it returns was called before. What `ring` throws is nobody's: a bug. */
export function alarm(clock: Clock, ms: number, ring: () => void): () => void {
  if (clock.alarm) return clock.alarm(ms, ring)
  const off = new AbortController()
  const unlessOff = () => {
    if (!off.signal.aborted) ring()
  }
  clock.sleep(ms, off.signal).then(unlessOff, (error: unknown) => {
    if (!off.signal.aborted) throw error
  })
  return () => off.abort(calledOff)
}
