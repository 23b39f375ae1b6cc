import { printable } from '../report/printable.ts'
import type { ShownByOs } from './enroll-os.ts'
import type { Io } from './io.ts'

/** What went wrong, for people and for programs. */
export interface Problem {
  /** A code of `AgentError`, or `BAD_INPUT` or `BAD_USAGE`. */
  readonly code: string
  readonly message: string
  /** What to do next. */
  readonly advice?: string
}

/** On stderr, and with `--json` as the one document on stdout; with what an OS would show of it, where one was acted like. */
export function tellProblem(problem: Problem, json: boolean, io: Io, shown?: ShownByOs): void {
  const advice = problem.advice === undefined ? '' : `  ${problem.code}: ${problem.advice}\n`
  io.err(printable(`certfleet: ${problem.message}\n${advice}${shown ? `  ${shown.text}\n` : ''}`))
  if (json) io.out(`${JSON.stringify({ error: problem, ...(shown && { os: shown.os }) })}\n`)
}
