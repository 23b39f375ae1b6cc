import { createHmac } from 'node:crypto'
import type { Clock, HttpRequest, HttpResponse, Instant } from '@certfleet/agent-core'
import { says, validationFacts } from '@certfleet/platforms'
import { z } from 'zod'
import type { Audit } from './audit.ts'
import { type ChallengeContents, challengeSeal } from './challenge-seal.ts'
import { type Expectations, expectedRequests } from './expected-requests.ts'
import { empty, json, readBody } from './http.ts'
import { spendPassword } from './ndes/passwords.ts'
import type { Binding } from './records.ts'
import type { LabStore, LabTransaction } from './store.ts'
import type { ValidationCode } from './validation.ts'

/** A challenge is good for this long. */
export const challengeLifetimeMs = says(validationFacts.challengeMinutes, {}) * 60_000
/** Challenges that one device may have open at once. */
export const maxOutstanding = 64

/** By whom a challenge was redeemed. */
export interface ChallengeUse {
  readonly transactionId: string
  readonly publicKeyDigest: string
  /** Where another's CA issues. */
  readonly through?: 'validation-api'
}

export interface OpenChallenge {
  readonly id: string
  readonly expiresAt: Instant
}

export interface ChallengesOptions extends Expectations {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  /** What the keys come from that encrypt and sign challenges. */
  readonly secret: Uint8Array
  /** Raising it rotates the key that encrypts: challenges given out before are refused. Default 0. */
  readonly keyGeneration?: number | undefined
  /** The user of a device, whom challenges for a user's profile are bound to; undefined for a userless one. Default: nobody is asked for. */
  readonly userFor?: ((deviceId: string) => string | undefined) | undefined
}

export interface Challenges {
  /** POST challenge: one for the attempt that the body names, the same however often it is asked for at one moment. */
  issue(deviceId: string, request: HttpRequest): Promise<HttpResponse>
  /** What a challenge that a request brought says, unless it is refused. Whether it was redeemed is asked when it is redeemed. */
  read(challenge: string): ChallengeContents | ChallengeRefusal
}

export interface ChallengeRefusal {
  readonly refused: ValidationCode
  /** Where the challenge could be read. */
  readonly binding?: Binding
}

const id = z.string().regex(/^[^\p{Cc}]{1,256}$/u)
const bodySchema = z.object({ profileId: id, attemptId: id })

/**
 * One-time challenges: device, user, profile, attempt, the requests that the policy in force asks for and the time, encrypted and signed.
 * Nothing of one is stored but that its id is open, and who redeemed it; the challenge itself is in no record.
 */
export function challenges(options: ChallengesOptions): Challenges {
  const { store, clock, audit, secret } = options
  const sealing = challengeSeal(secret, options.keyGeneration ?? 0)
  return {
    async issue(deviceId, request) {
      const body = readBody(request, bodySchema)
      if (body === undefined) return empty(400)
      const { profileId } = body
      const contents = contentsFor(deviceId, body, options)
      const status = await store.transaction((transaction) => {
        const answer = contents.expected.length === 0 ? 404 : enter(transaction, contents)
        audit.add(transaction, { event: answer === 200 ? 'challenge-issued' : 'challenge-refused', deviceId, profileId })
        return answer
      })
      return status === 200 ? json(200, { challenge: sealing.seal(contents) }) : empty(status)
    },
    read(challenge) {
      const contents = sealing.open(challenge)
      if (typeof contents === 'string') return { refused: contents }
      const refused = outOfTime(contents, clock.now()) ?? noLongerBound(contents.binding, options)
      return refused ? { refused, binding: contents.binding } : contents
    },
  }
}

/** Marks a challenge as redeemed by this transaction and key; false when another one has redeemed it. */
export function spend(transaction: LabTransaction, challengeId: string, by: ChallengeUse): boolean {
  const password = spendPassword(transaction, challengeId, by)
  if (password !== undefined) return password
  const use = transaction.get('challenges', challengeId)
  if (use) return use.transactionId === by.transactionId && use.publicKeyDigest === by.publicKeyDigest && use.through === by.through
  transaction.put('challenges', challengeId, by)
  return true
}

/** Why what a challenge or a certificate was bound to does not stand any more: the device, its user, or the profile for it. */
export function noLongerBound(
  { deviceId, profileId, userId }: Binding,
  options: Pick<ChallengesOptions, 'store' | 'policyFor' | 'userFor'>,
): ValidationCode | undefined {
  if (options.store.get('registrations', deviceId) === undefined) return 'BadDeviceIdInChallenge'
  if (userId !== undefined && options.userFor?.(deviceId) !== userId) return 'BadUserIdInChallenge'
  const targeted = options.policyFor(deviceId)?.scepProfiles.some((profile) => profile.id === profileId)
  return targeted ? undefined : 'ScepProfileNoLongerTargetedToTheClient'
}

function outOfTime({ madeAt }: ChallengeContents, now: Instant): ValidationCode | undefined {
  if (madeAt > now) return 'ChallengeInvalidTimestamp'
  return now - madeAt >= challengeLifetimeMs ? 'ChallengeExpired' : undefined
}

type Asked = z.output<typeof bodySchema>

function contentsFor(deviceId: string, { profileId, attemptId }: Asked, options: ChallengesOptions): ChallengeContents {
  const { clock, secret, policyFor, userFor } = options
  const isForUser = policyFor(deviceId)?.scepProfiles.some((profile) => profile.id === profileId && profile.principal === 'user')
  const userId = isForUser ? userFor?.(deviceId) : undefined
  const named = JSON.stringify(['id', deviceId, profileId, attemptId])
  return {
    // The same for the same attempt, so that asking again after a crash is no second challenge.
    id: createHmac('sha256', secret).update(named).digest().subarray(0, 16).toString('base64url'),
    binding: { deviceId, profileId, attemptId, ...(userId !== undefined && { userId }) },
    expected: expectedRequests(deviceId, profileId, options),
    madeAt: clock.now(),
  }
}

/** Enters an open challenge, in place of the device's expired and redeemed ones; 429 when it has too many. */
function enter(transaction: LabTransaction, { id, binding, madeAt }: ChallengeContents): 200 | 429 {
  const { deviceId } = binding
  if (transaction.get('challenges', id)) return 200
  const others = (transaction.get('outstanding', deviceId) ?? []).filter((other) => other.id !== id)
  const open = others.filter((other) => other.expiresAt > madeAt && transaction.get('challenges', other.id) === undefined)
  if (open.length >= maxOutstanding) return 429
  transaction.put('outstanding', deviceId, [...open, { id, expiresAt: madeAt + challengeLifetimeMs }])
  return 200
}
