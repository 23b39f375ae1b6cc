import type { Instant } from '@certfleet/agent-core'
import type { CheckResult } from '../check.ts'
import type { Emulation } from '../emulate.ts'
import type { QuestionAnswer } from '../questions.ts'

export interface CheckReportParts {
  readonly result: CheckResult
  readonly answers: readonly QuestionAnswer[]
  readonly emulation?: Emulation | undefined
  /** Shown at the top. */
  readonly at: Instant
}

/** One self-contained page for people who do not use terminals; opens offline, and nothing of the export is taken for markup. */
export function checkReportHtml(_parts: CheckReportParts): string {
  throw new Error('not written')
}
