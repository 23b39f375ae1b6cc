import { readFileSync } from 'node:fs'
import type { Score } from './suite.ts'

/** A failure that is known and wanted, or known and not worth its cure. */
export interface Excuse {
  readonly id: string
  readonly reason: string
}

const limits = { limbo: 8, limboFalseAccepts: 3 } as const

/** `excused.json`: one id and reason a line. Throws when an entry lacks one, or an id is there twice. */
export function readExcuses(file: string): readonly Excuse[] {
  const excuses = JSON.parse(readFileSync(file, 'utf8')) as readonly Excuse[]
  const ids = excuses.map(({ id }) => id)
  const bad = excuses.find(
    ({ id, reason }, i) => typeof id !== 'string' || typeof reason !== 'string' || reason === '' || ids.indexOf(id) !== i,
  )
  if (bad) throw new Error(`excused.json: ${JSON.stringify(bad)} lacks an id or a reason, or is there twice`)
  return excuses
}

/** What is wrong with these scores, a line each: failures without an excuse, excuses without a failure, too many excuses. */
export function complaints(scores: readonly Score[], excuses: readonly Excuse[], ran: ReadonlySet<string>): readonly string[] {
  const excused = new Set(excuses.map(({ id }) => id))
  const failures = scores.flatMap((score) => score.failures.map((failure) => ({ ...failure, suite: score.name })))
  const failed = new Set(failures.map(({ id }) => id))
  return [
    ...failures
      .filter(({ id }) => !excused.has(id))
      .map(({ suite, id, kind, detail }) => `${suite}: ${kind} ${id}${detail ? ` (${detail})` : ''}`),
    ...excuses.filter(({ id }) => ran.has(id) && !failed.has(id)).map(({ id }) => `excused.json: ${id} passes now; take it out`),
    ...failures
      .filter(({ suite, id }) => suite === 'x509-limbo core' && excused.has(id))
      .map(({ id }) => `excused.json: ${id} is a core case, which has no excuse`),
    ...limboComplaints(failures.filter(({ suite, id }) => suite === 'x509-limbo applicable' && excused.has(id))),
  ]
}

function limboComplaints(failures: readonly { readonly kind: string }[]): readonly string[] {
  const falseAccepts = failures.filter(({ kind }) => kind === 'false-accept').length
  return [
    ...(failures.length > limits.limbo ? [`excused.json: ${failures.length} limbo cases, at most ${limits.limbo}`] : []),
    ...(falseAccepts > limits.limboFalseAccepts
      ? [`excused.json: ${falseAccepts} limbo false accepts, at most ${limits.limboFalseAccepts}`]
      : []),
  ]
}
