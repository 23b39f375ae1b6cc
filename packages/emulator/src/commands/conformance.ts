import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { type PlatformName, platformNames } from '@certfleet/platforms'
import { type CheckOnSystem, type CheckResult, checks, onEachSystem, runChecks } from '@certfleet/platforms/conformance'
import { type Command, Option } from 'commander'
import { labTarget, sharedKeys, sharedKeysMarking } from '../conformance/index.ts'
import { isConformant, renderConformance } from '../report/conformance.ts'
import { junitXml } from '../report/junit.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { Seed } from '../scenario/schema.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { seedOption } from './options.ts'
import { tellProblem } from './tell.ts'

interface ConformanceOptions {
  readonly platform?: readonly PlatformName[]
  readonly check?: readonly string[]
  readonly junit?: string
  readonly seed?: Seed
  readonly list?: true
  readonly json?: true
}

const examples = `
Examples:
  $ certfleet conformance
  $ certfleet conformance --platform ios macos --junit conformance.xml
  $ certfleet conformance --check renewal.threshold pending.polls --json
  $ certfleet conformance --list

A check says what a platform does and where that is written; it runs the real agent, with the platform's adapter, against the embedded lab.
The keys are cheap and insecure, for the lab alone. docs/conformance.md lists the checks.

With --json one document on stdout: { "checks": [{ "id", "platform", "status": "passed" | "failed" | "skipped", "reason", "source" }] }.
Exit code 1 when a check failed, 2 for bad input; checks that are skipped say why.`

export function defineConformance(program: Command, io: Io, end: (code: ExitCode) => void): void {
  program
    .command('conformance')
    .description('Show what each platform does, check by check, each with its source')
    .addOption(new Option('--platform <platform...>', 'only these (default: all)').choices(platformNames))
    .option('--check <id...>', 'only these, by id (default: all)')
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--seed <seed>', 'decides which keys devices get (default: drawn and told)', seedOption)
    .option('--list', 'tell the checks instead of running them')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
    .action(async (options: ConformanceOptions) => end(await conformance(options, io)))
}

async function conformance(options: ConformanceOptions, io: Io): Promise<ExitCode> {
  const chosen = chosenChecks(options)
  if (options.list) return list(chosen, options, io)
  const interrupt = interruptSignal(io)
  try {
    return await run(chosen, options, interrupt.signal, io)
  } catch (error) {
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; there is no verdict' }, options.json === true, io)
    return 130
  } finally {
    interrupt.release()
  }
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
  const text = () =>
    rows.map(
      ({ id, platform, given, expect, source }) => `${platform}  ${id}\n  given   ${given}\n  expect  ${expect}\n  source  ${source}\n`,
    )
  io.out(json ? `${JSON.stringify({ checks: rows })}\n` : printable(`${text().join('')}${rows.length} checks\n`))
  return 0
}

async function run(chosen: readonly CheckOnSystem[], options: ConformanceOptions, signal: AbortSignal, io: Io): Promise<ExitCode> {
  const { junit, json, seed = randomInt(2 ** 32) } = options
  io.err(`seed ${seed}; keys: ${sharedKeysMarking}\n`)
  if (junit !== undefined) await write(junit, '')
  const keys = sharedKeys(String(seed))
  const results = await runChecks(chosen, { target: labTarget(keys), makeKeys: keys.makeKeys, signal }, progress(chosen.length, io))
  if (junit !== undefined) await write(junit, junitXml('certfleet conformance', results.map(junitCase)))
  io.out(json ? `${JSON.stringify({ checks: results })}\n` : printable(`\n${renderConformance(results)}\n`))
  return isConformant(results) ? 0 : 1
}

const junitCase = ({ id, platform, ...result }: CheckResult) => ({ suite: platform, name: id, ...result })

function progress(total: number, io: Io): (result: CheckResult) => void {
  let done = 0
  return ({ id, platform, status }) => {
    done++
    if (status === 'failed') io.err(`${io.errIsTerminal ? '\r\x1b[2K' : ''}failed  ${platform}  ${id}\n`)
    if (io.errIsTerminal) io.err(`\r\x1b[2K${done}/${total}  ${platform}  ${id}${done === total ? '\n' : ''}`)
    else if (done % Math.ceil(total / 10) === 0) io.err(`${done}/${total} checks\n`)
  }
}

async function write(file: string, text: string): Promise<void> {
  await writeFile(file, text).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`--junit ${file}: cannot be written (${error.code}); name a file in a folder that exists`)
  })
}
