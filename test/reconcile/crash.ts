import { reconcile } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import { createLab, memoryLabStore } from '@certfleet/emulator/lab'
import type { Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { Crash } from '../fakes/crashing.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { signal, start, type World, type WorldOptions, world } from './world.ts'

export const pool = await makeKeyPool(4)
const authority = memoryLabStore()
await createLab({ store: authority, clock: new FakeClock(start), registrationToken: 'unused', policyFor: () => undefined })

export interface Phase {
  readonly name: string
  readonly options: () => Partial<WorldOptions>
  /** What has happened before the process that will crash. */
  readonly before: (world: World) => Promise<void>
  readonly certificates: number
}

/** Each phase, crashed at each of its steps in turn, ends as if there had been no crash. */
export function isMadeGood(t: Test, phases: readonly Phase[]): void {
  for (const phase of phases) {
    t.test(`${phase.name}: a crash at any step is made good`, async (t) => {
      let steps = 0
      for (let crashed = true; crashed; steps++) {
        const device = await world({ pool, authority, ...phase.options() })
        await phase.before(device)
        const before = await fingerprints(device)
        crashed = await crashAt(steps, device)
        await heal(device)
        const problems = await problemsOf(device, phase, before)
        if (problems.length > 0) t.fail(`crash at step ${steps}`, { problems })
      }
      t.ok(steps > 40, `${steps} steps`)
    })
  }
}

async function crashAt(step: number, { device }: World): Promise<boolean> {
  try {
    await reconcile(device({ left: step }), signal)
    return false
  } catch (error) {
    if (error instanceof Crash) return true
    throw error
  }
}

/** The device starts again, and again at its next check-ins. */
async function heal({ device, clock }: World): Promise<void> {
  for (let pass = 0; pass < 4; pass++) {
    await reconcile(device(), signal)
    await clock.advance(10 * 60_000)
  }
}

const fingerprints = async ({ identities }: World) => (await identities.list()).map(({ chain }) => fingerprintOf(chain[0] as Uint8Array))

async function problemsOf(device: World, phase: Phase, before: readonly string[]): Promise<string[]> {
  const { identities, keys, state, lab, stores, connector } = device
  const installed = await identities.list()
  const fresh = (await fingerprints(device)).filter((fingerprint) => !before.includes(fingerprint))
  const labels = await keys.list()
  const { attempts, pending } = await state.load()
  const delivered = [...connector.issued].map(([attemptId, { certificate }]) => ({ attemptId, fingerprint: fingerprintOf(certificate) }))
  const issued = [...lab.issued(), ...delivered]
  const byAttempt = new Set(issued.map(({ attemptId }) => attemptId))
  return [
    ...(issued.some(({ fingerprint }) => fingerprint === fresh[0]) ? [] : ['the certificate is not the one that the lab issued last']),
    ...(installed.length === 1 ? [] : [`${installed.length} identities`]),
    ...(labels.length === 1 && labels[0] === installed[0]?.keyLabel ? [] : [`keys ${labels.join()} beside ${installed[0]?.keyLabel}`]),
    ...(attempts.size + pending.size === 0 ? [] : ['an attempt stayed open']),
    ...((await stores.list()).length === 1 ? [] : ['the root is not installed once']),
    ...(issued.length === phase.certificates ? [] : [`${issued.length} certificates issued`]),
    ...(byAttempt.size === issued.length ? [] : ['two certificates for one attempt']),
  ]
}
