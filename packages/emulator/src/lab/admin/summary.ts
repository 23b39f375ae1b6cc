import type { Instant } from '@certfleet/agent-core'
import type { GraphObject } from './answers.ts'
import { type CertificateRow, expiresWithin, hasFailed } from './certificate-rows.ts'

const dayMs = 86_400_000
export const defaultExpiringDays = 30
export const maxDays = 36_500
/** Of the devices that share a failure. */
const maxNamed = 10

export interface SummaryFacts {
  /** How many registered. */
  readonly devices: number
  readonly now: Instant
  readonly days: number
  nameOf(profileId: string): string | undefined
}

/** The state of the whole roll-out in one object: counts, what expires soon, failures by code, and each profile. */
export function summaryOf(rows: readonly CertificateRow[], facts: SummaryFacts): GraphObject {
  const { devices, days } = facts
  return { devices, expiringWithinDays: days, ...counts(rows, facts), failedByCode: byCode(rows), byProfile: byProfile(rows, facts) }
}

function counts(rows: readonly CertificateRow[], { now, days }: SummaryFacts): GraphObject {
  const count = (is: (row: CertificateRow) => boolean) => rows.filter(is).length
  return {
    installed: count(({ state }) => state === 'installed' || state === 'renewalRequested'),
    pending: count(({ state }) => state === 'issuePending'),
    failed: count(hasFailed),
    expiringSoon: count((row) => expiresWithin(row, now, days * dayMs)),
    expired: count(({ notAfter, state }) => notAfter !== undefined && notAfter <= now && state !== 'deleted'),
    revoked: count(({ isRevoked }) => isRevoked),
  }
}

/** Most frequent first. */
function byCode(rows: readonly CertificateRow[]): GraphObject[] {
  const failed = new Map<string, CertificateRow[]>()
  for (const row of rows.filter(hasFailed)) {
    const code = row.code ?? row.state
    const known = failed.get(code)
    if (known) known.push(row)
    else failed.set(code, [row])
  }
  return [...failed]
    .map(([code, all]) => ({ code, count: all.length, devices: all.slice(0, maxNamed).map(({ deviceId }) => deviceId) }))
    .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1))
}

function byProfile(rows: readonly CertificateRow[], facts: SummaryFacts): GraphObject[] {
  const profiles = new Map<string, CertificateRow[]>()
  for (const row of rows) {
    const known = profiles.get(row.profileId)
    if (known) known.push(row)
    else profiles.set(row.profileId, [row])
  }
  return [...profiles]
    .map(([profileId, all]) => ({
      profileId,
      displayName: facts.nameOf(profileId) ?? all.find(({ displayName }) => displayName !== undefined)?.displayName ?? null,
      devices: all.length,
      ...counts(all, facts),
    }))
    .sort((a, b) => (a.profileId < b.profileId ? -1 : 1))
}
