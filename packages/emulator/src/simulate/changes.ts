import type { Departure, Instant } from '@certfleet/agent-core'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import type { SimulatedDevice } from './device.ts'
import { happensTo, type SimulatedEvent } from './events.ts'
import type { Fault } from './faults.ts'
import { type PolicyEdits, type RootStep, untouched } from './policies.ts'
import type { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'

export interface ChangesOptions {
  readonly seed: Seed
  readonly timeline: Timeline
  readonly trace: Trace
  onFault(fault: Fault): void
  /** Tells a device that its policy is another. */
  wake(deviceId: string): void
}

/** What admins and accidents do to devices, at its moment. */
export interface Changes {
  editsOf(deviceId: string): PolicyEdits
  /** When its management ended; undefined for one that is managed. */
  departedAt(deviceId: string): Instant | undefined
  /** Seeded crashes, edits, un-assignments and the end of management of one device until then; what is still managed is assigned at the end. */
  plague(device: SimulatedDevice, index: number, until: Instant): void
  /** What a scenario asks for. */
  enact(event: SimulatedEvent, devices: readonly SimulatedDevice[], startAt: Instant): void
  /** How far the replacement of its root is from now on. */
  replaceRoot(deviceId: string, step: RootStep): void
  /** The policies are saved once more, which ends what waits for a new one. */
  save(deviceIds: readonly string[]): void
  /** The profiles are taken away and given back, which begins a new life where a renewal was missed, or a certificate was revoked. */
  reassign(deviceIds: readonly string[]): void
  /** Whether anything was taken from a device since this was last asked: then the CA has something to revoke. */
  hasTaken(): boolean
}

const dayMs = 86_400_000
const meanMs = { crash: 20 * dayMs, edit: 60 * dayMs, unassignment: 120 * dayMs }
const longestUnassignmentMs = 10 * dayMs
/** Long enough for the device to have heard of it. */
const reassignedAfterMs = 3_600_000
/** Of a thousand devices, how many are managed no longer at some time. */
const departedPerMille = 80
const departures = ['retired', 'wiped', 'unenrolled', 'unlicensed'] as const satisfies readonly Departure[]

export function policyChanges({ seed, timeline, trace, onFault, wake }: ChangesOptions): Changes {
  const edits = new Map<string, PolicyEdits>()
  const departed = new Map<string, Instant>()
  let hasTaken = false
  const editsOf = (id: string): PolicyEdits => edits.get(id) ?? untouched

  /** Of a device that is managed no longer nothing changes any more. */
  function change(id: string, to: Partial<PolicyEdits>, fault?: Fault): void {
    if (editsOf(id).lifecycle) return
    edits.set(id, { ...editsOf(id), ...to })
    if (to.isAssigned === false || to.lifecycle) hasTaken = true
    if (to.lifecycle) departed.set(id, timeline.now())
    if (fault) {
      trace.add(fault, id)
      onFault(fault)
    }
    wake(id)
  }

  const depart = (lifecycle: Departure) => (id: string) => change(id, { lifecycle }, `device-${lifecycle}`)
  const byKind = {
    edit: (id: string) => change(id, { edits: editsOf(id).edits + 1 }, 'profile-edited'),
    unassign: (id: string) => change(id, { isAssigned: false }, 'profile-unassigned'),
    assign: (id: string) => change(id, { isAssigned: true }, 'profile-assigned'),
    retire: depart('retired'),
    wipe: depart('wiped'),
    unenroll: depart('unenrolled'),
    unlicense: depart('unlicensed'),
  }

  return {
    editsOf,
    departedAt: (id) => departed.get(id),
    plague(device, index, until) {
      const chance = chanceOf(seed, index, 'moments')
      const { id } = device.spec
      const every = (mean: number, what: () => void) => {
        for (let at = timeline.now() + chance.between(0, 2 * mean); at < until; at += chance.between(1, 2 * mean)) timeline.at(at, what)
      }
      every(meanMs.crash, device.crashSoon)
      every(meanMs.edit, () => byKind.edit(id))
      every(meanMs.unassignment, () => {
        byKind.unassign(id)
        timeline.at(Math.min(until, timeline.now() + chance.between(0, longestUnassignmentMs)), () => byKind.assign(id))
      })
      const leaving = chanceOf(seed, index, 'departure')
      if (leaving.happens(departedPerMille)) {
        const goes = depart(leaving.pick(departures))
        timeline.at(leaving.between(timeline.now(), until - 1), () => goes(id))
      }
    },
    enact(event, devices, startAt) {
      const happens = Object.hasOwn(byKind, event.kind) ? byKind[event.kind as keyof typeof byKind] : undefined
      if (!happens) return
      const share = 'share' in event ? event.share : undefined
      timeline.at(startAt + event.day * dayMs, () => {
        for (const [index, device] of devices.entries()) if (happensTo({ seed, index }, share)) happens(device.spec.id)
      })
    },
    replaceRoot: (id, root) => change(id, { root }, root === 'replaced' || root === 'linked' ? 'root-replaced' : undefined),
    reassign(ids) {
      for (const id of ids) {
        byKind.unassign(id)
        timeline.at(timeline.now() + reassignedAfterMs, () => byKind.assign(id))
      }
    },
    save(ids) {
      for (const id of ids) change(id, { saves: editsOf(id).saves + 1 })
    },
    hasTaken() {
      const taken = hasTaken
      hasTaken = false
      return taken
    },
  }
}
