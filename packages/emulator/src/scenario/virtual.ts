import { z } from 'zod'

export const maxVirtualDays = 3_650
const day = z.number().min(0).max(maxVirtualDays).meta({ description: 'When it begins.' })
const days = z.number().positive().max(maxVirtualDays).meta({ description: 'How long it lasts.' })
const share = z
  .number()
  .positive()
  .max(1)
  .meta({ description: 'The part of the devices that it happens to, the same ones for every event of one share.', otherwise: 1 })
  .optional()

const event = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ca-down'), day, days }),
  z.strictObject({ kind: z.literal('ca-roll-over'), day }),
  z.strictObject({ kind: z.literal('asleep'), day, days, share }),
  z.strictObject({
    kind: z.literal('clock-wrong'),
    day,
    days,
    byDays: z.number().meta({ description: 'How far the clock is ahead, or with a minus behind.' }),
    share,
  }),
  z.strictObject({ kind: z.enum(['edit', 'unassign', 'assign', 'retire', 'wipe', 'unenroll', 'unlicense']), day, share }),
  z.strictObject({
    kind: z.literal('replace-root').meta({
      description:
        'The root of another CA is deployed on the day, linked when that CA takes over, half-way, and the old one withdrawn after "days".',
    }),
    day,
    days,
  }),
])

/** Where policies follow the CA by themselves, no admin replaces its root. */
function hasOneWayToReplace(events: readonly { readonly kind: string }[]): boolean {
  const count = (kind: string) => events.filter((event) => event.kind === kind).length
  return count('replace-root') === 0 || (count('replace-root') === 1 && count('ca-roll-over') === 0)
}

export const virtualSchema = z
  .strictObject({
    days: z.int().min(1).max(maxVirtualDays).meta({ description: 'How long it lasts.', otherwise: 365 }).optional(),
    faults: z.boolean().meta({ description: 'Seeded faults, crashes and edits until the days are over.', otherwise: true }).optional(),
    checkInHours: z
      .number()
      .min(0.1)
      .max(8_760)
      .meta({ description: 'How often a device that nothing wakes checks in.', otherwise: 24 })
      .optional(),
    startOverHours: z
      .number()
      .min(0)
      .max(8_760)
      .meta({ description: 'Over how long the devices start; 0: all at once.', otherwise: 24 })
      .optional(),
    jitter: z.boolean().meta({ description: 'False: every renewal at the moment at which it is due.', otherwise: true }).optional(),
    events: z
      .array(event)
      .max(1_000)
      .refine(hasOneWayToReplace, 'expected replace-root once at most, and not beside ca-roll-over')
      .meta({ description: 'What happens on a day of its own.', otherwise: 'nothing' })
      .optional(),
  })
  .meta({
    description: 'Runs the scenario on a virtual clock: a year in minutes, judged by invariants.',
    otherwise: 'the real clock',
    samples: [{ days: 365, events: [{ kind: 'ca-down', day: 100, days: 7 }] }],
  })

export type VirtualDocument = z.infer<typeof virtualSchema>
