import type { Instant } from '@certfleet/agent-core'
import type { Seed } from '../scenario/schema.ts'
import { chanceOf } from './chance.ts'
import type { SimulatedDevice } from './device.ts'
import { happensTo, type SimulatedEvent } from './events.ts'
import type { Fault } from './faults.ts'
import { type PolicyEdits, untouched } from './policies.ts'
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
  /** Seeded crashes, edits and un-assignments of one device until then; all is assigned at the end. */
  plague(device: SimulatedDevice, index: number, until: Instant): void
  /** What a scenario asks for. */
  enact(event: SimulatedEvent, devices: readonly SimulatedDevice[], startAt: Instant): void
  /** The policies are saved once more, which ends what waits for a new one. */
  save(deviceIds: readonly string[]): void
  /** The profiles are taken away and given back, which begins a new life where a renewal was missed. */
  reassign(deviceIds: readonly string[]): void
}

const dayMs = 86_400_000
const meanMs = { crash: 20 * dayMs, edit: 60 * dayMs, unassignment: 120 * dayMs }
const longestUnassignmentMs = 10 * dayMs
/** Long enough for the device to have heard of it. */
const reassignedAfterMs = 3_600_000

export function policyChanges({ seed, timeline, trace, onFault, wake }: ChangesOptions): Changes {
  const edits = new Map<string, PolicyEdits>()
  const editsOf = (id: string): PolicyEdits => edits.get(id) ?? untouched

  function change(id: string, to: Partial<PolicyEdits>, fault?: Fault): void {
    edits.set(id, { ...editsOf(id), ...to })
    if (fault) {
      trace.add(fault, id)
      onFault(fault)
    }
    wake(id)
  }

  const edit = (id: string) => change(id, { edits: editsOf(id).edits + 1 }, 'profile-edited')
  const unassign = (id: string) => change(id, { isAssigned: false }, 'profile-unassigned')
  const assign = (id: string) => change(id, { isAssigned: true }, 'profile-assigned')
  const byKind = { edit, unassign, assign }

  return {
    editsOf,
    plague(device, index, until) {
      const chance = chanceOf(seed, index, 'moments')
      const { id } = device.spec
      const every = (mean: number, what: () => void) => {
        for (let at = timeline.now() + chance.between(0, 2 * mean); at < until; at += chance.between(1, 2 * mean)) timeline.at(at, what)
      }
      every(meanMs.crash, device.crashSoon)
      every(meanMs.edit, () => edit(id))
      every(meanMs.unassignment, () => {
        unassign(id)
        timeline.at(Math.min(until, timeline.now() + chance.between(0, longestUnassignmentMs)), () => assign(id))
      })
    },
    enact(event, devices, startAt) {
      const { kind } = event
      if (kind !== 'edit' && kind !== 'unassign' && kind !== 'assign') return
      timeline.at(startAt + event.day * dayMs, () => {
        for (const [index, device] of devices.entries()) if (happensTo({ seed, index }, event.share)) byKind[kind](device.spec.id)
      })
    },
    reassign(ids) {
      for (const id of ids) {
        unassign(id)
        timeline.at(timeline.now() + reassignedAfterMs, () => assign(id))
      }
    },
    save(ids) {
      for (const id of ids) change(id, { saves: editsOf(id).saves + 1 })
    },
  }
}
