import type { IssuedRecord } from '../lab/index.ts'

/** `faults-and-security.md`'s nine, by what they say. */
export const invariantNames = [
  'I1 no key is orphaned',
  'I2 the old certificate stays usable until the new one is installed and verified',
  'I3 at most one enrolment of a device and profile is under way',
  'I4 at most one certificate for a challenge, and the same for a transaction sent again',
  'I5 nothing enters a store unless it is good',
  'I6 no secret is in a report or in the state',
  'I7 the state on disk is the old one or the new one',
  'I8 with the faults gone every device gets there',
  'I9 the same seed gives the same trace',
] as const
export type InvariantName = (typeof invariantNames)[number]
/** Those that one run can show; the ninth takes two. */
export type InvariantId = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8'

export interface Violation {
  /** Virtual time since the start, ms. */
  readonly atMs: number
  readonly device?: string
  /** What was found, and where. */
  readonly found: string
}

export interface InvariantResult {
  readonly name: InvariantName
  readonly violations: readonly Violation[]
}

export interface Violations {
  add(id: InvariantId, found: string, device?: string): void
  results(): readonly InvariantResult[]
  readonly count: number
}

/** More of one kind are counted by nobody: the first tell what is wrong. */
const maxKept = 100

export function collectViolations(elapsedMs: () => number, onViolation: (name: InvariantName, violation: Violation) => void): Violations {
  const byName = new Map<InvariantName, Violation[]>(invariantNames.slice(0, -1).map((name) => [name, []]))
  return {
    add(id, found, device) {
      const name = invariantNames.find((candidate) => candidate.startsWith(`${id} `)) as InvariantName
      const kept = byName.get(name) as Violation[]
      if (kept.length >= maxKept) return
      const violation = { atMs: elapsedMs(), ...(device !== undefined && { device }), found }
      kept.push(violation)
      onViolation(name, violation)
    },
    results: () => [...byName].map(([name, violations]) => ({ name, violations })),
    get count() {
      return [...byName.values()].reduce((all, { length }) => all + length, 0)
    },
  }
}

/** I9, of two runs of one seed. */
export function sameTrace(one: { readonly traceDigest: string }, other: { readonly traceDigest: string }): InvariantResult {
  const name = invariantNames[8]
  if (one.traceDigest === other.traceDigest) return { name, violations: [] }
  return { name, violations: [{ atMs: 0, found: `the second run's trace is ${other.traceDigest}` }] }
}

/**
 * I4, kept up with each certificate: what has been issued for each transaction and attempt, and every serial number. Only one that has expired
 * may be followed by another, as when a device asks the connector once more after a long sleep.
 */
export function issuanceInvariant(violations: Violations, hasExpired: (serialNumber: string) => boolean): (record: IssuedRecord) => void {
  const serials = new Set<string>()
  const byTransaction = new Map<string, string>()
  const byAttempt = new Map<string, string>()
  return ({ serialNumber, transactionId, deviceId, profileId, attemptId }) => {
    if (serials.has(serialNumber)) violations.add('I4', `serial number issued twice: ${serialNumber}`, deviceId)
    serials.add(serialNumber)
    once(
      byTransaction,
      transactionId,
      serialNumber,
      (before) => hasExpired(before) || violations.add('I4', 'two certificates for one transaction', deviceId),
    )
    if (attemptId === undefined) return
    const attempt = `${deviceId}/${profileId}/${attemptId}`
    once(
      byAttempt,
      attempt,
      serialNumber,
      (before) => hasExpired(before) || violations.add('I4', `two certificates for one attempt of ${profileId}`, deviceId),
    )
  }
}

/** What a resend could still hit: far more than a fleet has under way at once. */
const remembered = 50_000

function once(seen: Map<string, string>, key: string, serialNumber: string, onSecond: (before: string) => void): void {
  const before = seen.get(key)
  if (before !== undefined && before !== serialNumber) onSecond(before)
  seen.set(key, serialNumber)
  if (seen.size > remembered) seen.delete(seen.keys().next().value as string)
}
