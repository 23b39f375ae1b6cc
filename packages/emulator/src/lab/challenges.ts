import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock, HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { z } from 'zod'
import type { Audit } from './audit.ts'
import { expectedRequests } from './expected-requests.ts'
import { empty, json, readBody } from './http.ts'
import type { PolicyFor } from './policies.ts'
import type { Binding, ChallengeRecord } from './records.ts'
import type { LabStore, LabTransaction } from './store.ts'
import type { ValidationCode } from './validation.ts'

/** A challenge is good for this long (M-CFG, M-3P). */
export const challengeLifetimeMs = 60 * 60_000
/** Challenges that one device may have open at once. */
export const maxOutstanding = 64

export interface ChallengesOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly policyFor: PolicyFor
  /** Makes challenges, and proves that it made them. */
  readonly secret: Uint8Array
}

export interface Challenges {
  /** POST challenge: one for the attempt that the body names, the same however often it is asked for. */
  issue(deviceId: string, request: HttpRequest): Promise<HttpResponse>
  /** What stands behind a challenge that a request brought, unless it is refused. Whether it was spent is asked when it is spent. */
  read(challenge: string): ChallengeRecord | ValidationCode
}

const id = z.string().regex(/^[^\p{Cc}]{1,256}$/u)
const bodySchema = z.object({ profileId: id, attemptId: id })

/**
 * One-time challenges, `<id>.<HMAC>`: bound to device, profile, attempt and the request that the policy in force asks for.
 * The challenge itself is stored nowhere.
 */
export function challenges(options: ChallengesOptions): Challenges {
  const { store, clock, audit, policyFor, secret } = options
  return {
    async issue(deviceId, request) {
      const body = readBody(request, bodySchema)
      if (body === undefined) return empty(400)
      const binding = { deviceId, profileId: body.profileId, attemptId: body.attemptId }
      const expected = expectedRequests(policyFor(deviceId), body.profileId)
      const now = clock.now()
      const record = { id: idOf(secret, binding), binding, expected, expiresAt: now + challengeLifetimeMs }
      const status = await store.transaction((transaction) => {
        const answer = expected.length === 0 ? 404 : enter(transaction, record, now)
        audit.add(transaction, { event: answer === 200 ? 'challenge-issued' : 'challenge-refused', deviceId, profileId: body.profileId })
        return answer
      })
      return status === 200 ? json(200, { challenge: `${record.id}.${seal(secret, record.id)}` }) : empty(status)
    },
    read(challenge) {
      const [, challengeId, mac] = /^([\w-]{22})\.([\w-]{43})$/.exec(challenge) ?? []
      if (challengeId === undefined || mac === undefined) return 'ChallengeDecodingError'
      if (!timingSafeEqual(Buffer.from(mac), Buffer.from(seal(secret, challengeId)))) return 'SignatureValidationFailed'
      const record = store.get('challenges', challengeId)
      if (record === undefined || record.expiresAt <= clock.now()) return 'ChallengeExpired'
      const { deviceId, profileId } = record.binding
      const targeted = expectedRequests(policyFor(deviceId), profileId).length > 0
      return targeted ? record : 'ScepProfileNoLongerTargetedToTheClient'
    },
  }
}

/** Marks a challenge as spent by this transaction and key; false when another one has spent it. */
export function spend(transaction: LabTransaction, challengeId: string, by: NonNullable<ChallengeRecord['spentBy']>): boolean {
  const record = transaction.get('challenges', challengeId)
  if (record === undefined) return false
  const { spentBy, binding } = record
  if (spentBy) return spentBy.transactionId === by.transactionId && spentBy.publicKeyDigest === by.publicKeyDigest
  const open = transaction.get('outstanding', binding.deviceId) ?? []
  transaction.put('challenges', challengeId, { ...record, spentBy: by })
  transaction.put(
    'outstanding',
    binding.deviceId,
    open.filter((other) => other !== challengeId),
  )
  return true
}

/** Enters an open challenge, in place of the device's expired ones; 429 when it has too many. One that was spent stays as it is. */
function enter(transaction: LabTransaction, record: ChallengeRecord, now: number): 200 | 429 {
  const { deviceId } = record.binding
  if (transaction.get('challenges', record.id)?.spentBy) return 200
  const others = (transaction.get('outstanding', deviceId) ?? []).filter((other) => other !== record.id)
  const open = others.filter((other) => (transaction.get('challenges', other)?.expiresAt ?? 0) > now)
  if (open.length >= maxOutstanding) return 429
  for (const other of others) if (!open.includes(other)) transaction.remove('challenges', other)
  transaction.put('challenges', record.id, record)
  transaction.put('outstanding', deviceId, [...open, record.id])
  return 200
}

/** The same for the same attempt, so that asking again after a crash is no second challenge. */
function idOf(secret: Uint8Array, { deviceId, profileId, attemptId }: Binding): string {
  const named = JSON.stringify(['id', deviceId, profileId, attemptId])
  return createHmac('sha256', secret).update(named).digest().subarray(0, 16).toString('base64url')
}

function seal(secret: Uint8Array, challengeId: string): string {
  return createHmac('sha256', secret)
    .update(JSON.stringify(['seal', challengeId]))
    .digest('base64url')
}
