import { randomBytes } from 'node:crypto'
import { jitterShareOfWindow, type KeyStorageProvider, type PolicyDocument } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { LabTables } from '../lab/index.ts'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import { policyChanges } from './changes.ts'
import { type SimulatedDevice, simulatedDevice } from './device.ts'
import { deviceEventEpisodes, type SimulatedEvent, serviceEventEpisodes } from './events.ts'
import { deviceEpisodes, type Fault, serviceEpisodes } from './faults.ts'
import { collectViolations, type InvariantResult, issuanceInvariant } from './invariants.ts'
import { refusedForGood, unconverged } from './liveness.ts'
import { edited } from './policies.ts'
import type { Sabotage } from './ports.ts'
import { simulatedService } from './service.ts'
import { createTimeline } from './timeline.ts'
import { createTrace } from './trace.ts'
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
  const { seed, devices: specs, days, checkInMs, events, hasJitter, sabotage = {} } = options
  const timeline = createTimeline(startAt)
  const elapsedMs = () => timeline.now() - startAt
  const healAt = startAt + days * dayMs
  const isFaulty = () => options.faults && timeline.now() < healAt
  const trace = createTrace(elapsedMs, options.onLine ?? (() => {}))
  const violations = collectViolations(elapsedMs, (name, { found, device }) => trace.add(`violates ${name}: ${found}`, device))
  const counts = new Map<Fault, number>()
  const onFault = (fault: Fault) => void counts.set(fault, (counts.get(fault) ?? 0) + 1)
  const registrationToken = randomBytes(32).toString('base64url')
  const judgeIssued = issuanceInvariant(violations)
  const renewedAtMs = new Map<string, number>()
  let certificatesIssued = 0
  let renewals = 0

  const serviceEvents = [...(options.faults ? serviceEpisodes(seed, startAt, healAt) : []), ...serviceEventEpisodes(events, startAt)]
  for (const { fault, from } of serviceEvents) {
    timeline.at(from, () => {
      trace.add(fault)
      onFault(fault)
    })
  }
  const service = await simulatedService({
    seed,
    timeline,
    registrationToken,
    templateValidityMs: options.validityDays * dayMs,
    authority: options.authority,
    labStore: sabotage.labStore ?? ((store) => store),
    episodes: serviceEvents,
    policyFor: (deviceId) => policyFor(deviceId),
    isFaulty,
    onFault,
    onIssued(record) {
      certificatesIssued++
      judgeIssued(record)
    },
  })
  const { lab } = service
  const changes = policyChanges({ seed, timeline, trace, onFault, wake: lab.wake })
  const policyFor = (deviceId: string): PolicyDocument | undefined => {
    const document = options.policyFor(deviceId, { root: lab.rootCertificate, issuing: lab.issuingCertificate, scepUrl })
    return document && edited(document, changes.editsOf(deviceId))
  }
  const world = {
    seed,
    timeline,
    trace,
    violations,
    policyUrl: `${url}/device/policy`,
    registrationToken,
    checkInMs,
    hasJitter,
    sabotage,
    isFaulty,
    handle: service.handle,
    connectPush: (credential: string, listener: Parameters<typeof lab.connectPush>[1]) =>
      lab.connectPush({ authorization: `Bearer ${credential}` }, listener),
    onFault,
    onRenewed(device: string) {
      renewals++
      if (!renewedAtMs.has(device)) renewedAtMs.set(device, elapsedMs())
    },
  }

  function begin(spec: DeviceSpec, index: number): SimulatedDevice {
    const seeded = options.faults ? deviceEpisodes(seed, index, startAt, healAt) : []
    const episodes = [...seeded, ...deviceEventEpisodes(events, { seed, index }, startAt)]
    for (const { fault, from } of episodes) timeline.at(from, () => onFault(fault))
    const device = simulatedDevice({ spec, index, episodes, providers: options.keysFor(index, spec) }, world)
    timeline.at(startAt + chanceOf(seed, index, 'start').between(0, options.startOverMs), device.boot)
    if (options.faults) changes.plague(device, index, healAt)
    return device
  }

  const devices = specs.map(begin)
  for (const event of events) {
    changes.enact(event, devices, startAt)
    if (event.kind === 'ca-roll-over') await lab.prepareRollOver(startAt + event.day * dayMs)
  }
  for (let day = 1; day <= days; day++) {
    await timeline.runUntil(startAt + day * dayMs)
    options.onDay?.({ day, issued: certificatesIssued, violations: violations.count })
  }
  trace.add('healed')
  for (const device of devices) device.crashNever()
  let behind = await unconverged(devices, policyFor, timeline.now())
  for (let round = 0; round < healingRounds && (round === 0 || behind.size > 0); round++) {
    changes.save(await refusedForGood(devices))
    changes.reassign(devices.filter(({ hasMissedRenewal }) => hasMissedRenewal).map(({ spec }) => spec.id))
    await timeline.runUntil(timeline.now() + checkInMs + settleMs)
    behind = await unconverged(devices, policyFor, timeline.now())
  }
  for (const [{ spec }, found] of behind) violations.add('I8', found, spec.id)
  const firstWave = renewalWave(
    [...renewedAtMs.values()],
    jitterWindowMs(policyFor(specs[0]?.id ?? ''), options.validityDays) + options.startOverMs,
  )
  return {
    seed,
    days,
    devices: devices.length,
    converged: devices.length - behind.size,
    certificatesIssued,
    renewals,
    ...(firstWave && { firstWave }),
    crashes: devices.reduce((all, device) => all + device.crashes, 0),
    faults: Object.fromEntries(counts),
    invariants: violations.results(),
    traceDigest: trace.digest(),
    traceLines: trace.lines,
    authority: service.authority,
  }
}

/** Over which the renewals of certificates that were issued together are spread. */
function jitterWindowMs(policy: PolicyDocument | undefined, validityDays: number): number {
  const percent = Math.max(1, ...(policy?.scepProfiles ?? []).map((profile) => Number(profile.renewalThresholdPercent)))
  return validityDays * dayMs * (percent / 100) * jitterShareOfWindow
}
