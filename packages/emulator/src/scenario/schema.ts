import { AgentError, type Ksp, parseKsp } from '@certfleet/agent-core'
import { type FactOverrides, factOverrides, managementModes } from '@certfleet/platforms'
import { z } from 'zod'
import { loadKeys } from './load-schema.ts'
import { virtualSchema } from './virtual.ts'

/** The platforms of a fleet, in the order of every table. */
export const fleetPlatforms = ['ios', 'macos', 'android', 'windows'] as const
export type FleetPlatform = (typeof fleetPlatforms)[number]

export const maxDevices = 100_000
export const maxConcurrency = 1_024
const seedText = /^[\x20-\x7e]{1,64}$/
const seedExpected = 'expected a whole number from 0, or 1 to 64 printable ASCII characters'
const maxValidityDays = 3_650

const deviceCount = z.int().min(0).max(maxDevices)
const share = z.number().min(0).max(1_000_000)
const atLeastOne = (counts: Record<string, number | undefined>) => Object.values(counts).some((count) => (count ?? 0) > 0)
const noneAbove0 = 'expected one platform above 0'

function perPlatform<Value extends z.ZodType>(value: Value) {
  return z.strictObject({ ios: value.optional(), macos: value.optional(), android: value.optional(), windows: value.optional() })
}

const devices = z.union(
  [
    z.int().min(1).max(maxDevices),
    z.strictObject({ total: z.int().min(1).max(maxDevices), shares: perPlatform(share).refine(atLeastOne, noneAbove0) }),
    perPlatform(deviceCount).refine(atLeastOne, noneAbove0),
  ],
  {
    error: `expected a number of devices (1 to ${maxDevices}), or a number a platform (${fleetPlatforms.join(', ')}; one of them above 0), or "total" with "shares" a platform`,
  },
)

const ksp = z.string().transform((text, context): Ksp => {
  try {
    return parseKsp(text)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
})

const modeOf = <P extends FleetPlatform>(platform: P) => z.enum(managementModes[platform]).optional()
const management = z.strictObject({ ios: modeOf('ios'), macos: modeOf('macos'), android: modeOf('android'), windows: modeOf('windows') })
const facts = z.record(z.string(), z.unknown()).transform((values, context): FactOverrides => {
  const checked = Object.entries(values).flatMap(([id, value]) => {
    try {
      return [...factOverrides({ [id]: value })]
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      context.addIssue({ code: 'custom', message: error.message, path: [id] })
      return []
    }
  })
  return new Map(checked)
})

/** A scenario file as written; every key is optional and no other is allowed. */
export const scenarioSchema = z.strictObject({
  /** Replays the run's chance. Default: drawn and printed. */
  seed: z.union([z.int().min(0), z.string().regex(seedText, seedExpected)], { error: seedExpected }).optional(),
  /** How many, in all or a platform. Default 200 in all, shared evenly. Not beside `tenant`, which names its devices. */
  devices: devices.optional(),
  /** What the devices of a platform are enrolled as. Default: Samsung Knox for Android, managed elsewhere. Not beside `tenant` either. */
  management: management.optional(),
  /** File or folder of Graph JSON, relative to the scenario file. Default: the example tenant. */
  profiles: z.string().min(1).optional(),
  /** Tenant YAML, relative to the scenario file. Default: a generated tenant. */
  tenant: z.string().min(1).optional(),
  /** Devices at work at the same time. Default 32. */
  concurrency: z.int().min(1).max(maxConcurrency).optional(),
  /** Agents and lab read messages encrypted with single DES. Default false. */
  'legacy-des': z.boolean().optional(),
  /** Agents and lab accept SHA-1. Default false. */
  'legacy-sha1': z.boolean().optional(),
  /** Where every device holds every key: software, tpm, passport or pkcs11:MODULE?token=LABEL. Default: where the profiles say. */
  ksp: ksp.optional(),
  /** File whose first line is the PIN for `ksp`, relative to the scenario file. Default: CERTFLEET_PIN. The PIN itself has no place here. */
  'pin-file': z.string().min(1).optional(),
  lab: z
    .strictObject({
      /** Lifetime of the certificates that the lab issues. Default 365; 30 on a virtual clock. */
      validityDays: z.int().min(1).max(maxValidityDays).optional(),
    })
    .optional(),
  /** What is taken instead of facts that are inferred or were seen once, by their ids: all that `factOverrides` takes. */
  facts: facts.optional(),
  ...loadKeys,
  virtual: virtualSchema.optional(),
})

export type Seed = number | string

/** Reads a seed as written on the command line: a number where it is one, so that file and option mean the same. */
export function parseSeed(text: string): Seed | undefined {
  if (/^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text)
  return seedText.test(text) ? text : undefined
}

export type ScenarioDocument = z.infer<typeof scenarioSchema>
