import { reconcile } from '@certfleet/agent-core'
import t from 'tap'
import { withPfx } from '../fakes/pfx-connector.ts'
import { crashAt, isMadeGood, type Phase, pool } from './crash.ts'
import { day, type Edit, signal, type WorldOptions } from './world.ts'

const phases: readonly Phase[] = [
  { name: 'PFX', options: pfx, before: async () => {}, certificates: 1 },
  {
    name: 'PFX, fetched again for renewal',
    options: pfx,
    before: async (world) => {
      await reconcile(world.device(), signal)
      await world.clock.advance(85 * day)
    },
    certificates: 2,
  },
  {
    name: 'PFX in place of SCEP under the same id',
    options: () => ({ pfxPool: pool }),
    before: async (world) => {
      await reconcile(world.device(), signal)
      world.edit((document) => ({ ...withPfx(document, { id: 'wifi' }), revision: 2 }))
    },
    certificates: 2,
  },
  {
    name: 'a PFX profile is removed',
    options: pfx,
    before: async (world) => {
      await reconcile(world.device(), signal)
      world.edit(removed)
    },
    certificates: 1,
    steps: 20,
  },
  {
    name: 'a PFX profile is removed once its key is imported',
    options: pfx,
    before: async (world) => {
      for (let step = 0; (await world.keys.list()).length === 0; step++) await crashAt(step, world)
      world.edit(removed)
    },
    certificates: 1,
    steps: 20,
  },
]

const removed: Edit = (document) => ({ ...withPfx(document), revision: 2, pfxProfiles: [] })

function pfx(): Partial<WorldOptions> {
  return { pfxPool: pool, edit: withPfx }
}

isMadeGood(t, phases)
