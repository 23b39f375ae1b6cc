import { systemClock } from '@certfleet/agent-core/system'
import fc from 'fast-check'
import t from 'tap'
import { sharedPrimes } from '#emulator/check/emulate-keys.ts'
import { checkExport, type Disagreement, emulate } from '#emulator/check/index.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'
import { inputOf, type SomeTenant, someTenant } from './tenants.ts'

const env = process.env
const numRuns = Number(env.CERTFLEET_TENANTS ?? 120)
/** The same each time, for what lands: other tenants are looked at with `CERTFLEET_SEED=$RANDOM CERTFLEET_TENANTS=4000`. */
const seed = Number(env.CERTFLEET_SEED ?? 1)
const primes = sharedPrimes({ 2048: testPrimes() })

async function disagreementsOf(some: SomeTenant): Promise<readonly Disagreement[]> {
  const result = checkExport(inputOf(some, systemClock.now()))
  const { disagreements } = await emulate(result, { seed: 1, clock: systemClock, signal: new AbortController().signal, primes })
  return disagreements
}

t.test(`what the check says is what devices report, CERTFLEET_SEED=${seed}`, async () => {
  const agrees = fc.asyncProperty(someTenant(12), async (some) => {
    const [first] = await disagreementsOf(some)
    if (first) throw new Error(JSON.stringify(first))
  })
  await fc.assert(agrees, { numRuns, seed, includeErrorInReport: true })
})
