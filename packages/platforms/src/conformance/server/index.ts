import type { ServerCheck } from './check.ts'
import { algorithmChecks } from './checks/algorithms.ts'
import { answerChecks } from './checks/answers.ts'
import { challengeChecks } from './checks/challenges.ts'
import { discoveryChecks } from './checks/discovery.ts'
import { enrolmentChecks } from './checks/enrolment.ts'
import { inquiryChecks } from './checks/inquiries.ts'
import { limitChecks } from './checks/limits.ts'
import { renewalChecks } from './checks/renewal.ts'

export type { ServerCheck } from './check.ts'
export { runServerChecks, type ServerRunOptions } from './run.ts'
export type { ChallengeSupply, Footprint, ServerTarget } from './target.ts'

/** What a SCEP server has to do for devices, in the order in which it is asked: whether its challenge is good once is known early. */
export const serverConformanceChecks: readonly ServerCheck[] = [
  ...discoveryChecks,
  ...enrolmentChecks,
  ...answerChecks,
  ...challengeChecks,
  ...renewalChecks,
  ...algorithmChecks,
  ...inquiryChecks,
  ...limitChecks,
]
