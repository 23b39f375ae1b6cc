import type { Transport } from '@certfleet/agent-core'
import type { ChallengeSupply } from '@certfleet/platforms/conformance'
import { type MscepAdminPage, mscepAdminPassword } from '../challenges/mscep-admin.ts'

/** Challenges that somebody wrote down: one alone is given again and again, several are each given once, in order. */
export function writtenChallenges(challenges: readonly string[]): ChallengeSupply {
  if (challenges.length === 1) return { repeats: true, next: async () => challenges[0] }
  let given = 0
  return { repeats: false, next: async () => challenges[given++] }
}

export interface MscepAdminOptions extends MscepAdminPage {
  readonly transport: Transport
}

/** A password of NDES's admin page each time, until its cache is full. Errors as `mscepAdminPassword` has them. */
export function mscepAdminChallenges({ transport, ...page }: MscepAdminOptions): ChallengeSupply {
  return { repeats: false, next: () => mscepAdminPassword(page, transport) }
}
