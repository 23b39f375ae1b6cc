import type { Fact } from '../fact.ts'
import { platformNames } from '../os.ts'

/** Who can know that a certificate stands so: the device, the service that it answers to, or nobody here. */
export type StateWitness = 'device' | 'service' | 'nobody'

/** Graph's `certificateIssuanceStates` by their names, who can know each, and when it is so. Their order in time is certfleet's own. */
export const issuanceStates = {
  unknown: { value: 0, knownBy: 'device', when: 'the profile has arrived, and nothing was tried' },
  challengeIssued: { value: 1, knownBy: 'service', when: 'the device asked for a challenge and has it' },
  challengeIssueFailed: { value: 2, knownBy: 'service', when: 'the device asked for a challenge and was given none' },
  requestCreationFailed: { value: 3, knownBy: 'device', when: 'it failed before anything was sent: profile, root, key or user' },
  requestSubmitFailed: { value: 4, knownBy: 'device', when: 'challenge, PFX or SCEP server are out of reach, or refuse the connection' },
  challengeValidationSucceeded: { value: 5, knownBy: 'service', when: 'the challenge is good, and the CA has not issued yet' },
  challengeValidationFailed: { value: 6, knownBy: 'service', when: 'the challenge, or the request that came with it, was not good' },
  issueFailed: { value: 7, knownBy: 'device', when: 'the CA refused, or left the request pending through every poll' },
  issuePending: { value: 8, knownBy: 'device', when: 'the CA has not decided' },
  issued: { value: 9, knownBy: 'service', when: 'the CA issued, and the device has not told of it' },
  responseProcessingFailed: { value: 10, knownBy: 'device', when: 'the answer cannot be read, or is not to be trusted' },
  responsePending: { value: 11, knownBy: 'nobody', when: 'the device waits for an answer: issuePending says it' },
  enrollmentSucceeded: { value: 12, knownBy: 'nobody', when: 'the answer is good: the device installs at once, and tells installed' },
  enrollmentNotNeeded: { value: 13, knownBy: 'nobody', when: 'the device has what the profile wants: installed says it' },
  revoked: { value: 14, knownBy: 'service', when: 'the CA revoked what it issued' },
  removedFromCollection: { value: 15, knownBy: 'nobody', when: 'the profile was taken away, and the certificate with it: deleted says it' },
  renewVerified: { value: 16, knownBy: 'service', when: 'the challenge of a renewal is good, and the CA has not issued yet' },
  installFailed: { value: 17, knownBy: 'nobody', when: 'a good certificate has no place: the agent fails before it asks' },
  installed: { value: 18, knownBy: 'device', when: 'certificate and key are there' },
  deleteFailed: { value: 19, knownBy: 'nobody', when: 'it cannot be removed: the agent tries until it can' },
  deleted: { value: 20, knownBy: 'service', when: 'it was issued, and the device, which told since, has it no more' },
  renewalRequested: { value: 21, knownBy: 'device', when: 'there is a certificate, and another was asked for' },
  requested: { value: 22, knownBy: 'nobody', when: 'the profile is on its way: the service knows nothing before the device asks' },
} as const satisfies Record<string, { readonly value: number; readonly knownBy: StateWitness; readonly when: string }>

export type GraphIssuanceState = keyof typeof issuanceStates

/** The states that this witness can know. */
export type IssuanceStateOf<Witness extends StateWitness> = {
  [State in GraphIssuanceState]: (typeof issuanceStates)[State]['knownBy'] extends Witness ? State : never
}[GraphIssuanceState]

export const issuanceFacts = {
  states: {
    id: 'status.issuance-states',
    platforms: platformNames,
    effect: 'Graph counts 23 states of a certificate, 0 to 22, for every platform alike.',
    value: Object.keys(issuanceStates),
    source: 'G-STATE certificateIssuanceStates',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>
