import { z } from 'zod'

export const maxVirtualDays = 3_650
const day = z.number().min(0).max(maxVirtualDays)
const days = z.number().positive().max(maxVirtualDays)
/** The part of the devices that it happens to, the same ones for every event of one share. Default 1: all. */
const share = z.number().positive().max(1).optional()

const event = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ca-down'), day, days }),
  z.strictObject({ kind: z.literal('ca-roll-over'), day }),
  z.strictObject({ kind: z.literal('asleep'), day, days, share }),
  /** `byDays`: how far the clock is ahead, or with a minus behind. */
  z.strictObject({ kind: z.literal('clock-wrong'), day, days, byDays: z.number(), share }),
  z.strictObject({ kind: z.enum(['edit', 'unassign', 'assign', 'retire', 'wipe', 'unenroll', 'unlicense']), day, share }),
  /** The root of another CA is deployed on the day, linked when that CA takes over, half-way, and the old one withdrawn after `days`. */
  z.strictObject({ kind: z.literal('replace-root'), day, days }),
])

/** Where policies follow the CA by themselves, no admin replaces its root. */
function hasOneWayToReplace(events: readonly { readonly kind: string }[]): boolean {
  const count = (kind: string) => events.filter((event) => event.kind === kind).length
  return count('replace-root') === 0 || (count('replace-root') === 1 && count('ca-roll-over') === 0)
}

/** Runs the scenario on a virtual clock. */
export const virtualSchema = z.strictObject({
  /** Default 365. */
  days: z.int().min(1).max(maxVirtualDays).optional(),
  /** Seeded faults, crashes and edits until the days are over. Default true. */
  faults: z.boolean().optional(),
  /** How often a device that nothing wakes checks in. Default 24. */
  checkInHours: z.number().min(0.1).max(8_760).optional(),
  /** Over how long the devices start. Default 24; 0: all at once. */
  startOverHours: z.number().min(0).max(8_760).optional(),
  /** False: every renewal at the moment at which it is due. Default true. */
  jitter: z.boolean().optional(),
  /** What happens on a day of its own. */
  events: z
    .array(event)
    .max(1_000)
    .refine(hasOneWayToReplace, 'expected replace-root once at most, and not beside ca-roll-over')
    .optional(),
})

export type VirtualDocument = z.infer<typeof virtualSchema>
