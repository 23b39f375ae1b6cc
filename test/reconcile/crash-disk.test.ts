import { AgentError, type Disk, openStateFolder, reconcile } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { endings, FakeDisk, faultyDisk, unlocked } from '../fakes/disk.ts'
import { problemsOf, watchingInstalls } from './checks.ts'
import { heal, newTally, type Phase, pool, prepare } from './crash.ts'
import { day, type Edit, type Kept, signal, type World } from './world.ts'

const secret = { key: Buffer.alloc(32, 7) }
const none = () => ({})
const enrolled = async (world: World): Promise<void> => {
  await reconcile(world.device(), signal)
}
const removed: Edit = (document) => ({ ...document, revision: 2, scepProfiles: [] })

const phases: readonly Phase[] = [
  { name: 'first enrolment', options: none, before: async () => {}, certificates: 1 },
  {
    name: 'renewal',
    options: none,
    before: async (world) => {
      await enrolled(world)
      await world.clock.advance(85 * day)
    },
    certificates: 2,
  },
  {
    name: 'removal',
    options: none,
    before: async (world) => {
      await enrolled(world)
      world.edit(removed)
    },
    certificates: 1,
  },
]

/** What the next process finds in the folder. Keys come out of the pool, and go where they always do. */
async function open(disk: Disk, taken = { keys: 0 }): Promise<Kept> {
  const {
    state,
    policyCache: cache,
    certificateStores: stores,
    identities,
    softwareKeys,
  } = await openStateFolder('agent', { disk, lock: unlocked })
  const keys = await softwareKeys(secret)
  const generate: typeof keys.generate = async (_spec, label) => {
    const key = pool[taken.keys++]
    if (!key || !keys.import) throw new Error('the pool is used up')
    return keys.import(key, label, { exportable: false })
  }
  return { keys: { ...keys, generate }, identities, stores, state, cache }
}

/** One pass over a disk that refuses. How often the pass itself failed, and with nothing but `ERR_STATE_IO`. */
async function failingPass(t: Test, world: World): Promise<void> {
  const found = await reconcile(world.device(), signal).catch((error) => error)
  if (found instanceof AgentError) t.equal(found.code, 'ERR_STATE_IO')
  else if (found instanceof Error) throw found
}

for (const phase of phases) {
  for (const [ending, end] of endings) {
    t.test(`${phase.name}: the disk writes no more after any step, then ${ending}`, { timeout: 60_000 }, async (t) => {
      const tally = newTally()
      for (let steps = 0, isOver = false; !isOver; steps++) {
        const disk = new FakeDisk()
        const taken = { keys: 0 }
        const { device, unverified } = await prepare(phase, await open(disk, taken))
        disk.stepsLeft = steps
        await failingPass(t, device)
        isOver = disk.stepsLeft >= 0
        end(disk)
        const kept = await open(disk, taken)
        const later: string[] = []
        const watched = { ...kept, identities: watchingInstalls(kept.identities, () => ({ service: device, kept }), later) }
        await heal(device, watched)
        tally.add(`${steps} steps`, await problemsOf(device, kept, phase, [...unverified, ...later]))
      }
      tally.tell(t)
    })
  }
}

const codes = ['ENOSPC', 'EROFS', 'EIO', 'EMFILE'] as const

for (const phase of phases) {
  for (const [lasting, count] of [
    ['for the rest of the pass', Number.POSITIVE_INFINITY],
    ['once', 1],
  ] as const) {
    t.test(
      `${phase.name}: the disk refuses ${lasting} at any step, reads too, and the same process goes on`,
      { timeout: 60_000 },
      async (t) => {
        const tally = newTally()
        let steps = 0
        for (let failed = 1; failed > 0; steps++) {
          const disk = faultyDisk(new FakeDisk())
          const { device, kept, unverified } = await prepare(phase, await open(disk))
          const code = codes[steps % codes.length] as string
          disk.failAfter(steps, code, count)
          await failingPass(t, device)
          failed = disk.failed()
          disk.heal()
          await heal(device)
          tally.add(`${code} at step ${steps}`, await problemsOf(device, kept, phase, unverified))
        }
        tally.tell(t)
        t.ok(steps >= 18, `${steps} steps`)
      },
    )
  }
}
