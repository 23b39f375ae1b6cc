export type Verdict = 'accept' | 'refuse'

/** One case of a public suite: what it expects, and what certfleet says. */
export interface VectorCase {
  readonly id: string
  readonly expected: Verdict
  /** An `AgentError` thrown here is a refusal; anything else that is thrown fails the case. */
  run(): Verdict | Promise<Verdict>
}

export interface Suite {
  readonly name: string
  /** The sub-folder of all vectors that it scores, or a part of. */
  readonly folder: string
  /** Reads the cases from the folder of all vectors; undefined when this suite is not in it. What is there and cannot be read: {@link UnreadableVectors}. */
  load(dir: string): readonly VectorCase[] | undefined
  /** Files of its own that it has no expectation of. */
  unscored?(dir: string): readonly string[]
}

/** Vectors that are missing, or not what they should be. The message is one line for whoever typed the path. */
export class UnreadableVectors extends Error {
  override readonly name = 'UnreadableVectors'
}

export type FailureKind = 'false-accept' | 'false-reject' | 'hang' | 'crash'

export interface Failure {
  readonly id: string
  readonly kind: FailureKind
  readonly detail?: string
}

export interface Score {
  readonly name: string
  readonly total: number
  readonly passed: number
  readonly falseAccepts: number
  readonly falseRejects: number
  readonly hangs: number
  /** Failures that `excused.json` gives a reason for. */
  readonly excused: number
  readonly failures: readonly Failure[]
}
