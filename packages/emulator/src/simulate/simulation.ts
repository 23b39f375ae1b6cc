import { type Instant, jitterShareOfWindow, type KeyStorageProvider, type PolicyDocument } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { LabTables } from '../lab/index.ts'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import { type Changes, policyChanges } from './changes.ts'
import { type SimulatedDevice, type SimulatedWorld, simulatedDevice } from './device.ts'
import { deviceEventEpisodes, type SimulatedEvent, serviceEventEpisodes } from './events.ts'
import { deviceEpisodes, type Fault, serviceEpisodes } from './faults.ts'
import { collectViolations, type InvariantResult, issuanceInvariant, type Violations } from './invariants.ts'
import { refusedForGood, unconverged } from './liveness.ts'
import { edited } from './policies.ts'
import type { Sabotage } from './ports.ts'
import { type SimulatedService, simulatedService } from './service.ts'
import { createTally, type Tally } from './tally.ts'
import { createTimeline, type Timeline } from './timeline.ts'
import { createTrace, type Trace } from './trace.ts'
import { type RenewalWave, renewalWave } from './waves.ts'

export interface SimulationOptions {
  readonly seed: Seed
  readonly devices: readonly DeviceSpec[]
  /** Whole virtual days; with faults they end then, and what they left must heal. */
  readonly days: number
  /** Seeded faults, crashes, edits and un-assignments. */
  readonly faults: boolean
  readonly events: readonly SimulatedEvent[]
  readonly validityDays: number
  readonly checkInMs: number
  /** Over how long the devices start; 0: all at once. */
  readonly startOverMs: number
  /** False: every renewal at the moment at which it is due, every wait the shortest. */
  readonly hasJitter: boolean
  /** What the tenant rendered, once the lab's certificates and URL are known. */
  readonly policyFor: (deviceId: string, lab: SimulatedLab) => PolicyDocument | undefined
  /** What the device of that index has to keep keys in. */
  readonly keysFor: (index: number, spec: DeviceSpec) => readonly KeyStorageProvider[]
  /** A CA made before. Default: a new one. */
  readonly authority?: LabTables['authority'] | undefined
  readonly sabotage?: Sabotage
  readonly onLine?: (line: string) => void
  /** Called after each virtual day. */
  readonly onDay?: (facts: { readonly day: number; readonly issued: number; readonly violations: number }) => void
}

export interface SimulatedLab {
  /** DER. */
  readonly root: Uint8Array
  /** DER. */
  readonly issuing: Uint8Array
  readonly scepUrl: string
}

export interface SimulationOutcome {
  readonly seed: Seed
  readonly days: number
  readonly devices: number
  /** Devices that end with a valid certificate for each of their profiles, and nothing else. */
  readonly converged: number
  readonly certificatesIssued: number
  readonly renewals: number
  /** How the first renewals came, one a device at most. */
  readonly firstWave?: RenewalWave
  readonly crashes: number
  /** How often each occurred. */
  readonly faults: Readonly<Partial<Record<Fault, number>>>
  readonly invariants: readonly InvariantResult[]
  /** SHA-256 of the trace, lower-case hex: the same for the same seed. */
  readonly traceDigest: string
  readonly traceLines: number
  /** For the next simulation. Not to be shown: it holds the CA's keys. */
  readonly authority: LabTables['authority']
}

const dayMs = 86_400_000
/** The longest backoff and a day's pending polls. */
const settleMs = dayMs / 2
/** How often an admin looks at the reports while the fleet heals, and does something about what only a policy mends. */
const healingRounds = 3
/** The start of every simulation. */
const startAt = Date.UTC(2027, 0, 1)
/** A host that no name service knows (RFC 2606). */
const url = 'http://lab.invalid'
const scepUrl = `${url}/certsrv/mscep/mscep.dll`

/** Runs the devices through their days, then heals everything, and judges. Rejects for a bug alone. */
export async function simulate(options: SimulationOptions): Promise<SimulationOutcome> {
  const { seed, devices: specs, days, events } = options
  const timeline = createTimeline(startAt)
  const elapsedMs = () => timeline.now() - startAt
  const trace = createTrace(elapsedMs, options.onLine ?? (() => {}))
  const violations = collectViolations(elapsedMs, (name, { found, device }) => trace.add(`violates ${name}: ${found}`, device))
  const tally = createTally(elapsedMs)
  const common = { ...options, timeline, trace, violations, tally }
  const service = await startService(common, (deviceId) => policyFor(deviceId))
  const { lab } = service
  const changes = policyChanges({ seed, timeline, trace, onFault: tally.onFault, wake: lab.wake })
  const policyFor = (deviceId: string): PolicyDocument | undefined => {
    const document = options.policyFor(deviceId, { root: lab.rootCertificate, issuing: lab.issuingCertificate, scepUrl })
    return document && edited(document, changes.editsOf(deviceId))
  }
  const devices = startDevices(common, service, changes)
  for (const event of events) {
    changes.enact(event, devices, startAt)
    if (event.kind === 'ca-roll-over') await lab.prepareRollOver(startAt + event.day * dayMs)
  }
  for (let day = 1; day <= days; day++) {
    await timeline.runUntil(startAt + day * dayMs)
    await service.forget()
    options.onDay?.({ day, issued: tally.issued, violations: violations.count })
  }
  trace.add('healed')
  const behind = await heal(devices, changes, options.checkInMs, timeline, (now) => unconverged(devices, policyFor, service.isRevoked, now))
  for (const [{ spec }, found] of behind) violations.add('I8', found, spec.id)
  const firstWave = renewalWave(tally.firstRenewalsMs, jitterWindowMs(policyFor(specs[0]?.id ?? ''), options) + options.startOverMs)
  return {
    seed,
    days,
    devices: devices.length,
    converged: devices.length - behind.size,
    certificatesIssued: tally.issued,
    renewals: tally.renewals,
    ...(firstWave && { firstWave }),
    crashes: devices.reduce((all, device) => all + device.crashes, 0),
    faults: tally.faults,
    invariants: violations.results(),
    traceDigest: trace.digest(),
    traceLines: trace.lines,
    authority: service.authority,
  }
}

