import { setMaxListeners } from 'node:events'
import { AgentError, type OpenedKeyStorage, openKeyStorage } from '@certfleet/agent-core'
import { seededJitter } from '@certfleet/agent-core/system'
import pLimit from 'p-limit'
import type { Seed } from '../scenario/schema.ts'
import { type IssuedCertificate, issuedCertificates } from './certificates.ts'
import { bootDevice, type DeviceSpec, type DeviceSurroundings, type EmulatedDevice } from './device.ts'
import { closeKeyStorage } from './key-storage.ts'
import type { DeviceFailure, DeviceOutcome, FleetOutcome } from './outcome.ts'
import { watchDevice } from './watch.ts'

export interface FleetOptions extends DeviceSurroundings {
  readonly devices: readonly DeviceSpec[]
  /** With a device's position it decides all of that device's chance. */
  readonly seed: Seed
  /** Devices at work at the same time; at least 1. */
  readonly concurrency: number
  /** Ends the run early: devices under way stop where they are, the others do not start. */
  readonly signal: AbortSignal
  /** Called as each device ends, in the order in which they end. */
  readonly onDevice?: (outcome: DeviceOutcome) => void
  /** Called once a device that has certificates, before `onDevice`. When it rejects, so does the run. */
  readonly keep?: (deviceId: string, certificates: readonly IssuedCertificate[]) => Promise<void>
}

/**
 * Runs every device once: register, sync policy, install roots, enrol, report; what is pending is polled until the CA decides or
 * the platform gives up. A failure is an outcome. Rejects only for a bug, or when `keep` does; then no device is left running.
 * A token that cannot be opened rejects with its `AgentError` before any device runs: each would cost it a try of the PIN.
 */
export async function runFleet(options: FleetOptions): Promise<FleetOutcome> {
  const token = await openToken(options)
  try {
    return await runDevices(options)
  } finally {
    if (token) await closeKeyStorage(token)
  }
}

async function openToken({ keyStorage, clock }: FleetOptions): Promise<OpenedKeyStorage | undefined> {
  if (keyStorage?.ksp.kind !== 'pkcs11') return undefined
  const { ksp, pin } = keyStorage
  return openKeyStorage(ksp, { clock, ...(pin !== undefined && { secret: async () => pin }) })
}

async function runDevices(options: FleetOptions): Promise<FleetOutcome> {
  const { devices, clock, concurrency } = options
  const startedAt = clock.now()
  const broken = new AbortController()
  const signal = AbortSignal.any([options.signal, broken.signal])
  // Every request under way listens on it: far more than the ten above which Node suspects a leak.
  setMaxListeners(0, signal)
  const limit = pLimit(concurrency)
  const running = devices.map((spec, index) =>
    limit(() => runDevice(spec, index, options, signal)).catch((error: unknown) => {
      broken.abort(error)
      throw error
    }),
  )
  await Promise.allSettled(running)
  const outcomes = (await Promise.all(running)).filter((outcome) => outcome !== undefined)
  return { devices: outcomes, durationMs: clock.now() - startedAt, interrupted: options.signal.aborted }
}

async function runDevice(spec: DeviceSpec, index: number, options: FleetOptions, signal: AbortSignal): Promise<DeviceOutcome | undefined> {
  if (signal.aborted) return undefined
  const outcome = await deviceOutcome(spec, index, options, signal)
  options.onDevice?.(outcome)
  return outcome
}

async function deviceOutcome(spec: DeviceSpec, index: number, options: FleetOptions, signal: AbortSignal): Promise<DeviceOutcome> {
  let device: EmulatedDevice
  try {
    device = await bootDevice(spec, seededJitter(`${options.seed}/${index}`), options, signal)
  } catch (error) {
    return { ...nothingOf(spec), failures: failureOf(error, signal) }
  }
  try {
    return await checkedIn(spec, device, options, signal)
  } finally {
    await device.close()
  }
}

async function checkedIn(spec: DeviceSpec, device: EmulatedDevice, options: FleetOptions, signal: AbortSignal): Promise<DeviceOutcome> {
  const watch = watchDevice(device.agent, options.clock)
  const failures = await checkIn(device, options, signal)
  const { platform, state } = device
  const [roots, identities, { pending }] = await Promise.all([platform.certificateStores.list(), platform.identities.list(), state.load()])
  if (options.keep && identities.length > 0) await options.keep(spec.id, await issuedCertificates(platform, identities))
  return {
    ...nothingOf(spec),
    rootsInstalled: roots.length,
    certificatesInstalled: identities.length,
    pending: pending.size,
    enrollmentMs: watch.enrollmentMs(),
    failures: [...failures, ...watch.failures()],
    waitingForUser: watch.waitingForUser(),
    keys: identities.map(({ placement }) => placement),
    ignoredSettings: watch.ignoredSettings(),
    profiles: watch.profiles(),
    notApplicable: watch.notApplicable(),
  }
}

const nothingOf = ({ id: deviceId, platform }: DeviceSpec): DeviceOutcome => ({
  deviceId,
  platform,
  rootsInstalled: 0,
  certificatesInstalled: 0,
  pending: 0,
  enrollmentMs: [],
  failures: [],
  waitingForUser: [],
  keys: [],
  ignoredSettings: [],
  profiles: [],
  notApplicable: [],
})

/** Passes until nothing is pending; what failed is not waited for. */
async function checkIn({ agent, state }: EmulatedDevice, { clock }: FleetOptions, signal: AbortSignal): Promise<readonly DeviceFailure[]> {
  try {
    for (;;) {
      const { wakeAt } = await agent.runOnce(signal)
      if (wakeAt === undefined || (await state.load()).pending.size === 0) return []
      await clock.sleep(Math.max(0, wakeAt - clock.now()), signal)
    }
  } catch (error) {
    return failureOf(error, signal)
  }
}

/** An interruption is nobody's failure. */
function failureOf(error: unknown, signal: AbortSignal): readonly DeviceFailure[] {
  if (error instanceof AgentError) return [{ code: error.code, message: error.message }]
  if (signal.aborted && error === signal.reason) return []
  throw error
}
