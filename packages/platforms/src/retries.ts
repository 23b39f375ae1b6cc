import type { PendingSchedule } from '@certfleet/agent-core'
import { androidFacts } from './android/facts.ts'
import { appleFacts } from './apple/facts.ts'
import { type Fact, says } from './fact.ts'
import type { Os, PlatformName } from './os.ts'
import type { Retries } from './rendering/delivery.ts'
import { windowsFacts } from './windows/facts.ts'

const windows = ['windows', 'windows-phone'] as const

/** What bounds the retries that a delivery names; the defaults stand among each system's own facts. */
export const retryFacts = {
  windowsMostPolls: {
    id: 'windows.pending.most-polls',
    platforms: windows,
    effect: 'A retry count of 0 is no poll at all, and one over 30 counts as 30.',
    value: 30,
    source: 'W-DDF Install/RetryCount',
    confidence: 'V',
  },
  windowsLeastDelayMs: {
    id: 'windows.pending.least-delay',
    platforms: windows,
    effect: 'The retry delay is a minute at least; that a smaller one counts as one is taken.',
    value: 60_000,
    source: 'W-DDF Install/RetryDelay',
    confidence: 'I',
  },
} as const satisfies Record<string, Fact>

/**
 * When an OS asks for a request that the CA left pending: by what the delivery says, within what the OS allows, and by the OS's own
 * defaults for what it does not say. Pure.
 */
export function pendingScheduleOf(os: Os, retries: Partial<Retries> = {}): PendingSchedule {
  return schedules[os.platform](os, retries)
}

const schedules: Readonly<Record<PlatformName, (os: Os, retries: Partial<Retries>) => PendingSchedule>> = {
  ios: apple,
  macos: apple,
  android: (os, { count, delayMs = says(androidFacts.pendingDelayMs, os) }) => ({
    polls: count ?? says(androidFacts.pendingPolls, os),
    firstDelayMs: delayMs,
    delayMs,
  }),
  windows: (os, retries) => {
    const { count = says(windowsFacts.pendingPolls, os), delayMs: asked = says(windowsFacts.pendingDelayMs, os) } = retries
    const delayMs = Math.max(asked, says(retryFacts.windowsLeastDelayMs, os))
    return { polls: Math.min(Math.max(count, 0), says(retryFacts.windowsMostPolls, os)), firstDelayMs: delayMs, delayMs }
  },
}

function apple(os: Os, { count, delayMs }: Partial<Retries>): PendingSchedule {
  return {
    polls: count ?? says(appleFacts.pendingPolls, os),
    firstDelayMs: says(appleFacts.pendingFirstDelayMs, os),
    delayMs: delayMs ?? says(appleFacts.pendingDelayMs, os),
  }
}
