import { reconcile } from '@certfleet/agent-core'
import type { Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { Crash } from '../fakes/crashing.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { checkNames, type Expected, type Problems, problemsOf, watchingInstalls } from './checks.ts'
import { type Kept, keptInMemory, signal, start, type World, type WorldOptions, world } from './world.ts'

export const pool = await makeKeyPool(8)

/** A CA, made once. */
const authority = await labStore(new FakeClock(start))

export interface Phase extends Expected {
  readonly name: string
  readonly options: () => Partial<WorldOptions>
  /** What has happened before the process that will crash. */
  readonly before: (world: World) => Promise<void>
  /** It has at least so many steps. Default 40. */
  readonly steps?: number
}

/** Each phase, crashed at each of its steps in turn, ends as if there had been no crash. */
export function isMadeGood(t: Test, phases: readonly Phase[]): void {
  for (const phase of phases) {
    t.test(`${phase.name}: a crash at any step is made good`, { timeout: 60_000 }, async (t) => {
      const tally = newTally()
      let steps = 0
      for (let crashed = true; crashed; steps++) {
        const { device, kept, unverified } = await prepare(phase)
        crashed = await crashAt(steps, device)
        await heal(device)
        tally.add(`crash at step ${steps}`, await problemsOf(device, kept, phase, unverified))
      }
      tally.tell(t)
      t.ok(steps > (phase.steps ?? 40), `${steps} steps`)
    })
  }
}

/** Problems of many runs, each told under the check that found it. */
export function newTally() {
  const found = new Map(checkNames.map((name) => [name, [] as string[]]))
  return {
    add(where: string, problems: Problems): void {
      for (const name of checkNames) found.get(name)?.push(...problems[name].map((problem) => `${where}: ${problem}`))
    },
    tell(t: Test): void {
      for (const [name, problems] of found) t.same(problems.slice(0, 10), [], name)
    },
  }
}

export interface Prepared {
  readonly device: World
  readonly kept: Kept
  /** What was installed and should not have been. */
  readonly unverified: readonly string[]
}

/** A device in the moment before the process that will not end well. `kept`: what it keeps things in. */
export async function prepare(phase: Phase, keep: Kept = keptInMemory(pool)): Promise<Prepared> {
  const unverified: string[] = []
  const kept: Kept = { ...keep, identities: watchingInstalls(keep.identities, () => ({ service: device, kept: keep }), unverified) }
  const device = await world({ pool, authority, ...phase.options(), kept })
  await phase.before(device)
  return { device, kept, unverified }
}

export async function crashAt(step: number, { device }: World): Promise<boolean> {
  try {
    await reconcile(device({ left: step }), signal)
    return false
  } catch (error) {
    if (error instanceof Crash) return true
    throw error
  }
}

/** The device starts again, and again at its next check-ins. */
export async function heal({ device, clock }: World, kept?: Kept): Promise<void> {
  for (let pass = 0; pass < 4; pass++) {
    await reconcile(device(undefined, kept), signal)
    await clock.advance(10 * 60_000)
  }
}
