import type { ProfileStanding } from '@certfleet/agent-core'
import { type Fact, holds, says } from '../fact.ts'
import type { Os } from '../os.ts'
import { type AppleErrorCode, type AppleErrorDomain, appleErrorByCode, appleErrors, appleErrorTexts, domainOf } from './apple-errors.ts'

export const appleStatusFacts = {
  answer: {
    id: 'apple.status.answer',
    platforms: ['ios', 'macos'],
    effect: 'InstallProfile is answered once the SCEP inside has finished: Acknowledged, or Error with an ErrorChain, outermost first.',
    value: 'Acknowledged, Error',
    source: 'A-DM mdm/commands/profile.install.yaml',
    confidence: 'V',
  },
  chain: {
    id: 'apple.error.chain',
    platforms: ['ios', 'macos'],
    effect: 'An error inside a payload comes in two install failures (4001) and the install failure of the profile (1009).',
    value: [4001, 4001, 1009],
    alternatives: ['off'],
    source: 'SCEPY #1',
    confidence: 'V',
    singleLog: true,
  },
} as const satisfies Record<string, Fact>

/** How a device answers InstallProfile. A type, so that it goes where any JSON goes. */
export type AppleStatus = {
  /** Absent until it answers. */
  readonly Status?: 'Acknowledged' | 'Error'
  /** Outermost first. */
  readonly ErrorChain?: readonly AppleError[]
}

export type AppleError = {
  readonly ErrorDomain: AppleErrorDomain
  readonly ErrorCode: AppleErrorCode
  readonly USEnglishDescription: string
}

/** What iOS or macOS would answer for a profile that stands so. */
export function appleStatusOf({ status: { state, code } }: ProfileStanding, os: Os): AppleStatus {
  // What may stand in for one of these codes is another of them.
  const told = code !== undefined && (says(appleErrors[appleErrorByCode[code]], os) as AppleErrorCode)
  if (told) return { Status: 'Error', ErrorChain: appleErrorChain(told, os) }
  return state === 'installed' ? { Status: 'Acknowledged' } : {}
}

/** A code as a device tells it: those of payloads in what goes round them, those of profile and installation as they are. */
export function appleErrorChain(code: AppleErrorCode, os: Os): readonly AppleError[] {
  const around = domainOf(code) === 'MCInstallationErrorDomain' || !holds(appleStatusFacts.chain, os) ? [] : appleStatusFacts.chain.value
  return [...around.filter((outer) => outer !== code), code].map((one) => ({
    ErrorDomain: domainOf(one),
    ErrorCode: one,
    USEnglishDescription: appleErrorTexts[one],
  }))
}
