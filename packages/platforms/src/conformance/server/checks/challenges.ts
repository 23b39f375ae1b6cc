import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { type Answer, describe, isFailure, isPending, isSuccess } from '../reply.ts'
import { enrolled, requested } from '../request.ts'
import { wrongChallenge } from '../session.ts'

/** Who may have a certificate. */
export const challengeChecks: readonly ServerCheck[] = [
  {
    id: 'server.challenge.wrong',
    on: everywhere,
    given: 'a request with a challenge that the server never gave out',
    expect: 'a CertRep with FAILURE',
    source: 'RFC8894 2.4, 3.3.2; SEED S55',
    async run(session) {
      const { answer } = await requested(session, { challenge: wrongChallenge() })
      assertRefused(answer, 'a wrong challenge')
    },
  },
  {
    id: 'server.challenge.missing',
    on: everywhere,
    given: 'a request without a challenge, signed by a self-signed certificate',
    expect: 'a CertRep with FAILURE',
    source: 'RFC8894 2.4, 3.3.2; IRA ChallengePasswordMissing',
    async run(session) {
      const { answer } = await requested(session, {})
      assertRefused(answer, 'a request without a challenge')
    },
  },
  {
    id: 'server.challenge.reused',
    on: everywhere,
    given: 'the challenge of the enrolment, in a request for another key and another name',
    expect: 'a CertRep with FAILURE',
    source: 'RFC8894 2.4; ID-NDES event 29; IRA BadCertificateRequestIdInChallenge',
    async run(session) {
      const { challenge } = await enrolled(session)
      const { answer } = await requested(session, { challenge })
      const repeats = session.target.challenges?.repeats === true
      if (repeats && isSuccess(answer))
        throw new Skipped(
          'the one challenge that was given is good every time: whoever has seen it once gets a certificate. Give one-time challenges to see more',
        )
      if (repeats) session.memory.isSpent = true
      assertRefused(answer, 'a challenge that was used before')
    },
  },
]

/** A CertRep that says no: an HTTP error leaves a device to try the same again and again. */
export function assertRefused(answer: Answer, what: string): void {
  if (isPending(answer)) throw new Skipped(`the CA leaves ${what} to a person, who has to refuse it`)
  holdsTrue(!isSuccess(answer), `a certificate was issued to ${what}`)
  holdsTrue(isFailure(answer), `${what} is answered with ${describe(answer)}, expected a CertRep with FAILURE`)
}
