import { type Clock, systemClock, type Transport } from '@certfleet/agent-core'
import type { DeviceSpec, FleetOptions, PushEvents } from '@certfleet/emulator/fleet'
import { memoryDeviceStorage, policyServiceTarget } from '@certfleet/emulator/fleet'
import type { FleetKeyStorage } from '#emulator/fleet/key-storage.ts'
import type { FleetDevice } from '#emulator/fleet/run.ts'
import type { EmulationKeys } from '#emulator/keys/emulation-keys.ts'
import type { Meter, Step } from '#emulator/measure/types.ts'

export interface TestFleet {
  readonly specs: readonly DeviceSpec[]
  readonly transport: Transport
  readonly clock?: Clock
  readonly registrationToken?: string
  readonly keyStorage?: FleetKeyStorage
  readonly keys?: EmulationKeys
}

/** A fleet that begins now, as devices end, at the lab behind a transport; it is read by the clock alone. */
export function fleetOptions(fleet: TestFleet, overrides: Partial<FleetOptions> = {}): FleetOptions {
  const { specs, transport, clock = systemClock, registrationToken = 'token', keyStorage, keys } = fleet
  const startedAt = clock.now()
  return {
    devices: specs.map((spec, index) => ({ spec, index })),
    seed: 1,
    concurrency: 4,
    target: policyServiceTarget({ policyUrl: 'http://lab.invalid/device/policy', registrationToken, push: false }),
    storageFor: (spec, index) => memoryDeviceStorage(spec, index, { clock, keyStorage, keys }),
    transport,
    clock,
    startedAt,
    sinceStartMs: () => clock.now() - startedAt,
    meter: recordingMeter(),
    onFault: () => {},
    isKept: false,
    legacyDes: false,
    legacySha1: false,
    signal: new AbortController().signal,
    ...overrides,
  }
}

/** The same devices, each due at its moment. */
export const dueAt = (specs: readonly DeviceSpec[], ...dueMs: readonly number[]): readonly FleetDevice[] =>
  specs.map((spec, index) => ({ spec, index, dueMs: dueMs[index] as number }))

export interface RecordingMeter extends Meter {
  /** Of each step of that name, in their order. */
  durationsMs(step: Step): readonly number[]
  /** When each device was due, and how late it began, in the order in which they began. */
  readonly begun: readonly (readonly [dueMs: number, lateMs: number])[]
  readonly completions: readonly boolean[]
  connections(): number
}

/** Keeps what it is told. */
export function recordingMeter(): RecordingMeter {
  const steps: [Step, number][] = []
  const begun: [number, number][] = []
  const completions: boolean[] = []
  let connections = 0
  return {
    step: (step, _platform, durationMs) => void steps.push([step, durationMs]),
    error: () => {},
    started: (dueMs, lateMs) => void begun.push([dueMs, lateMs]),
    completed: (isGood) => void completions.push(isGood),
    connected(change) {
      connections += change
    },
    pending: () => {},
    durationsMs: (name) => steps.flatMap(([step, durationMs]) => (step === name ? [durationMs] : [])),
    begun,
    completions,
    connections: () => connections,
  }
}

/** A push channel without sockets, of every device of a fleet. */
export interface TestPush {
  readonly open: ReadonlySet<() => void>
  connect(onWake: () => void, events: PushEvents): { close(): Promise<void> }
}

export function testPush(): TestPush {
  const open = new Set<() => void>()
  return {
    open,
    connect(onWake, { onOpen, onDown }) {
      open.add(onWake)
      onOpen(1)
      return {
        async close() {
          open.delete(onWake)
          onDown(true)
        },
      }
    },
  }
}
