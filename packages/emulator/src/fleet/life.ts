import { type Agent, AgentError, type Transport } from '@certfleet/agent-core'
import { seededJitter } from '@certfleet/agent-core/system'
import { inspectDevice } from '../invariants/inspect.ts'
import type { DeviceFindings } from '../invariants/names.ts'
import { type DeviceWitness, deviceWitness } from '../invariants/witness.ts'
import { type DeviceMeter, meterDevice } from '../measure/device-meter.ts'
import { noTracing } from '../measure/spans.ts'
import { issuedCertificates } from './certificates.ts'
import { bootDevice, type DeviceSpec, type EmulatedDevice } from './device.ts'
import { faultyTransport } from './faults.ts'
import type { DeviceFailure, DeviceOutcome } from './outcome.ts'
import type { DeviceStorage } from './ports.ts'
import type { DeviceKeeper } from './queue/keeping.ts'
import { keepWitnessed, witnessedBefore } from './queue/kept-witness.ts'
import type { FleetDevice, Running } from './run.ts'
import type { Stay } from './stay.ts'
import { type DeviceWatch, watchDevice } from './watch.ts'

/** A device that is through with its first pass, or could not make it. `endLife` ends it. */
export interface Life {
  readonly fleetDevice: FleetDevice
  readonly failures: readonly DeviceFailure[]
  /** The run was interrupted meanwhile, and others may go on with it: it has no end. */
  readonly isCutShort: boolean
  /** Absent where it never began. */
  readonly lived: Lived | undefined
}

export interface EndedLife {
  readonly outcome: DeviceOutcome
  /** Absent where it never began. */
  readonly findings?: DeviceFindings
}

/** Everything of one device while it runs. */
export interface Lived {
  readonly storage: DeviceStorage
  readonly witness: DeviceWitness
  readonly device: EmulatedDevice
  readonly watch: DeviceWatch
}

/** Boots a device and lets it make its first passes, until nothing is pending; what failed is not waited for. */
export async function beginLife(fleetDevice: FleetDevice, running: Running): Promise<Life> {
  const { spec, index } = fleetDevice
  const keeper = running.keeping?.keeperOf(index)
  const meter = meterOf(fleetDevice, running, keeper)
  let opened: DeviceStorage | undefined
  try {
    const storage = await running.storageFor(spec, index)
    opened = storage
    const lived = await meter.pass(() => boot(fleetDevice, storage, { meter, keeper }, running))
    const failures = await (running.firstPasses ? firstPass(lived, running) : checkIn(lived, meter, running))
    if (keeper && failures === interrupted) return { fleetDevice, failures, isCutShort: true, lived }
    meter.completed(failures.length === 0 && lived.watch.failures().length === 0)
    // What stands at the end of a stay is what its last pass left.
    return { fleetDevice, failures: running.staying ? [] : failures, isCutShort: false, lived }
  } catch (error) {
    await opened?.close()
    const failures = failureOf(error, running.signal)
    const isCutShort = keeper !== undefined && failures === interrupted
    if (!isCutShort) meter.completed(false)
    return { fleetDevice, failures, isCutShort, lived: undefined }
  }
}

/** Stops it where it stands. */
export async function leaveLife({ lived }: Life): Promise<void> {
  await lived?.device.agent.stop()
  await lived?.storage.close()
}

/** Stops it, looks at what it has, and ends it. */
export async function endLife({ fleetDevice, failures, lived }: Life, running: Running): Promise<EndedLife> {
  if (!lived) return { outcome: { ...nothingOf(fleetDevice.spec), failures } }
  try {
    return await endLived(fleetDevice, lived, failures, running)
  } finally {
    await lived.storage.close()
  }
}

function meterOf({ spec, dueMs }: FleetDevice, running: Running, keeper: DeviceKeeper | undefined): DeviceMeter {
  const { sinceStartMs, tracing = noTracing } = running
  const meter = keeper?.meter ?? running.meter
  return meterDevice({ spec, dueMs: dueMs ?? sinceStartMs(), meter, sinceStartMs, tracing })
}

interface Watching {
  readonly meter: DeviceMeter
  readonly keeper: DeviceKeeper | undefined
}

async function boot({ spec, index }: FleetDevice, storage: DeviceStorage, watching: Watching, running: Running): Promise<Lived> {
  const { seed, signal } = running
  const { meter, keeper } = watching
  const jitter = seededJitter(`${seed}/${index}`)
  const witness = deviceWitness(storage, keeper && witnessedBefore(keeper.records))
  const own = { jitter, storage, meter, witness, transport: wayOf(index, running), fence: keeper && (() => keeper.fence()) }
  const device = await bootDevice(spec, own, running, signal)
  meter.watch(device.agent)
  if (keeper) settleWith(keeper, device.agent, witness)
  return { storage, witness, device, watch: watchDevice(device.agent) }
}

