import type { AgentErrorCode, Inapplicable, KeyProtection, KeyStorageReason } from '@certfleet/agent-core'
import type { FactOverrides } from '@certfleet/platforms'
import type { DeviceFailure, DeviceOutcome, FleetOutcome, ProfileOutcome } from '../fleet/outcome.ts'
import { type FleetPlatform, fleetPlatforms, type Seed } from '../scenario/schema.ts'
import { type Overridden, overriddenFacts } from './overridden.ts'
import type { StepResult } from './schema.ts'

/** Latency of enrolments in milliseconds, from when a device was due, to three significant digits; null where nothing was enrolled. */
export interface LatencyMs {
  readonly p50: number | null
  readonly p90: number | null
  readonly p99: number | null
}

export type FailuresByCode = Readonly<Partial<Record<AgentErrorCode, number>>>

/** Where keys ended up, and what of the profiles had no effect. */
export interface KeyResults {
  /** Keys of installed certificates, by what protects them. */
  readonly keys: Readonly<Partial<Record<KeyProtection, number>>>
  /** Why they are there. */
  readonly keyStorageReasons: Readonly<Partial<Record<KeyStorageReason, number>>>
  /** Settings that an OS ignored, counted once a profile and device. */
  readonly ignoredSettings: Readonly<Record<string, number>>
}

export interface PlatformResults extends KeyResults {
  readonly devices: number
  readonly rootsInstalled: number
  readonly certificatesInstalled: number
  readonly pending: number
  readonly failed: number
  readonly failuresByCode: FailuresByCode
  readonly latencyMs: LatencyMs
}

interface OfDevice {
  readonly device: string
  readonly platform: FleetPlatform
}

/** What `results.json` holds and `certfleet run --json` prints. */
export interface RunResults extends KeyResults, Overridden {
  readonly seed: Seed
  /** Devices that were run. */
  readonly devices: number
  readonly interrupted: boolean
  readonly durationMs: number
  readonly outcomes: {
    /** Certificates installed. */
    readonly installed: number
    /** Profiles, roots and devices that failed. */
    readonly failed: number
    /** Requests that the CA has not decided. */
    readonly pending: number
    /** Roots and profiles that go on once a user has done something. */
    readonly waitingForUser: number
    /** Profiles that are not for the OS of their device: neither installed nor failed. */
    readonly notApplicable: number
  }
  readonly failuresByCode: FailuresByCode
  /** Certificates installed over the duration of the whole run, without those of devices that a takeover delayed. */
  readonly enrollmentsPerSecond: number
  readonly latencyMs: LatencyMs
  /** Platforms that had a device. */
  readonly platforms: Readonly<Partial<Record<FleetPlatform, PlatformResults>>>
  /** Where each profile stands on each device, by the words of the OS too. */
  readonly profiles: readonly (OfDevice & ProfileOutcome)[]
  readonly failures: readonly FailureOfDevice[]
  readonly waitingForUser: readonly FailureOfDevice[]
  readonly notApplicable: readonly InapplicableToDevice[]
}

/** `profileId` and, by name, `profile`; `factId` is that of the fact which says so. */
export interface InapplicableToDevice extends Inapplicable {
  readonly device: string
  readonly platform: FleetPlatform
  readonly profileId: string
  readonly profile: string
}

export type FailureOfDevice = OfDevice & DeviceFailure

/** `steps`: what was measured. `delayed`: ids of devices that a takeover delayed, by which no rate is claimed. */
export function resultsOf(
  seed: Seed,
  { devices, durationMs, interrupted }: FleetOutcome,
  steps: readonly StepResult[],
  overrides?: FactOverrides,
  delayed: ReadonlySet<string> = new Set(),
): RunResults {
  const total = platformResults(devices, latencyOf(steps, 'all'))
  const waitingForUser = devices.flatMap((device) => ofDevice(device, device.waitingForUser))
  const notApplicable = devices.flatMap(({ deviceId: device, platform, notApplicable }) =>
    notApplicable.map(({ id: profileId, displayName: profile, ...why }) => ({ device, platform, profileId, profile, ...why })),
  )
  const present = fleetPlatforms.filter((platform) => devices.some((device) => device.platform === platform))
  return {
    seed,
    ...overriddenFacts(overrides),
    devices: devices.length,
    interrupted,
    durationMs,
    outcomes: {
      installed: total.certificatesInstalled,
      failed: total.failed,
      pending: total.pending,
      waitingForUser: waitingForUser.length,
      notApplicable: notApplicable.length,
    },
    failuresByCode: total.failuresByCode,
    enrollmentsPerSecond: perSecond(certificatesOf(devices.filter(({ deviceId }) => !delayed.has(deviceId))), durationMs),
    latencyMs: total.latencyMs,
    keys: total.keys,
    keyStorageReasons: total.keyStorageReasons,
    ignoredSettings: total.ignoredSettings,
    platforms: Object.fromEntries(
      present.map((platform) => [
        platform,
        platformResults(
          devices.filter((device) => device.platform === platform),
          latencyOf(steps, platform),
        ),
      ]),
    ),
    failures: devices.flatMap((device) => ofDevice(device, device.failures)),
    profiles: devices.flatMap((device) => ofDevice(device, device.profiles)),
    waitingForUser,
    notApplicable,
  }
}

const certificatesOf = (devices: readonly DeviceOutcome[]): number =>
  devices.reduce((sum, { certificatesInstalled }) => sum + certificatesInstalled, 0)

function ofDevice<T extends object>({ deviceId: device, platform }: DeviceOutcome, told: readonly T[]): (OfDevice & T)[] {
  return told.map((one) => ({ device, platform, ...one }))
}

function platformResults(devices: readonly DeviceOutcome[], latencyMs: LatencyMs): PlatformResults {
  const sum = (count: (device: DeviceOutcome) => number) => devices.reduce((all, device) => all + count(device), 0)
  const failures = devices.flatMap((device) => device.failures)
  return {
    devices: devices.length,
    rootsInstalled: sum((device) => device.rootsInstalled),
    certificatesInstalled: sum((device) => device.certificatesInstalled),
    pending: sum((device) => device.pending),
    failed: failures.length,
    failuresByCode: counts(failures.map(({ code }) => code)),
    latencyMs,
    ...keyResults(devices),
  }
}

function keyResults(devices: readonly DeviceOutcome[]): KeyResults {
  const placements = devices.flatMap((device) => device.keys)
  return {
    keys: counts(placements.map(({ protection }) => protection)),
    keyStorageReasons: counts(placements.map(({ reason }) => reason)),
    ignoredSettings: counts(devices.flatMap((device) => device.ignoredSettings)),
  }
}

/** Most frequent first. */
function counts<Name extends string>(names: readonly Name[]): Record<Name, number> {
  const byName = new Map<Name, number>()
  for (const name of names) byName.set(name, (byName.get(name) ?? 0) + 1)
  return Object.fromEntries([...byName].sort(([, a], [, b]) => b - a)) as Record<Name, number>
}

function latencyOf(steps: readonly StepResult[], platform: StepResult['platform']): LatencyMs {
  const found = steps.find((row) => row.step === 'enrollment' && row.platform === platform)
  return found ? { p50: found.p50Ms, p90: found.p90Ms, p99: found.p99Ms } : { p50: null, p90: null, p99: null }
}

function perSecond(count: number, durationMs: number): number {
  return durationMs > 0 ? Math.round((count / durationMs) * 1e5) / 100 : 0
}
