import { createFuzzer } from './fuzz.ts'
import type { ShardTask } from './shards.ts'

const { range, chunk, vectors } = JSON.parse(process.argv[2] as string) as ShardTask

// Errors are what most mutants give, and their stacks the dearest part of them; a replay shows them.
Error.stackTraceLimit = 0

const fuzzer = await createFuzzer(vectors)
await send('started')
for (let from = range.from; from < range.to; from += chunk * range.step) {
  const tally = await fuzzer.run({ ...range, from, to: Math.min(range.to, from + chunk * range.step) })
  await send(tally)
}
process.disconnect()

/** Resolves once the parent can read it, so that a mutant that hangs holds nothing back. */
function send(message: unknown): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()))
}
