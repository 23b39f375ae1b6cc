import { AgentError } from '@certfleet/agent-core'
import { managementModes, parseOs } from '@certfleet/platforms'
import { z } from 'zod'
import { type DeviceKind, hardwareKinds } from '../tenant/index.ts'

/** The platforms of a fleet, in the order of every table. */
export const fleetPlatforms = ['ios', 'macos', 'android', 'windows'] as const
export type FleetPlatform = (typeof fleetPlatforms)[number]

export const maxDevices = 100_000
const maxShare = 1_000_000
const maxKinds = 100

const total = z.int().min(1).max(maxDevices)
const share = z.number().min(0).max(maxShare)
const atLeastOne = (counts: Record<string, number | undefined>) => Object.values(counts).some((count) => (count ?? 0) > 0)
const noneAbove0 = 'expected one platform above 0'

function perPlatform<Value extends z.ZodType>(value: Value) {
  return z.strictObject({ ios: value.optional(), macos: value.optional(), android: value.optional(), windows: value.optional() })
}

const modeOf = <P extends FleetPlatform>(platform: P) => z.enum(managementModes[platform]).optional()

export const managementSchema = z
  .strictObject({ ios: modeOf('ios'), macos: modeOf('macos'), android: modeOf('android'), windows: modeOf('windows') })
  .meta({
    description: 'What the devices of a platform are enrolled as. Not beside "tenant", which says so itself.',
    otherwise: 'managed; on Android Samsung Knox',
    samples: [{ android: 'workProfile' }],
  })

const group = z
  .string()
  .regex(/^(?! )[^\p{Cc}]{1,200}(?<! )$/u, 'expected 1 to 200 characters, none of them a control character')
  // Not every editor reads the one above.
  .meta({ pattern: '^[^ ].{0,199}$' })
const modes = [...new Set(fleetPlatforms.flatMap((platform) => managementModes[platform]))]

const kindKeys = {
  platform: z.enum(fleetPlatforms),
  osVersion: z
    .string('expected text: put it in quotes')
    .regex(/^\d{1,9}(\.\d{1,9}){0,4}$/, "expected dotted numbers in quotes, such as '10.0.19045'")
    .meta({ description: 'Dotted numbers, in quotes.', otherwise: 'a release of today' })
    .optional(),
  management: z.enum(modes).meta({ description: 'What they are enrolled as.', otherwise: 'as "management" says' }).optional(),
  hardware: z
    .enum(hardwareKinds)
    .meta({ description: 'What keeps keys beside the software. Windows alone.', otherwise: 'tpm-2.0' })
    .optional(),
  devicesPerUser: z.int().min(1).max(100).meta({ description: 'So many of them have one user.', otherwise: 1 }).optional(),
  groups: z
    .array(group)
    .max(20)
    .meta({
      description:
        'The groups that they and their users are in, by id or name. With it the profiles go to whom their assignments name; without it to all.',
      otherwise: 'none',
    })
    .optional(),
} as const

interface Kind extends Pick<DeviceKind, 'platform'> {
  readonly osVersion?: string | undefined
  readonly management?: string | undefined
  readonly hardware?: string | undefined
}

function noSuchDevice({ platform, osVersion = '1', management, hardware }: Kind, context: z.RefinementCtx): void {
  const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
  if (hardware !== undefined && platform !== 'windows') refuse('hardware', `nothing keeps keys on ${platform} but software; leave it out`)
  try {
    parseOs(platform, osVersion)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    refuse('osVersion', error.message)
  }
  const known: readonly string[] = managementModes[platform]
  if (management !== undefined && !known.includes(management)) refuse('management', `expected ${known.join(' or ')} for ${platform}`)
}

const counted = z
  .strictObject({ ...kindKeys, count: z.int().min(0).max(maxDevices).meta({ description: 'How many.' }) })
  .superRefine(noSuchDevice)
const shared = z
  .strictObject({
    ...kindKeys,
    share: share.meta({ description: 'Of the total, beside the shares of the others.', otherwise: 1 }).optional(),
  })
  .superRefine(noSuchDevice)

const sumOf = (values: readonly (number | undefined)[]) => values.reduce<number>((all, value) => all + (value ?? 1), 0)
const fits = (kinds: readonly { readonly count: number }[]) => {
  const sum = sumOf(kinds.map(({ count }) => count))
  return sum >= 1 && sum <= maxDevices
}

/** How many devices there are, and what they are. */
export const devicesSchema = z
  .union(
    [
      total,
      z.strictObject({ total, shares: perPlatform(share).refine(atLeastOne, noneAbove0) }),
      perPlatform(z.int().min(0).max(maxDevices)).refine(atLeastOne, noneAbove0),
      z.array(counted).min(1).max(maxKinds).refine(fits, `expected counts that add up to 1 to ${maxDevices}`),
      z.strictObject({
        total,
        of: z
          .array(shared)
          .min(1)
          .max(maxKinds)
          .refine((kinds) => sumOf(kinds.map((kind) => kind.share)) > 0, 'expected one share above 0'),
      }),
    ],
    {
      error: `expected a number of devices (1 to ${maxDevices}), or a number a platform (${fleetPlatforms.join(', ')}; one of them above 0), or "total" with "shares" a platform, or a list of { platform, count, … }, or "total" with "of", a list of { platform, share, … }`,
    },
  )
  .meta({
    description: 'How many devices, in all or a platform, or what kinds of devices. Not beside "tenant", which names its devices.',
    otherwise: '200, shared evenly by the platforms',
    samples: [
      200,
      { ios: 100, windows: 100 },
      { total: 1000, shares: { ios: 3, windows: 1 } },
      [{ platform: 'windows', osVersion: '10.0.19045', count: 500, hardware: 'no-tpm' }],
      { total: 1000, of: [{ platform: 'ios', share: 3, devicesPerUser: 2 }, { platform: 'android' }] },
    ],
  })

export type DevicesDocument = z.output<typeof devicesSchema>
