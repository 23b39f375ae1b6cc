import { type Fact, facts } from '@certfleet/platforms'
import { type CheckOnSystem, type CheckResult, checks, onEachSystem, type RunOptions, runCheck } from '@certfleet/platforms/conformance'
import t from 'tap'
import { labTarget, sharedKeys } from '#emulator/conformance/index.ts'
import type { Broken } from './broken.ts'
import { otherValue } from './mutants.ts'
import { inCode, sabotageOf, unread } from './sabotages.ts'

t.setTimeout(240_000)

const keys = sharedKeys('mutation')
const target = labTarget(keys)
const { makeKeys } = keys

function run(one: CheckOnSystem, { target: breakTarget, ...sabotage }: Broken, overrides?: RunOptions['overrides']): Promise<CheckResult> {
  return runCheck(one, { target: breakTarget?.(target) ?? target, makeKeys, sabotage, ...(overrides && { overrides }) })
}

/** The ways in which a check has to fail, with what is turned off or broken in each. */
function mutantsOf(one: CheckOnSystem): readonly (readonly [name: string, run: () => Promise<CheckResult>])[] {
  const byFact = one.facts.filter((id) => !inCode.has(id)).map((id) => mutantOf(one, id))
  const broken = byFact.length < one.facts.length || byFact.length === 0 ? sabotageOf(one) : undefined
  return broken === undefined ? byFact : [...byFact, ['with a broken part', () => run(one, broken)]]
}

function mutantOf(one: CheckOnSystem, id: string): readonly [name: string, run: () => Promise<CheckResult>] {
  const broken = unread[id]
  if (broken) return [`without ${id}`, () => run(one, broken())]
  const value = otherValue(facts.find((fact) => fact.id === id) as Fact)
  return [`${id} says ${JSON.stringify(value)}`, () => run(one, {}, new Map([[id, value]]))]
}

t.test('each check passes, and fails when its fact is turned off or what it looks at is broken', async (t) => {
  for (const one of onEachSystem(checks)) {
    if (one.notHere !== undefined) continue
    const name = `${one.platform} ${one.id}`
    const mutants = mutantsOf(one)
    if (mutants.length === 0) t.fail(`${name}: nothing is known that makes it fail`)
    if (one.facts.some((id) => inCode.has(id)) && !sabotageOf(one)) t.fail(`${name}: no broken part shows what is in code`)
    for (const [what, mutant] of mutants) {
      const { status } = await mutant()
      if (status !== 'failed') t.fail(`${name}: ${status} ${what}`)
    }
  }
})
