import { AgentError, type Ksp, parseKsp } from '@certfleet/agent-core'
import { type FactOverrides, factOverrides } from '@certfleet/platforms'
import { z } from 'zod'
import { devicesSchema, managementSchema } from './devices.ts'
import { loadKeys } from './load-schema.ts'
import { virtualSchema } from './virtual.ts'

export const maxConcurrency = 1_024
const seedText = /^[\x20-\x7e]{1,64}$/
const seedExpected = 'expected a whole number from 0, or 1 to 64 printable ASCII characters'
const maxValidityDays = 3_650

export { type FleetPlatform, fleetPlatforms, maxDevices } from './devices.ts'

const kspText = z.string().meta({
  description: 'Where every device holds every key: software, tpm, passport or pkcs11:MODULE?token=LABEL.',
  otherwise: 'where the profiles say',
  samples: ['tpm', 'pkcs11:/usr/lib/softhsm/libsofthsm2.so?token=dev0'],
  pattern: '^(software|tpm|passport|pkcs11:.+)$',
})

const ksp = kspText.transform((text, context): Ksp => {
  try {
    return parseKsp(text)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
})

const factValues = z.record(z.string(), z.unknown()).meta({
  description: 'By id, what is taken instead of a fact that is inferred or was seen once; "certfleet facts" lists them.',
  otherwise: 'every OS does as sourced',
  samples: [{ 'android.pending.polls': 5 }],
})

const facts = factValues.transform((values, context): FactOverrides => {
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

const path = z.string().min(1)

/** A scenario file as written; every key is optional and no other is allowed. */
export const scenarioSchema = z.strictObject({
  seed: z
    .union([z.int().min(0), z.string().regex(seedText, seedExpected)], { error: seedExpected })
    .meta({ description: "Replays the run's chance.", otherwise: 'drawn, and printed', samples: [42, 'night run'] })
    .optional(),
  devices: devicesSchema.optional(),
  management: managementSchema.optional(),
  profiles: path
    .meta({
      description: 'File or folder of Graph JSON, relative to the scenario file.',
      otherwise: 'the example tenant',
      samples: ['export/'],
    })
    .optional(),
  tenant: path
    .meta({
      description: 'Tenant YAML, relative to the scenario file: who has which devices.',
      otherwise: 'a generated tenant, with a user for each device and every profile for all',
      samples: ['tenant.yaml'],
    })
    .optional(),
  concurrency: z
    .int()
    .min(1)
    .max(maxConcurrency)
    .meta({ description: 'Devices at work at the same time.', otherwise: 32, samples: [8] })
    .optional(),
  'legacy-des': z
    .boolean()
    .meta({ description: 'Agents and lab read messages encrypted with single DES.', otherwise: false, samples: [true] })
    .optional(),
  'legacy-sha1': z
    .boolean()
    .meta({ description: 'Agents and lab accept SHA-1.', otherwise: false, samples: [true] })
    .optional(),
  ksp: ksp.optional(),
  'pin-file': path
    .meta({
      description: 'File whose first line is the PIN for "ksp", relative to the scenario file. The PIN itself has no place here.',
      otherwise: 'CERTFLEET_PIN, or a prompt',
      samples: ['pin.txt'],
    })
    .optional(),
  lab: z
    .strictObject({
      validityDays: z
        .int()
        .min(1)
        .max(maxValidityDays)
        .meta({ description: 'Lifetime of the certificates that the lab issues.', otherwise: '365; 30 on a virtual clock' })
        .optional(),
    })
    .meta({ description: 'Of the embedded lab. Not beside "target".', samples: [{ validityDays: 90 }] })
    .optional(),
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
