import type { KeyObject } from 'node:crypto'
import { type Instant, jitterShareOfWindow, type KeyStorageProvider, type PolicyDocument } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import type { FactOverrides } from '@certfleet/platforms'
import type { DeviceSpec } from '../fleet/device.ts'
import type { LabTables } from '../lab/index.ts'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import { type Changes, policyChanges } from './changes.ts'
import type { Departed } from './departed.ts'
import { type SimulatedDevice, type SimulatedWorld, simulatedDevice } from './device.ts'
import { deviceEventEpisodes, type SimulatedEvent, serviceEventEpisodes } from './events.ts'
import { deviceEpisodes, type Fault, serviceEpisodes } from './faults.ts'
import { collectViolations, type InvariantResult, issuanceInvariant, type Violations } from './invariants.ts'
import { type Expectations, holdingRevoked, refusedForGood, unconverged } from './liveness.ts'
import type { TenantPolicies } from './population.ts'
import type { Sabotage } from './ports.ts'
import { type RootReplacement, scenarioReplacement, seededReplacement } from './roots.ts'
import { type Policies, servedPolicies } from './served.ts'
import { type SimulatedService, simulatedService } from './service.ts'
import { type ServiceKeys, serviceKeys } from './service-keys.ts'
import { createTally, type Tally } from './tally.ts'
import { createTimeline, type Timeline } from './timeline.ts'
import { createTrace, type Trace } from './trace.ts'
import { type RenewalWave, renewalWave } from './waves.ts'

export interface SimulationOptions extends TenantPolicies {
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
  /** What the device of that index has to keep keys in. */
  readonly keysFor: (index: number, spec: DeviceSpec) => readonly KeyStorageProvider[]
  /** The next RSA key of the service's for that device, or at `devices.length` of its own. */
  readonly serviceKeyFor: (index: number, bits: number) => Promise<KeyObject>
  /** From `factOverrides`. Default: all is as sourced. */
  readonly overrides?: FactOverrides | undefined
  /** A CA made before. Default: a new one. */
  readonly authority?: LabTables['authority'] | undefined
  readonly sabotage?: Sabotage
  readonly onLine?: (line: string) => void
  /** Called after each virtual day. */
  readonly onDay?: (facts: { readonly day: number; readonly issued: number; readonly violations: number }) => void
}

