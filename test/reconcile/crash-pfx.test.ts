import { reconcile } from '@certfleet/agent-core'
import t from 'tap'
import { withPfx } from '../fakes/pfx-connector.ts'
import { isMadeGood, type Phase, pool } from './crash.ts'
import { day, signal, type WorldOptions } from './world.ts'

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
]

function pfx(): Partial<WorldOptions> {
  return { pfxPool: pool, edit: withPfx }
}

t.setTimeout(120_000)
isMadeGood(t, phases)
