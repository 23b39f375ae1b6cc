import { type Check, holdsTrue, same } from '../check.ts'
import type { CheckContext, DeviceWishes } from '../context.ts'
import { assigned, enrolled, installed, ordinaryPolicy, policyWith, statusOf } from '../documents.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const
const hourMs = 3_600_000

/** A device whose request is refused with this word of Microsoft's; nothing is issued, and nothing is installed. */
async function refusedAs(context: CheckContext, code: string, wishes: DeviceWishes): Promise<void> {
  const device = await assigned(context, wishes)
  const status = statusOf(await device.checkIn())
  same([status.state, status.code], ['issueFailed', 'ERR_ENROLLMENT_REJECTED'], 'the profile')
  same(device.session.refusals?.().at(-1), code, 'why the request was refused')
  same(device.session.issued?.().length, 0, 'certificates issued')
}

/** Requests that a server must not take, and what the device makes of its no. */
export const refusalChecks: readonly Check[] = [
  {
    id: 'refusals.challenge.wrong',
    on: usual,
    given: 'a challenge that the service did not give out',
    expect: 'no certificate; the profile has failed',
    source: 'IRA validateRequest; M-CFG',
    facts: ['challenge.checks', 'validation.only-success'],
    needs: ['issued', 'refusals'],
    run: (context) => refusedAs(context, 'SignatureValidationFailed', { challenge: async (_, { wrongChallenge }) => wrongChallenge }),
  },
  {
    id: 'refusals.challenge.missing',
    on: usual,
    given: 'a request without a challenge',
    expect: 'no certificate; the profile has failed',
    source: 'IRA validateRequest',
    needs: ['issued', 'refusals'],
    run: (context) => refusedAs(context, 'ChallengePasswordMissing', { challenge: async () => undefined }),
  },
  {
    id: 'refusals.challenge.expired',
    on: usual,
    given: 'a challenge that is an hour old',
    expect: 'ChallengeExpired, and no certificate; with a new policy the device tries again with a new challenge',
    source: 'M-CFG challenge; IRA ChallengeExpired',
    facts: ['challenge.minutes', 'challenge.checks'],
    needs: ['advance', 'issued', 'refusals'],
    async run(context) {
      let isSlow = true
      const device = await assigned(context, {
        async challenge(given) {
          const challenge = await given()
          if (isSlow) await device.session.advance?.(hourMs)
          return challenge
        },
      })
      same(statusOf(await device.checkIn()).code, 'ERR_ENROLLMENT_REJECTED', 'the profile fails with')
      same([device.session.refusals?.().at(-1), device.session.issued?.().length], ['ChallengeExpired', 0], 'refusal and certificates')
      isSlow = false
      await device.assign({ ...ordinaryPolicy(device, { scep: { renewalThresholdPercent: 21 } }), revision: 2 })
      await device.checkIn()
      await installed(device)
      same(device.challengesAsked(), 2, 'challenges asked for')
    },
  },
  {
    id: 'refusals.challenge.fresh',
    on: usual,
    given: 'a challenge that is just less than an hour old',
    expect: 'the certificate is issued',
    source: 'M-CFG challenge',
    facts: ['challenge.minutes'],
    needs: ['advance'],
    async run(context) {
      const device = await assigned(context, {
        async challenge(given) {
          const challenge = await given()
          await device.session.advance?.(hourMs - 1)
          return challenge
        },
      })
      same(statusOf(await device.checkIn()).state, 'installed', 'the profile')
    },
  },
  {
    id: 'refusals.challenge.reused',
    on: usual,
    given: 'the challenge of an enrolment, used for another',
    expect: 'no second certificate',
    source: 'M-CFG challenge; IRA BadCertificateRequestIdInChallenge',
    needs: ['issued', 'refusals'],
    async run(context) {
      let first: string | undefined
      const { device } = await enrolled(context, {
        async challenge(given) {
          first ??= await given()
          return first
        },
      })
      await device.identities.remove('device/wifi')
      same(statusOf(await device.checkIn()).code, 'ERR_ENROLLMENT_REJECTED', 'the profile fails with')
      same(device.session.refusals?.().at(-1), 'BadCertificateRequestIdInChallenge', 'why the request was refused')
      same(device.session.issued?.().length, 1, 'certificates issued')
    },
  },
  {
    id: 'refusals.unassigned',
    on: usual,
    given: 'a profile that is taken away between the challenge and the request',
    expect: 'ScepProfileNoLongerTargetedToTheClient, and no certificate',
    source: 'M-CFG challenge; IRA ScepProfileNoLongerTargetedToTheClient',
    facts: ['challenge.checks'],
    needs: ['issued', 'refusals'],
    run: (context) =>
      refusedAs(context, 'ScepProfileNoLongerTargetedToTheClient', {
        async challenge(given, session) {
          const challenge = await given()
          await session.assign(policyWith({ revision: 2 }))
          return challenge
        },
      }),
  },
  {
    id: 'refusals.challenge.opaque',
    on: usual,
    given: 'a challenge',
    expect: 'it tells the device neither for whom it is nor for what',
    source: 'M-CFG challenge; ID-LIB challenge',
    facts: ['challenge.opaque'],
    async run(context) {
      let given = ''
      const device = await assigned(context, {
        async challenge(ask) {
          given = (await ask()) ?? ''
          return given
        },
      })
      await device.checkIn()
      const readable = `${given} ${Buffer.from(given, 'base64').toString('latin1')}`
      holdsTrue(given !== '', 'no challenge was given')
      for (const word of ['device-1', 'wifi', 'Example']) holdsTrue(!readable.includes(word), `the challenge tells ${word}`)
    },
  },
  {
    id: 'refusals.subject-altered',
    on: usual,
    given: 'a CSR whose subject is not what the challenge was given for',
    expect: 'SubjectNameMismatch, and no certificate; with the right subject the device tries again with a new challenge',
    source: 'M-CFG challenge; IRA SubjectNameMismatch',
    facts: ['challenge.checks'],
    needs: ['issued', 'refusals'],
    async run(context) {
      const device = await assigned(context, { scep: { subject: 'CN=somebody-else,O=Example' } })
      // Only the service hears of it.
      await device.session.assign(ordinaryPolicy(device))
      same(statusOf(await device.checkIn()).code, 'ERR_ENROLLMENT_REJECTED', 'the profile fails with')
      same([device.session.refusals?.().at(-1), device.session.issued?.().length], ['SubjectNameMismatch', 0], 'refusal and certificates')
      await device.assign({ ...ordinaryPolicy(device), revision: 3 })
      await device.checkIn()
      await installed(device)
      same(device.challengesAsked(), 2, 'challenges asked for')
    },
  },
  {
    id: 'refusals.not-asked-again',
    on: usual,
    given: 'a refusal, and an hour later a check-in under the same policy',
    expect: 'the device does not ask again: what was refused was refused',
    source: 'M-SCEP; RFC8894 3.2.1.3',
    needs: ['advance'],
    async run(context) {
      const device = await assigned(context, { challenge: async (_, { wrongChallenge }) => wrongChallenge })
      await device.checkIn()
      const before = device.exchanges.length
      await device.session.advance?.(hourMs)
      await device.checkIn()
      holdsTrue(before > 0, 'the device did not ask at all')
      same(device.exchanges.length, before, 'calls')
    },
  },
]