export interface SimulationOutcome {
  readonly seed: Seed
  readonly days: number
  readonly devices: number
  /** Devices that end with a valid certificate for each of their profiles, and nothing else; or, managed no longer, with what their OS leaves. */
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
  const keys = serviceKeys()
  const service = await startService(common, keys, () => served)
  const { lab } = service
  const changes = policyChanges({ seed, timeline, trace, onFault: tally.onFault, wake: lab.wake })
  const served = servedPolicies({ ...common, scepUrl, service, changes, keys })
  await served.importFiles()
  await replaceRoots(common, service, changes, served)
  const devices = startDevices(common, service, changes, served)
  for (const event of events) {
    changes.enact(event, devices, startAt)
    if (event.kind === 'ca-roll-over') await service.replaceCa(startAt + event.day * dayMs)
  }
  const endOfDay = async () => {
    if (changes.hasTaken()) await lab.policiesChanged([])
    await service.forget()
  }
  for (let day = 1; day <= days; day++) {
    await timeline.runUntil(startAt + day * dayMs)
    await endOfDay()
    options.onDay?.({ day, issued: tally.issued, violations: violations.count })
  }
  trace.add('healed')
  const expected: Expectations = {
    policyFor: served.policyFor,
    departed: ({ spec }) => departedOf(spec.id, service, changes, served),
    isRevoked: (serialNumber) => service.revokedAt(serialNumber) !== undefined,
  }
  const behind = await heal(devices, changes, expected, common, endOfDay)
  for (const [{ spec }, found] of behind) violations.add('I8', found, spec.id)
  const firstWave = renewalWave(tally.firstRenewalsMs, jitterWindowMs(served.policyFor(specs[0]?.id ?? ''), options) + options.startOverMs)
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

function startService(common: Common, keys: ServiceKeys, served: () => Policies): Promise<SimulatedService> {
  const { seed, devices, timeline, trace, tally, violations, events, faults, validityDays, authority, sabotage, overrides } = common
  const episodes = [...(faults ? serviceEpisodes(seed, startAt, healAt(common)) : []), ...serviceEventEpisodes(events, startAt)]
  for (const { fault, from } of episodes) {
    timeline.at(from, () => {
      trace.add(fault)
      tally.onFault(fault)
    })
  }
  const judgeIssued = issuanceInvariant(violations, (serialNumber) => served().hasExpired(serialNumber))
  const positions = new Map(devices.map(({ id }, index) => [id, index]))
  return simulatedService({
    seed,
    timeline,
    templateValidityMs: validityDays * dayMs,
    authority,
    overrides,
    labStore: sabotage?.labStore ?? ((store) => store),
    episodes,
    policyFor: (deviceId) => served().policyFor(deviceId),
    pfxRequestsFor: (deviceId) => served().pfxRequestsFor(deviceId),
    async makeKey(bits, deviceId) {
      const key = await common.serviceKeyFor(positions.get(deviceId ?? '') ?? devices.length, bits)
      return deviceId === undefined ? key : keys.note(deviceId, key)
    },
    isFaulty: () => isFaulty(common),
    onFault: tally.onFault,
    onIssued(record) {
      tally.onIssued()
      judgeIssued(record)
    },
  })
}

/** By the scenario, or by chance where that leaves the CA alone. */
async function replaceRoots(common: Common, service: SimulatedService, changes: Changes, served: Policies): Promise<void> {
  const { seed, devices, events, faults, timeline, trace, tally } = common
  const isByChance = faults && !events.some(({ kind }) => kind === 'ca-roll-over')
  const seeded = () => (isByChance ? seededReplacement(seed, startAt, healAt(common)) : undefined)
  const replacement: RootReplacement | undefined = scenarioReplacement(events, startAt) ?? seeded()
  if (!replacement) return
  await service.replaceCa(replacement.takesOverAt)
  timeline.at(replacement.takesOverAt, () => {
    trace.add('ca-replaced')
    tally.onFault('ca-replaced')
  })
  for (const [index, { id }] of devices.entries()) {
    changes.replaceRoot(id, 'old')
    for (const { at, step } of replacement.stepsOf(index)) timeline.at(at, () => served.replaceRoot(index, step))
  }
}

function startDevices(common: Common, service: SimulatedService, changes: Changes, served: Policies): readonly SimulatedDevice[] {
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
    isKeyFor: served.isKeyFor,
  }
  return common.devices.map((bare, index) => {
    const spec = { ...bare, receivesPfx: served.receivesPfx(bare.id) }
    const seeded = faults ? deviceEpisodes(seed, index, startAt, healAt(common)) : []
    const episodes = [...seeded, ...deviceEventEpisodes(events, { seed, index }, startAt)]
    for (const { fault, from } of episodes) timeline.at(from, () => tally.onFault(fault))
    const device = simulatedDevice({ spec, index, episodes, providers: common.keysFor(index, spec) }, world)
    timeline.at(startAt + chanceOf(seed, index, 'start').between(0, common.startOverMs), device.boot)
    if (faults) changes.plague(device, index, healAt(common))
    return device
  })
}

function departedOf(id: string, service: SimulatedService, changes: Changes, served: Policies): Departed | undefined {
  const [event, at] = [changes.editsOf(id).lifecycle, changes.departedAt(id)]
  if (event === undefined || at === undefined) return undefined
  const issued = [...service.lab.issued()].filter(({ deviceId }) => deviceId === id)
  const goodUntil = new Map(issued.map(({ serialNumber, certificate }) => [serialNumber, parseCertificate(certificate).notAfter]))
  return {
    event,
    at,
    issued,
    kindOf: (profileId) => served.kindOf(id, profileId),
    wasGood: (serialNumber) => (goodUntil.get(serialNumber) ?? 0) > at + dayMs,
    revokedAt: service.revokedAt,
  }
}

type Behind = ReadonlyMap<SimulatedDevice, string>

/** Time without faults, and an admin who looks at the reports. Returns who is behind even then, and why. */
async function heal(
  devices: readonly SimulatedDevice[],
  changes: Changes,
  expected: Expectations,
  { timeline, checkInMs }: Common,
  endOfDay: () => Promise<void>,
): Promise<Behind> {
  for (const device of devices) device.crashNever()
  let behind = await unconverged(devices, expected, timeline.now())
  for (let round = 0; round < healingRounds && (round === 0 || behind.size > 0); round++) {
    changes.save(await refusedForGood(devices))
    const missed = devices.filter(({ hasMissedRenewal }) => hasMissedRenewal).map(({ spec }) => spec.id)
    changes.reassign([...new Set([...missed, ...(await holdingRevoked(devices, expected))])])
    await timeline.runUntil(timeline.now() + checkInMs + settleMs)
    await endOfDay()
    behind = await unconverged(devices, expected, timeline.now())
  }
  return behind
}

/** Over which the renewals of certificates that were issued together are spread. */
function jitterWindowMs(policy: PolicyDocument | undefined, { validityDays }: SimulationOptions): number {
  const percent = Math.max(1, ...(policy?.scepProfiles ?? []).map((profile) => Number(profile.renewalThresholdPercent)))
  return validityDays * dayMs * (percent / 100) * jitterShareOfWindow
}
