import type { Clock, Instant } from '@certfleet/agent-core'
import type { DeviceOutcome } from '#emulator/fleet/outcome.ts'
import type { DeviceKeeper } from '#emulator/fleet/queue/keeping.ts'
import type { FleetDevice } from '#emulator/fleet/run.ts'
import type { Step } from '#emulator/measure/types.ts'
import type { Seed } from '#emulator/scenario/schema.ts'
import { type Chance, chanceOf } from '#emulator/simulate/chance.ts'
import type { ModelAuthority } from './simulated-authority.ts'
import type { SimulatedProcess } from './simulated-process.ts'

export interface Living {
  readonly seed: Seed
  readonly keeper: DeviceKeeper
  readonly process: SimulatedProcess
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Aborted: it is left between two passes. */
  readonly beginning: AbortSignal
  readonly ca: ModelAuthority
  readonly chance: Chance
  readonly startedAt: Instant
  readonly hasFence: boolean
  count(step: Step): void
}

/** As an agent does it: register, root, certificate, report; what is on record is not done again, and a request that waits is polled. */
export async function liveThrough({ spec, index, dueMs }: FleetDevice, living: Living): Promise<DeviceOutcome> {
  const { seed, keeper, process, clock, signal, beginning, ca, chance, startedAt, count } = living
  const { records, meter } = keeper
  const plan = planOf(seed, index)
  const elapsedMs = () => clock.now() - startedAt
  // Of this process: whoever goes on with a device finds out anew.
  let isPending = false
  meter.started(dueMs ?? elapsedMs(), elapsedMs() - (dueMs ?? elapsedMs()))
  const step = async <T>(name: Step, work: () => Promise<T> | T): Promise<T> => {
    const begunMs = elapsedMs()
    await clock.sleep(chance.between(10, 400), signal)
    const result = await work()
    signal.throwIfAborted()
    count(name)
    meter.step(name, spec.platform, elapsedMs() - begunMs)
    return result
  }
  if (!records.has('registration')) await step('register', () => void records.set('registration', octets('yes')))
  for (;;) {
    await step('policy', () => {})
    if (!records.has('root')) {
      await step('install', () => void records.set('root', octets('yes')))
      keeper.settled(false)
    }
    if (!records.has('certificate')) await enrol()
    await step('report', () => {})
    keeper.settled(true)
    if (!records.has('asked') || records.has('certificate')) break
    // Between two passes it stands well.
    await clock.sleep(plan.pollAfterMs, beginning)
  }
  meter.completed(!plan.fails)
  return { ...nothing, deviceId: spec.id, certificatesInstalled: records.has('certificate') ? 1 : 0 }

  async function enrol(): Promise<void> {
    const asked = records.has('asked') ? Number(text(records.get('asked'))) : undefined
    if (asked === undefined) await step('GetCACaps', () => {})
    if (plan.fails) {
      meter.error({ code: 'ERR_CHALLENGE_UNAVAILABLE', step: 'challenge', platform: spec.platform, device: spec.id, message: 'none' })
      return keeper.settled(false)
    }
    if (asked === undefined) await step('challenge', () => {})
    if (!records.has('key')) await step('keygen', () => void records.set('key', octets(`${chance.between(0, 2 ** 40)}`)))
    if (living.hasFence) await Promise.race([keeper.fence(), abortOf(signal)])
    signal.throwIfAborted()
    const key = text(records.get('key'))
    const isIssued = await step(asked === undefined ? 'PKIOperation' : 'poll', () =>
      process.reached(ca.ask(index, `transaction of ${key}`, (asked ?? 0) >= plan.polls)),
    )
    if (!isIssued) {
      if (!isPending) meter.pending(1)
      isPending = true
      records.set('asked', octets(`${(asked ?? 0) + 1}`))
      return keeper.settled(false)
    }
    await step('install', () => void records.set('certificate', octets('yes')))
    if (isPending) meter.pending(-1)
    count('enrollment')
    meter.step('enrollment', spec.platform, elapsedMs())
    keeper.settled(false)
  }
}

const abortOf = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

export interface DevicePlan {
  readonly fails: boolean
  /** How often it asks after its request before there is an answer. */
  readonly polls: number
  readonly pollAfterMs: number
}

export function planOf(seed: Seed, index: number): DevicePlan {
  const chance = chanceOf(seed, index, 'plan')
  return { fails: chance.happens(100), polls: chance.happens(300) ? chance.between(1, 3) : 0, pollAfterMs: chance.between(500, 8000) }
}

const nothing: Omit<DeviceOutcome, 'deviceId' | 'certificatesInstalled'> = {
  platform: 'ios',
  rootsInstalled: 1,
  pending: 0,
  failures: [],
  waitingForUser: [],
  notApplicable: [],
  keys: [],
  ignoredSettings: [],
  profiles: [],
}

const octets = (given: string): Uint8Array => new TextEncoder().encode(given)
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
