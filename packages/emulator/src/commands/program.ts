import { AgentError } from '@certfleet/agent-core'
import { Command, CommanderError } from 'commander'
import { packageVersion } from '../package-version.ts'
import { whoCanFix } from '../report/advice.ts'
import { InputError } from '../scenario/input-error.ts'
import { defineAdmin } from './admin.ts'
import { defineCheck } from './check.ts'
import { defineConformance } from './conformance.ts'
import { defineEnroll } from './enroll.ts'
import { defineFacts } from './facts.ts'
import { defineInit } from './init.ts'
import type { ExitCode, Io } from './io.ts'
import { defineKeys } from './keys.ts'
import { defineLab } from './lab.ts'
import { defineRender } from './render.ts'
import { defineReport } from './report.ts'
import { defineResume } from './resume.ts'
import { defineRun } from './run.ts'
import { defineStop } from './stop.ts'
import { tellProblem } from './tell.ts'
import { defineWorker } from './worker.ts'

export type { ExitCode, Io, Prompt } from './io.ts'

/**
 * Runs one command line, without the program's name, and returns its exit code.
 * What a person can put right becomes a message on stderr, and with `--json` a document `{ error }` on stdout. Rejects only for a bug.
 */
export async function runCommandLine(argv: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = 0
  const program = buildProgram(io, (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    return explain(error, argv.includes('--json'), io)
  }
}

function buildProgram(io: Io, end: (code: ExitCode) => void): Command {
  const program = new Command('certfleet')
    .description('Devices that enrol certificates: an emulated fleet, the lab that it enrols against, and one real enrolment with its keys')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) })
    .showHelpAfterError('(--help shows the options, with examples)')
    .addHelpText('after', '\nExit codes: 0 done; 1 ran, and the verdict is bad; 2 bad input or usage; 130 interrupted.')
  const defined = [
    defineRun,
    defineWorker,
    defineStop,
    defineResume,
    defineInit,
    defineReport,
    defineLab,
    defineAdmin,
    defineEnroll,
    defineRender,
    defineKeys,
    defineCheck,
    defineFacts,
    defineConformance,
  ]
  for (const define of defined) define(program, io, end)
  return program
}

function explain(error: unknown, json: boolean, io: Io): ExitCode {
  if (error instanceof CommanderError) return endOfParsing(error, json, io)
  if (!(error instanceof InputError || error instanceof AgentError)) throw error
  const isInput = error instanceof InputError
  tellProblem(
    isInput ? { code: 'BAD_INPUT', message: error.message } : { code: error.code, message: error.message, advice: whoCanFix(error.code) },
    json,
    io,
  )
  return isInput ? 2 : 1
}

/** Commander has told it on stderr already. */
function endOfParsing({ exitCode, message }: CommanderError, json: boolean, io: Io): ExitCode {
  if (exitCode === 0) return 0
  if (json) io.out(`${JSON.stringify({ error: { code: 'BAD_USAGE', message } })}\n`)
  return 2
}
