import { randomInt } from 'node:crypto'
import { platformNames } from '@certfleet/platforms'
import { type CheckOnSystem, checks, onEachSystem, runChecks } from '@certfleet/platforms/conformance'
import { type Command, Option } from 'commander'
import { labTarget, sharedKeys, sharedKeysMarking } from '../conformance/index.ts'
import { InputError } from '../scenario/input-error.ts'
import type { Seed } from '../scenario/schema.ts'
import { reported, tellChecks } from './conformance-report.ts'
import { assertNoTargetOptions, judgeServer, type TargetOptions, withTarget } from './conformance-target.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { seedOption } from './options.ts'
import { tellProblem } from './tell.ts'

interface ConformanceOptions extends TargetOptions {
  readonly seed?: Seed
}

const examples = `
Examples:
  $ certfleet conformance
  $ certfleet conformance --platform ios macos --junit conformance.xml
  $ certfleet conformance --check renewal.threshold pending.polls --json
  $ certfleet conformance --list
  $ certfleet conformance --target https://ndes.example.com/certsrv/mscep/mscep.dll --platform windows --root root.pem \\
      --challenge-file challenges.txt

A check says what a platform does and where that is written; it runs the real agent, with the platform's adapter, against the embedded lab.
The keys are cheap and insecure, for the lab alone. docs/conformance.md lists the checks.

With --target somebody's SCEP server is judged instead, as devices of each platform would meet it (docs/test-your-scep-server.md). The run
obtains certificates there, each for a key of its own that is thrown away; how many is told at the end.

With --json one document on stdout: { "checks": [{ "id", "platform", "status": "passed" | "failed" | "skipped", "reason", "source" }] }.
Exit code 1 when a check failed, 2 for bad input; checks that are skipped say why.`

export function defineConformance(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('conformance')
    .description('Show what each platform does, check by check, each with its source')
    .addOption(new Option('--platform <platform...>', 'only these (default: all)').choices(platformNames))
    .option('--check <id...>', 'only these, by id (default: all)')
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--seed <seed>', 'decides which keys devices get (default: drawn and told)', seedOption)
    .option('--list', 'tell the checks instead of running them')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
  withTarget(command).action(async (options: ConformanceOptions) => end(await conformance(options, io)))
}

async function conformance(options: ConformanceOptions, io: Io): Promise<ExitCode> {
  const interrupt = interruptSignal(io)
  try {
    return await (options.target === undefined ? proveAdapters(options, interrupt.signal, io) : judgeServer(options, interrupt.signal, io))
  } catch (error) {
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; there is no verdict' }, options.json === true, io)
    return 130
  } finally {
    interrupt.release()
  }
}

async function proveAdapters(options: ConformanceOptions, signal: AbortSignal, io: Io): Promise<ExitCode> {
  assertNoTargetOptions(options)
  const chosen = chosenChecks(options)
  return options.list ? list(chosen, options, io) : run(chosen, options, signal, io)
}

/** By the whole id, or by that of the check on all its systems. */
function chosenChecks({ platform, check }: ConformanceOptions): readonly CheckOnSystem[] {
  const all = onEachSystem(checks).filter((one) => platform?.includes(one.platform) ?? true)
  const isNamed = (one: CheckOnSystem, id: string) => one.id === id || one.check.id === id
  const unknown = check?.find((id) => !all.some((one) => isNamed(one, id)))
  if (unknown !== undefined) {
    const where = platform ? ` on ${platform.join(' and ')}` : ''
    throw new InputError(`--check ${unknown}: there is no such check${where}; "certfleet conformance --list" tells all`)
  }
  return check ? all.filter((one) => check.some((id) => isNamed(one, id))) : all
}

function list(chosen: readonly CheckOnSystem[], { json }: ConformanceOptions, io: Io): ExitCode {
  const rows = chosen.map(({ id, platform, source, check: { given, expect } }) => ({ id, platform, given, expect, source }))
  return tellChecks(rows, json === true, io)
}

async function run(chosen: readonly CheckOnSystem[], options: ConformanceOptions, signal: AbortSignal, io: Io): Promise<ExitCode> {
  const { seed = randomInt(2 ** 32) } = options
  io.err(`seed ${seed}; keys: ${sharedKeysMarking}\n`)
  const keys = sharedKeys(String(seed))
  return reported(chosen.length, options, io, (onResult) =>
    runChecks(chosen, { target: labTarget(keys), makeKeys: keys.makeKeys, signal }, onResult),
  )
}
