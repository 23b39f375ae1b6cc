import { z } from 'zod'

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const pattern = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/
const maxMs = 365 * 86_400_000

/** Reads `500ms`, `30s`, `1.5m`, `2h` or `1d`; undefined for anything else. */
export function parseDurationMs(text: string): number | undefined {
  const [, amount, unit] = pattern.exec(text) ?? []
  if (amount === undefined || unit === undefined) return undefined
  return Number(amount) * (unitsMs[unit] as number)
}

const expected = 'expected a duration such as 500ms, 30s, 5m, 2h or 1d, at most 365d'

/** A duration as written, in milliseconds once read. */
export const durationSchema = z
  .string({ error: expected })
  .regex(pattern, expected)
  .meta({ id: 'duration', samples: ['500ms', '30s', '5m', '2h', '1d'] })
  .transform((text) => parseDurationMs(text) as number)
  .refine((ms) => ms <= maxMs, expected)
