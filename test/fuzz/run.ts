import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { createFuzzer } from './fuzz.ts'
import { depths } from './probe.ts'
import { runShards } from './shards.ts'
import type { Failure, Tally } from './tally.ts'

const usage = 'usage: npm run fuzz -- [--seed S] [--count N | --only INDEX] [--vectors DIR] [--json]'
const defaultCount = 10_000
/** So many percent of the mutants must get so far, or the run proves little. */
const floors = { outerParse: 30, resealed: 10 } as const
const shownFailures = 20
const shownHexDigits = 600
const progressMs = 10_000

interface Arguments {
  readonly seed: string
  readonly count: number
  readonly only: number | undefined
  readonly vectors: string | undefined
  readonly isJson: boolean
}

await main()

/** Prints the seed, then what came of it. Exit status 1 for a failure or for mutants that got nowhere, 2 for wrong usage. */
async function main(): Promise<void> {
  const given = readArguments()
  if (!given) {
    console.error(usage)
    process.exitCode = 2
    return
  }
  console.error(`seed ${given.seed}`)
  const startMs = performance.now()
  const tally = given.only === undefined ? await fuzz(given, startMs) : await replay(given, given.only)
  const seconds = (performance.now() - startMs) / 1000
  if (given.isJson) console.log(JSON.stringify(summary(given, tally, seconds), undefined, 2))
  else for (const line of report(given, tally, seconds)) console.log(line)
  if (problems(given, tally).length > 0) process.exitCode = 1
}

function readArguments(): Arguments | undefined {
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({ options: { seed: text, count: text, only: text, vectors: text, json: { type: 'boolean' } } })
    const count = Number(values.count ?? defaultCount)
    const only = values.only === undefined ? undefined : Number(values.only)
    const isWhole = (n: number, least: number): boolean => Number.isInteger(n) && n >= least && n < 2 ** 31
    if (!isWhole(count, 1) || (only !== undefined && !isWhole(only, 0))) return undefined
    return { seed: values.seed ?? randomBytes(4).toString('hex'), count, only, vectors: values.vectors, isJson: values.json ?? false }
  } catch {
    return undefined
  }
}

function fuzz({ seed, count, vectors }: Arguments, startMs: number): Promise<Tally> {
  let toldMs = startMs
  const onProgress = ({ mutants, failures }: Tally): void => {
    if (performance.now() - toldMs < progressMs) return
    toldMs = performance.now()
    console.error(`${mutants} of ${count} mutants, ${failures.length} failures, ${perSecond(mutants, (toldMs - startMs) / 1000)} a second`)
  }
  return runShards({ seed, count, shards: Math.min(availableParallelism(), count), vectors, onProgress })
}

/** Shows the mutant before it is tried: it may never come back. */
async function replay({ seed, vectors }: Arguments, only: number): Promise<Tally> {
  const fuzzer = await createFuzzer(vectors)
  const { sample, layer, bytes } = fuzzer.mutantAt(seed, only)
  console.error(`mutant ${only} of ${from(sample.name, layer?.name)}`)
  console.error(Buffer.from(bytes).toString('hex'))
  return fuzzer.run({ seed, from: only, to: only + 1, step: 1 })
}

function report(given: Arguments, tally: Tally, seconds: number): readonly string[] {
  const { mutants, resealed, reached, failures } = tally
  return [
    `${mutants} mutants in ${seconds.toFixed(1)} s, ${perSecond(mutants, seconds)} a second`,
    row('signed or encrypted again', resealed, mutants),
    ...depths.map((depth) => row(words(depth), reached[depth], mutants)),
    row('failures', failures.length, mutants),
    ...failures.slice(0, shownFailures).flatMap((failure) => [...told(failure), `  ${replayCommand(given, failure)}`]),
    ...problems(given, tally),
  ]
}

function told({ kind, entry, detail, index, sample, layer, mutant }: Failure): readonly string[] {
  return [`${kind} in ${entry}, mutant ${index} of ${from(sample, layer)}: ${detail}`, `  ${mutant.length} octets: ${hex(mutant)}`]
}

function from(sample: string, layer: string | undefined): string {
  return layer === undefined ? sample : `${sample}, ${layer} sealed again`
}

function replayCommand({ seed, vectors }: Arguments, { index }: Failure): string {
  return `npm run fuzz -- --seed ${JSON.stringify(seed)} --only ${index}${vectors === undefined ? '' : ` --vectors ${vectors}`}`
}

/** A single mutant may get as far as it gets. */
function problems({ only }: Arguments, { mutants, resealed, reached, failures }: Tally): readonly string[] {
  const short = (what: string, count: number, percent: number): string[] =>
    only !== undefined || count * 100 >= mutants * percent ? [] : [`${what}: fewer than ${percent} % of the mutants`]
  return [
    ...(failures.length > 0 ? [`${failures.length} failures`] : []),
    ...short('outer parse', reached.outerParse, floors.outerParse),
    ...short('signed or encrypted again', resealed, floors.resealed),
  ]
}

function summary(given: Arguments, tally: Tally, seconds: number) {
  const { mutants, resealed, reached, failures } = tally
  return {
    seed: given.seed,
    mutants,
    seconds: Math.round(seconds * 10) / 10,
    resealed,
    reached,
    failures: failures.map((failure) => ({ ...failure, mutant: hex(failure.mutant), replay: replayCommand(given, failure) })),
    problems: problems(given, tally),
  }
}

function row(what: string, count: number, of: number): string {
  return `${what.padEnd(26)} ${String(count).padStart(9)}  ${((100 * count) / of).toFixed(1).padStart(5)} %`
}

function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function perSecond(count: number, seconds: number): number {
  return Math.round(count / seconds)
}

function hex(bytes: Uint8Array): string {
  const digits = Buffer.from(bytes).toString('hex')
  return digits.length > shownHexDigits ? `${digits.slice(0, shownHexDigits)}…` : digits
}
