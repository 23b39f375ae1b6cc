import { fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Failure, Score, Suite, VectorCase, Verdict } from './suite.ts'

/** A case that takes longer is a hang, as in the suites' own harnesses. */
const hangMs = 5000
/** What a process may take to start and to load its cases. */
const startMs = 30_000

const script = fileURLToPath(new URL(`./case-process${extname(import.meta.url)}`, import.meta.url))

export interface CaseTask {
  readonly suiteName: string
  readonly path: string
  /** `path` is one limbo file, not the folder of suites. */
  readonly isFile: boolean
  readonly from: number
}

export type CaseMessage = 'started' | { readonly index: number; readonly outcome: CaseOutcome }

export type CaseOutcome = { readonly verdict: Verdict } | { readonly crash: string }

export interface SuiteOptions {
  readonly path: string
  readonly isFile: boolean
  readonly excused: ReadonlySet<string>
}

/** Scores one suite in a process of its own, so that a case that never ends can be ended. */
export async function runSuite(suite: Suite, cases: readonly VectorCase[], { path, isFile, excused }: SuiteOptions): Promise<Score> {
  const failures: Failure[] = []
  for (let from = 0; from < cases.length; ) {
    const { done, ended } = await runFrom({ suiteName: suite.name, path, isFile, from }, cases, failures)
    const open = cases[done]
    if (open) failures.push(ended === 'hang' ? { id: open.id, kind: 'hang' } : { id: open.id, kind: 'crash', detail: ended })
    from = done + 1
  }
  return scoreOf(suite.name, cases.length, failures, excused)
}

/** Runs until the last case, or until one hangs or ends the process; `done` is the first case without an outcome. */
function runFrom(task: CaseTask, cases: readonly VectorCase[], failures: Failure[]): Promise<{ done: number; ended: string }> {
  return new Promise((resolve) => {
    let done = task.from
    const child = fork(script, [JSON.stringify(task)])
    let timer = setTimeout(end, startMs, 'the process did not start')
    child.on('message', (message: CaseMessage) => {
      clearTimeout(timer)
      timer = setTimeout(end, hangMs, 'hang')
      if (message === 'started') return
      const failure = failureOf(cases[message.index] as VectorCase, message.outcome)
      if (failure) failures.push(failure)
      done = message.index + 1
    })
    child.on('error', (error) => end(String(error)))
    child.on('disconnect', () => end('the process ended'))

    function end(ended: string): void {
      clearTimeout(timer)
      child.kill('SIGKILL')
      resolve({ done, ended })
    }
  })
}

function failureOf({ id, expected }: VectorCase, outcome: CaseOutcome): Failure | undefined {
  if ('crash' in outcome) return { id, kind: 'crash', detail: outcome.crash }
  if (outcome.verdict === expected) return undefined
  return { id, kind: outcome.verdict === 'accept' ? 'false-accept' : 'false-reject' }
}

function scoreOf(name: string, total: number, failures: readonly Failure[], excused: ReadonlySet<string>): Score {
  const count = (kind: Failure['kind']) => failures.filter((failure) => failure.kind === kind).length
  return {
    name,
    total,
    passed: total - failures.length,
    falseAccepts: count('false-accept'),
    falseRejects: count('false-reject'),
    hangs: count('hang'),
    excused: failures.filter(({ id }) => excused.has(id)).length,
    failures,
  }
}
