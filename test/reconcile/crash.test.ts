import { reconcile } from '@certfleet/agent-core'
import t from 'tap'
import { isMadeGood, type Phase } from './crash.ts'
import { day, signal, type WorldOptions } from './world.ts'

/** Every request waits once before it is approved. */
function pendingOnce(): Partial<WorldOptions> {
  let asked = 0
  return { approve: () => (asked++ === 0 ? 'pending' : 'issue') }
}

const phases: readonly Phase[] = [
  { name: 'first enrolment', options: () => ({}), before: async () => {}, certificates: 1 },
  { name: 'PENDING, from the request on', options: pendingOnce, before: async () => {}, certificates: 1 },
  {
    name: 'PENDING, from the poll on',
    options: pendingOnce,
    before: async (world) => {
      await reconcile(world.device(), signal)
      await world.clock.advance(day / 24)
    },
    certificates: 1,
  },
  {
    name: 'renewal',
    options: () => ({}),
    before: async (world) => {
      await reconcile(world.device(), signal)
      await world.clock.advance(85 * day)
    },
    certificates: 2,
  },
]

isMadeGood(t, phases)
