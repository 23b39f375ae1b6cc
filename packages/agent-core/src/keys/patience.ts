import { AgentError } from '../errors.ts'
import type { Clock } from '../ports.ts'

/**
 * How long hardware that is busy is asked again: as Linux asks a TPM (tpm_transmit in drivers/char/tpm/tpm-interface.c), after 20 ms and
 * each time after twice as long, no wait above 2 s. Eight tries, 2.54 s of waiting in all.
 */
export const busyPatience = { tries: 8, firstWaitMs: 20 } as const

/** Does `work` again, with growing waits, as long as it fails with `ERR_KEY_STORAGE_BUSY`. The last failure is the caller's, as any other is at once. */
export async function whileBusy<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  for (let tried = 1, waitMs: number = busyPatience.firstWaitMs; tried < busyPatience.tries; tried++, waitMs *= 2) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof AgentError && error.code === 'ERR_KEY_STORAGE_BUSY')) throw error
    }
    await clock.sleep(waitMs)
  }
  return work()
}
