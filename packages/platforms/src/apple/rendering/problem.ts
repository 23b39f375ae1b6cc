import { AgentError } from '@certfleet/agent-core'

/** What iOS and macOS call it (A-ERR). They say themselves that nobody should rely on the numbers. */
export const profileErrors = {
  malformed: 'MCProfileErrorDomain 1000',
  badType: 'MCProfileErrorDomain 1003',
  badSignature: 'MCProfileErrorDomain 1004',
  unsupportedProfile: 'MCProfileErrorDomain 1010',
  missingField: 'MCPayloadErrorDomain 2002',
  badFieldType: 'MCPayloadErrorDomain 2003',
  unsupportedValue: 'MCPayloadErrorDomain 2004',
  tooManyCertificates: 'MCCertificateErrorDomain 9001',
  malformedCertificate: 'MCCertificateErrorDomain 9005',
} as const

/** `where` names the payload and the key; `error` is the OS's own. */
export function refuse(where: string, problem: string, error: string): never {
  throw new AgentError('ERR_PROFILE_INVALID', `${where}: ${problem} (${error})`)
}

/** Whatever the core refuses in `work` is a refusal of the profile, in the OS's words. */
export function refusedAs<T>(where: string, error: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof AgentError)) throw cause
    throw new AgentError('ERR_PROFILE_INVALID', `${where}: ${cause.message} (${error})`, { cause })
  }
}

/** Of a foreign text in a message: short, and nothing that steers a terminal. */
export function shown(text: string): string {
  return `"${text.slice(0, 80).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?')}"`
}
