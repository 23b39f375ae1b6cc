import { AgentError, type Clock } from '@certfleet/agent-core'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import type { DeviceOutcome } from '../fleet/outcome.ts'
import { type FleetDevice, type FleetOptions, runFleet } from '../fleet/run.ts'
import { policyServiceTarget } from '../fleet/target/policy-service.ts'
import type { Meter } from '../measure/types.ts'
import type { Seed } from '../scenario/schema.ts'
import type { CheckResult } from './check.ts'
import { checkedDevice } from './context.ts'
import { emulatedStorage } from './emulate-device.ts'
import { type Disagreement, judgeDevice } from './emulate-judge.ts'
import { keysOf, type SharedPrimes, sharedPrimes } from './emulate-keys.ts'
import { type EmulationLab, openEmulationLab, type TenantContext } from './emulate-lab.ts'
import type { CheckFinding } from './types.ts'

export type { Disagreement } from './emulate-judge.ts'

export interface EmulateOptions {
  readonly seed: Seed
  readonly clock: Clock
  /** Aborted: rejects with its reason. */
  readonly signal: AbortSignal
  /** Called as each device ends. */
  readonly onDevice?: (done: number, of: number) => void
  /** What keys are made of. Default: made for this emulation. */
  readonly primes?: SharedPrimes
}

export interface Emulation {
  /** Those of the result, each that was held against the emulation marked. */
  readonly findings: readonly CheckFinding[]
  readonly disagreements: readonly Disagreement[]
  readonly devices: number
  /** Error findings about a profile on a device that an emulation cannot show, such as those that hang on the tenant's own URL. */
  readonly notEmulated: number
}

/** One takes some 10 ms of CPU for each certificate. */
const maxDevices = 10_000
const concurrency = 8

/**
 * Runs the devices of the result as a fleet against a lab of its own in this process, with the profiles pointed at that, and holds what
 * each of them reports against what the check says. Nothing leaves the process. An imported PFX is there for whoever the tenant names,
 * and for everybody where it names nobody. More than 10,000 devices: `ERR_LIMIT_EXCEEDED`.
 */
export async function emulate(result: CheckResult, options: EmulateOptions): Promise<Emulation> {
  const { context, devices, findings } = result
  const { tenant, intent } = context
  if (!tenant || !intent) throw new Error('without a tenant there is no device to emulate')
  if (devices.length > maxDevices) throw tooMany(devices.length)
  const aboutDevice = findingsByDevice(findings)
  const marks = new Map<CheckFinding, 'confirmed' | 'refuted'>()
  const disagreements: Disagreement[] = []
  let done = 0
  await runDevices({ ...result, context: { ...context, tenant, intent } }, options, (outcome, report) => {
    const { deviceId } = outcome
    const judged = judgeDevice(checkedDevice(context, deviceId), aboutDevice.get(deviceId) ?? [], { outcome, report })
    for (const [finding, mark] of judged.marks) marks.set(finding, mark)
    disagreements.push(...judged.disagreements)
    options.onDevice?.(++done, devices.length)
  })
  return {
    findings: findings.map((finding) => withMark(finding, marks.get(finding))),
    disagreements,
    devices: devices.length,
    notEmulated: findings.filter((finding) => finding.severity === 'error' && isOfPair(finding) && !marks.has(finding)).length,
  }
}

type OfTenant = CheckResult & { readonly context: TenantContext }
type OnEnd = (outcome: DeviceOutcome, report: ReturnType<EmulationLab['reportOf']>) => void

async function runDevices({ context, devices: ids }: OfTenant, options: EmulateOptions, onEnd: OnEnd): Promise<void> {
  const { clock, seed, signal, primes = sharedPrimes() } = options
  const drawKey = keysOf(primes)
  const lab = await openEmulationLab(context, clock, drawKey)
  const { transport, policyUrl, registrationToken } = lab
  const devices = ids.map((id, index): FleetDevice => {
    const device = context.tenant.devices.get(id)
    if (device === undefined) throw new Error(`no device ${id} in the tenant`)
    return { spec: { ...deviceSpecOf(device), receivesPfx: lab.receivesPfx(id) }, index }
  })
  await runFleet({
    ...{ devices, clock, transport, signal, seed, concurrency, overrides: context.overrides },
    ...unmeasured(clock),
    target: policyServiceTarget({ policyUrl, registrationToken, push: false }),
    async storageFor(spec) {
      await lab.prepare(spec.id)
      return emulatedStorage(spec, clock, drawKey)
    },
    legacyDes: false,
    legacySha1: false,
    // Nothing comes after it: that all can be taken away again is not what is asked.
    isKept: true,
    onDevice(_, outcome) {
      onEnd(outcome, lab.reportOf(outcome.deviceId))
      lab.forget(outcome.deviceId)
    },
  })
  signal.throwIfAborted()
}

function unmeasured(clock: Clock): Pick<FleetOptions, 'startedAt' | 'sinceStartMs' | 'onFault' | 'meter'> {
  const startedAt = clock.now()
  return { startedAt, sinceStartMs: () => clock.now() - startedAt, onFault: nothing, meter: unread }
}

const nothing = () => {}
const unread: Meter = { step: nothing, error: nothing, started: nothing, completed: nothing, connected: nothing, pending: nothing }

const isOfPair = ({ device, profileId }: CheckFinding): boolean => device !== undefined && profileId !== undefined

function findingsByDevice(findings: readonly CheckFinding[]): ReadonlyMap<string, readonly CheckFinding[]> {
  const byDevice = new Map<string, CheckFinding[]>()
  for (const finding of findings) {
    if (finding.device === undefined || finding.code === undefined || !isOfPair(finding)) continue
    const known = byDevice.get(finding.device)
    if (known) known.push(finding)
    else byDevice.set(finding.device, [finding])
  }
  return byDevice
}

function withMark(finding: CheckFinding, emulation: CheckFinding['emulation']): CheckFinding {
  return emulation === undefined ? finding : { ...finding, emulation }
}

function tooMany(devices: number): AgentError {
  const message = `an emulation takes ${maxDevices} devices at most, and these are ${devices}; narrow it by --platform or --device`
  return new AgentError('ERR_LIMIT_EXCEEDED', message)
}