/** The options, and what is shared while they are carried out. */
interface Common extends SimulationOptions {
  readonly timeline: Timeline
  readonly trace: Trace
  readonly violations: Violations
  readonly tally: Tally
}

const healAt = ({ days }: SimulationOptions): Instant => startAt + days * dayMs
const isFaulty = (common: Common): boolean => common.faults && common.timeline.now() < healAt(common)

function startService(common: Common, policyFor: (deviceId: string) => PolicyDocument | undefined): Promise<SimulatedService> {
  const { seed, timeline, trace, tally, violations, events, faults, validityDays, authority, sabotage } = common
  const episodes = [...(faults ? serviceEpisodes(seed, startAt, healAt(common)) : []), ...serviceEventEpisodes(events, startAt)]
  for (const { fault, from } of episodes) {
    timeline.at(from, () => {
      trace.add(fault)
      tally.onFault(fault)
    })
  }
  const judgeIssued = issuanceInvariant(violations)
  return simulatedService({
    seed,
    timeline,
    templateValidityMs: validityDays * dayMs,
    authority,
    labStore: sabotage?.labStore ?? ((store) => store),
    episodes,
    policyFor,
    isFaulty: () => isFaulty(common),
    onFault: tally.onFault,
    onIssued(record) {
      tally.onIssued()
      judgeIssued(record)
    },
  })
}

function startDevices(common: Common, service: SimulatedService, changes: Changes): readonly SimulatedDevice[] {
  const { seed, timeline, tally, faults, events } = common
  const world: SimulatedWorld = {
    ...common,
    policyUrl: `${url}/device/policy`,
    registrationToken: service.registrationToken,
    sabotage: common.sabotage ?? {},
    isFaulty: () => isFaulty(common),
    handle: service.handle,
    connectPush: (credential, listener) => service.lab.connectPush({ authorization: `Bearer ${credential}` }, listener),
    onFault: tally.onFault,
    onRenewed: tally.onRenewed,
  }
  return common.devices.map((spec, index) => {
    const seeded = faults ? deviceEpisodes(seed, index, startAt, healAt(common)) : []
    const episodes = [...seeded, ...deviceEventEpisodes(events, { seed, index }, startAt)]
    for (const { fault, from } of episodes) timeline.at(from, () => tally.onFault(fault))
    const device = simulatedDevice({ spec, index, episodes, providers: common.keysFor(index, spec) }, world)
    timeline.at(startAt + chanceOf(seed, index, 'start').between(0, common.startOverMs), device.boot)
    if (faults) changes.plague(device, index, healAt(common))
    return device
  })
}

type Behind = ReadonlyMap<SimulatedDevice, string>

/** Time without faults, and an admin who looks at the reports. Returns who is behind even then, and why. */
async function heal(
  devices: readonly SimulatedDevice[],
  changes: Changes,
  checkInMs: number,
  timeline: Timeline,
  whoIsBehind: (now: Instant) => Promise<Behind>,
): Promise<Behind> {
  for (const device of devices) device.crashNever()
  let behind = await whoIsBehind(timeline.now())
  for (let round = 0; round < healingRounds && (round === 0 || behind.size > 0); round++) {
    changes.save(await refusedForGood(devices))
    changes.reassign(devices.filter(({ hasMissedRenewal }) => hasMissedRenewal).map(({ spec }) => spec.id))
    await timeline.runUntil(timeline.now() + checkInMs + settleMs)
    behind = await whoIsBehind(timeline.now())
  }
  return behind
}

/** Over which the renewals of certificates that were issued together are spread. */
function jitterWindowMs(policy: PolicyDocument | undefined, { validityDays }: SimulationOptions): number {
  const percent = Math.max(1, ...(policy?.scepProfiles ?? []).map((profile) => Number(profile.renewalThresholdPercent)))
  return validityDays * dayMs * (percent / 100) * jitterShareOfWindow
}
