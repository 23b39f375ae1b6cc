import { printable } from '../report/printable.ts'
import type { Io } from './io.ts'

/** What went wrong, for people and for programs. */
export interface Problem {
  /** A code of `AgentError`, or `BAD_INPUT` or `BAD_USAGE`. */
  readonly code: string
  readonly message: string
  /** What to do next. */
  readonly advice?: string
}

/** On stderr, and with `--json` as the one document on stdout. */
export function tellProblem(problem: Problem, json: boolean, io: Io): void {
  const advice = problem.advice === undefined ? '' : `  ${problem.code}: ${problem.advice}\n`
  io.err(printable(`certfleet: ${problem.message}\n${advice}`))
  if (json) io.out(`${JSON.stringify({ error: problem })}\n`)
}
