import { createHash, randomBytes } from 'node:crypto'
import { AgentError, type Instant } from '@certfleet/agent-core'
import { histogramShape } from '../../measure/histogram.ts'
import { packageVersion } from '../../package-version.ts'
import type { FleetPlatform, ScenarioDocument, Seed } from '../../scenario/schema.ts'
import type { Import, Tenant } from '../../tenant/index.ts'
import type { DeviceSpec } from '../device.ts'
import type { TargetSettings } from '../target/settings.ts'
import type { RunManifest } from './shard-queue.ts'

/** What decides what a run is. */
export interface DecidingFacts {
  /** With the options that stand in its stead. */
  readonly scenario: ScenarioDocument
  readonly seed: Seed
  readonly imported: Import
  readonly tenant: Tenant
  readonly devices: readonly DeviceSpec[]
  /** Undefined: an embedded lab. */
  readonly target: TargetSettings | undefined
}

export interface ManifestFacts extends DecidingFacts {
  readonly shards: number
  readonly submittedAt: Instant
}

export function runManifestOf(facts: ManifestFacts): RunManifest {
  const { scenario, seed, devices, shards, submittedAt } = facts
  return {
    id: newRunId(),
    version: packageVersion(),
    seed,
    devices: devices.length,
    platforms: countsOf(devices),
    shards,
    histogram: histogramShape,
    scenario: scenarioDigest(facts),
    beginsTogether: isBoundToTime(scenario),
    submittedAt,
  }
}

/** Its devices begin by plan, or it lasts for a while: every shard has to be there from its start. */
export const isBoundToTime = ({ arrival, duration }: ScenarioDocument): boolean => arrival !== undefined || duration !== undefined

/**
 * SHA-256, hexadecimal, of everything that decides the run, in a form in which neither the order of keys counts nor where files lie. What
 * files hold counts; a secret does not, which may be another the next time.
 */
export function scenarioDigest({ scenario, seed, imported, tenant, devices, target }: DecidingFacts): string {
  const { seed: _seed, profiles: _profiles, tenant: _tenant, 'pin-file': _pin, target: _target, ...said } = scenario
  const { profiles, assignments } = imported
  const { file: _file, ...population } = tenant
  const whole = { said, seed: String(seed), profiles, assignments, population, devices, target: target && withoutSecrets(target) }
  return createHash('sha256')
    .update(JSON.stringify(canonical(whole)))
    .digest('hex')
}

function withoutSecrets(target: TargetSettings): object {
  if (target.kind === 'policy') return { ...target, registrationToken: undefined }
  const { challenge } = target
  return { ...target, challenge: challenge && { ...challenge, text: undefined, password: undefined } }
}

/** Of files only what they hold counts. */
const placeKeys: ReadonlySet<string> = new Set(['file', 'path'])

/** As JSON has it, and always the same: members by name, maps as lists of pairs, bytes as text. */
function canonical(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof Map) return [...value].sort(byText).map(canonical)
  if (value instanceof Set) return [...value].sort(byText)
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return undefined
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).filter(([name, member]) => member !== undefined && !placeKeys.has(name))
  return members.sort(byText).map(([name, member]) => [name, canonical(member)])
}

function byText(a: unknown, b: unknown): number {
  const [one, other] = [a, b].map((value) => String(Array.isArray(value) ? value[0] : value)) as [string, string]
  return one < other ? -1 : one > other ? 1 : 0
}

function countsOf(devices: readonly DeviceSpec[]): RunManifest['platforms'] {
  const counts: Partial<Record<FleetPlatform, number>> = {}
  for (const { platform } of devices) counts[platform] = (counts[platform] ?? 0) + 1
  return counts
}

const base32 = 'abcdefghijklmnopqrstuvwxyz234567'
const idCharacters = 10

/** No two runs have the same: of 50 random bits. */
function newRunId(): string {
  return `r-${[...randomBytes(idCharacters)].map((octet) => base32[octet % base32.length]).join('')}`
}

export const isRunId = (text: string): boolean => new RegExp(`^r-[${base32}]{${idCharacters}}$`).test(text)

/**
 * Throws `ERR_UNSUPPORTED` unless this version of certfleet may work on the run: what another version measures and keeps could not be added
 * up with it.
 */
export function assertJoinable({ id, version, histogram }: Pick<RunManifest, 'id' | 'version' | 'histogram'>): void {
  const own = packageVersion()
  if (version !== own)
    throw new AgentError(
      'ERR_UNSUPPORTED',
      `run ${id} is of certfleet ${version}, and this is ${own}: install the same version on every machine`,
    )
  if (histogram !== histogramShape)
    throw new AgentError(
      'ERR_UNSUPPORTED',
      `run ${id} counts lengths as "${histogram}", and this build as "${histogramShape}": install the same build on every machine`,
    )
}
