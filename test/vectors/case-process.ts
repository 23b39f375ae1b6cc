import { AgentError } from '@certfleet/agent-core'
import type { CaseMessage, CaseOutcome, CaseTask } from './run-suite.ts'
import type { VectorCase } from './suite.ts'
import { limboFileSuite, suites } from './suites/index.ts'

const { suiteName, path, isFile, from } = JSON.parse(process.argv[2] as string) as CaseTask
const suite = isFile ? limboFileSuite(path) : suites.find(({ name }) => name === suiteName)
const cases = suite?.load(path) ?? []
await send('started')
for (const [index, vector] of cases.entries()) if (index >= from) await send({ index, outcome: await outcomeOf(vector) })

/** Resolves once the parent can read it, so that a case that hangs holds nothing back. */
function send(message: CaseMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()))
}

async function outcomeOf(vector: VectorCase): Promise<CaseOutcome> {
  try {
    return { verdict: await vector.run() }
  } catch (error) {
    return error instanceof AgentError ? { verdict: 'refuse' } : { crash: String(error) }
  }
}
