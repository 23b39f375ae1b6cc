import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runKills, type Tally } from './kill.ts'
import { failures, told } from './tell.ts'

const usage = 'usage: npm run test:kill -- [--runs N | --only LIFE] [--seed S]'
const progressMs = 10_000

interface Arguments {
  readonly runs: number
  readonly seed: string
  readonly only: number | undefined
}

await main()

/** Prints the seed first, then what came of it. Exit status 1 for anything lost, 2 for wrong usage. */
async function main(): Promise<void> {
  const given = readArguments()
  if (!given) {
    console.error(usage)
    process.exitCode = 2
    return
  }
  console.error(`seed ${given.seed}`)
  const folder = await mkdtemp(join(tmpdir(), 'certfleet-kill-'))
  const startMs = performance.now()
  const tally = await runKills({ ...given, folder, parallel: availableParallelism() + 1, onProgress: progress(given, startMs) })
  for (const line of told(tally)) console.log(line)
  console.log(`${((performance.now() - startMs) / 1000).toFixed(1)} s, seed ${given.seed}`)
  const failed = failures(tally)
  if (failed.length === 0) return rm(folder, { recursive: true })
  for (const line of [...failed, `the folders of the lives with problems are in ${folder}`, `seed ${given.seed}`]) console.error(line)
  process.exitCode = 1
}

function readArguments(): Arguments | undefined {
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({ options: { runs: text, seed: text, only: text } })
    const runs = Number(values.runs ?? 500)
    const only = values.only === undefined ? undefined : Number(values.only)
    const isWhole = (n: number, least: number): boolean => Number.isInteger(n) && n >= least && n < 2 ** 31
    if (!isWhole(runs, 1) || (only !== undefined && !isWhole(only, 0))) return undefined
    return { runs, only, seed: values.seed ?? randomBytes(4).toString('hex') }
  } catch {
    return undefined
  }
}

function progress({ runs }: Arguments, startMs: number): (tally: Tally) => void {
  let toldMs = startMs
  return ({ kills, problems }) => {
    if (performance.now() - toldMs < progressMs) return
    toldMs = performance.now()
    console.error(`${kills.length} of ${runs} kills, ${problems.length} problems, ${((toldMs - startMs) / 1000).toFixed(0)} s`)
  }
}
