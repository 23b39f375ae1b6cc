import { createHash } from 'node:crypto'
import type { Instant } from '@certfleet/agent-core'
import { z } from 'zod'
import { InputError } from '../scenario/input-error.ts'
import type { Seed } from '../scenario/schema.ts'
import type { DeviceSpec } from './device.ts'

const manifestSchema = z.strictObject({
  kind: z.literal('certfleet-fleet'),
  version: z.literal(1),
  seed: z.union([z.string(), z.number()]),
  devices: z.int(),
  population: z.string(),
  keys: z.string(),
  target: z.string(),
  startedAt: z.number(),
})

/** Which run the records of a fleet belong to. */
export type RunManifest = z.output<typeof manifestSchema>

/** What decides which device is which, and which keys it draws. */
export interface FleetRun {
  readonly seed: Seed
  readonly devices: readonly DeviceSpec[]
  /** What keys are made of, in words: `fresh`, `primes, 8 a device`. */
  readonly keys: string
  /** What they enrol with: a credential of one service is for no other. */
  readonly target: string
  readonly startedAt: Instant
}

export function manifestOf({ seed, devices, keys, target, startedAt }: FleetRun): RunManifest {
  return { kind: 'certfleet-fleet', version: 1, seed, devices: devices.length, population: digestOf(devices), keys, target, startedAt }
}

/** Throws `InputError` for what is no manifest, and for that of another run, with what is told of both. */
export function assertSameRun(found: unknown, expected: RunManifest, folder: string): RunManifest {
  const { data } = manifestSchema.safeParse(found)
  if (!data) throw new InputError(`"${folder}" holds a database that is no fleet's, or of another version: name another folder`)
  const isSame =
    String(data.seed) === String(expected.seed) &&
    (['population', 'keys', 'target'] as const).every((name) => data[name] === expected[name])
  if (isSame) return data
  throw new InputError(
    `"${folder}" keeps ${describe(data)}, and this run has ${describe(expected)}: go on with the same seed, devices, keys and target, or name another folder`,
  )
}

function describe({ seed, devices, population, keys, target }: RunManifest): string {
  return `${devices} devices (${population.slice(0, 12)}) with seed ${seed} and keys ${keys}, enrolling with ${target}`
}

/** SHA-256, hexadecimal, of who the devices are, in their order. */
function digestOf(devices: readonly DeviceSpec[]): string {
  const hash = createHash('sha256')
  for (const { id, platform, osVersion, management = '', userConsent = '', hardware = '', receivesPfx = false } of devices) {
    hash.update(`${JSON.stringify([id, platform, osVersion, management, userConsent, hardware, receivesPfx])}\n`)
  }
  return hash.digest('hex')
}
