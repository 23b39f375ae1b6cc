import type { AgentError } from './errors.ts'
import { backoffBounds, backoffMinMs } from './plan/schedule.ts'
import type { HttpResponse, Jitter } from './ports.ts'

/** However long a server asks to be left alone. */
export const maxRetryAfterMs = 24 * 3_600_000

/** The wait after the `count`th failure in a row. Where the server named one it is no shorter, and spread, since all its clients wait alike. */
export function waitAfter({ retryAfterMs }: AgentError, count: number, jitter: Jitter): number {
  const { minMs, maxMs } = backoffBounds(count)
  const drawnMs = jitter.between(minMs, maxMs)
  return retryAfterMs === undefined ? drawnMs : Math.max(drawnMs, retryAfterMs + jitter.between(0, backoffMinMs))
}

/**
 * What Retry-After asks for with 429 and 503 (RFC 9110 10.2.3), at most `maxRetryAfterMs`: seconds, or a date, which is read by the
 * server's own clock in the Date header. A date without that, or anything else: undefined.
 */
export function retryAfterOf({ status, headers }: Pick<HttpResponse, 'status' | 'headers'>): number | undefined {
  const value = headers['retry-after']?.trim()
  if (value === undefined || (status !== 429 && status !== 503)) return undefined
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1000 : httpDate(value) - httpDate(headers.date ?? '')
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), maxRetryAfterMs)
}

/** RFC 9110 5.6.7, the form that is sent today; NaN for anything else. */
function httpDate(text: string): number {
  return /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text) ? Date.parse(text) : Number.NaN
}