/** Behind the meter: what it measured of an action is settled with it. */
function settleWith(keeper: DeviceKeeper, agent: Agent, witness: DeviceWitness): void {
  agent.on('result', () => {
    keepWitnessed(keeper.records, witness.seen())
    keeper.settled(false)
  })
  agent.on('pass', () => keeper.settled(true))
  agent.on('error', () => keeper.settled(true))
}

function wayOf(index: number, { transport, seed, faults, clock, onFault }: Running): Transport {
  return faults ? faultyTransport(transport, { faults, chance: seededJitter(`${seed}/${index}/faults`), clock, onFault }) : transport
}

/** Passes until nothing is pending. */
async function checkIn(lived: Lived, meter: DeviceMeter, { clock, signal, beginning }: Running): Promise<readonly DeviceFailure[]> {
  const { agent, state } = lived.device
  try {
    for (;;) {
      const { wakeAt } = await meter.pass(() => agent.runOnce(signal))
      if (wakeAt === undefined || (await state.load()).pending.size === 0) return []
      await clock.sleep(Math.max(0, wakeAt - clock.now()), beginning).catch((error: unknown) => {
        if (!beginning.aborted) throw error
      })
      // Between two passes it stands well: others go on with it, and repeat nothing.
      if (beginning.aborted) return interrupted
    }
  } catch (error) {
    return failureOf(error, signal)
  }
}

/** Lets it run by itself, and waits until it is through with what it was told first, or the run is over. */
function firstPass({ device: { agent, state } }: Lived, { firstPasses, signal }: Running): Promise<readonly DeviceFailure[]> {
  return new Promise((resolve, reject) => {
    const endings: (() => void)[] = []
    const settle = (failures: readonly DeviceFailure[]) => {
      for (const end of endings.splice(0)) end()
      resolve(failures)
    }
    // At an interruption too.
    endings.push((firstPasses as Stay).whenOver(() => settle(signal.aborted ? interrupted : [])))
    endings.push(agent.on('error', ({ code, message }) => settle([{ code, message }])))
    endings.push(agent.on('pass', () => void state.load().then(({ pending }) => pending.size === 0 && settle([]), reject)))
    agent.start()
  })
}

async function endLived(fleetDevice: FleetDevice, lived: Lived, failures: readonly DeviceFailure[], running: Running): Promise<EndedLife> {
  const { agent, platform } = lived.device
  // One that others could go on with gets here at its true end alone.
  const isOver = !running.isKept && (running.keeping !== undefined || !running.signal.aborted)
  if (running.staying) await agent.stop()
  const outcome = await outcomeOf(fleetDevice.spec, lived, failures)
  if (running.keep && outcome.certificatesInstalled > 0)
    await running.keep(fleetDevice.spec.id, await issuedCertificates(platform, await platform.identities.list()))
  return { outcome, findings: await findingsOf(fleetDevice, lived, isOver, running) }
}

async function outcomeOf(
  spec: DeviceSpec,
  { device: { platform, state }, watch }: Lived,
  failures: readonly DeviceFailure[],
): Promise<DeviceOutcome> {
  const [roots, identities, { pending }] = await Promise.all([platform.certificateStores.list(), platform.identities.list(), state.load()])
  return {
    ...nothingOf(spec),
    rootsInstalled: roots.length,
    certificatesInstalled: identities.length,
    pending: pending.size,
    failures: [...failures, ...watch.failures()],
    waitingForUser: watch.waitingForUser(),
    keys: identities.map(({ placement }) => placement),
    ignoredSettings: watch.ignoredSettings(),
    profiles: watch.profiles(),
    notApplicable: watch.notApplicable(),
  }
}

function findingsOf(
  { spec, index }: FleetDevice,
  { storage, witness, device }: Lived,
  isOver: boolean,
  running: Running,
): Promise<DeviceFindings> {
  const { clock, overrides, seed, signal } = running
  const jitter = seededJitter(`${seed}/${index}/removal`)
  const { platform } = device
  return inspectDevice({ spec, witness, platform, storage, clock, jitter, overrides, isOver }, signal)
}

const nothingOf = ({ id: deviceId, platform }: DeviceSpec): DeviceOutcome => ({
  deviceId,
  platform,
  rootsInstalled: 0,
  certificatesInstalled: 0,
  pending: 0,
  failures: [],
  waitingForUser: [],
  keys: [],
  ignoredSettings: [],
  profiles: [],
  notApplicable: [],
})

/** An interruption is nobody's failure. */
const interrupted: readonly DeviceFailure[] = []

function failureOf(error: unknown, signal: AbortSignal): readonly DeviceFailure[] {
  if (error instanceof AgentError) return [{ code: error.code, message: error.message }]
  if (signal.aborted && error === signal.reason) return interrupted
  throw error
}
