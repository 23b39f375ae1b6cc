import type { IdentityFacts, Instant, ScepProfile } from '../types.ts'
import type { Reason } from './plan.ts'
import { renewAt } from './schedule.ts'

export interface Finding {
  readonly kind: 'enroll' | 'renew'
  readonly reason: Reason
}

type Rule = (identity: IdentityFacts, profile: ScepProfile, now: Instant) => Finding | undefined

const when = (condition: boolean, reason: Reason): Finding | undefined => (condition ? { kind: 'enroll', reason } : undefined)

/** Lists and objects of the policy are small and come from one parser, so that equal values are written alike. */
const differ = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b)

const renewalDue: Rule = (identity, profile, now) =>
  now < renewAt(identity, profile.renewalThresholdPercent) ? undefined : { kind: 'renew', reason: 'RenewalDue' }

/**
 * Why an installed identity does not do. The first rule with a finding decides, so that this list is the specification.
 * `Expired` stands before `RenewalDue`: an expired certificate cannot vouch for its successor.
 * The edits in between are those that force a new request (CM-CP).
 */
const rules: readonly Rule[] = [
  (identity) => when(!identity.keyUsable, 'PrivateKeyUnusable'),
  (identity, { request }) => when(identity.requested.keyStorage !== request.keyStorage, 'KeyStorageChanged'),
  (identity, { request }) => when(differ(identity.requested.keySpec, request.keySpec), 'KeySpecChanged'),
  (identity, { request }) => when(identity.requested.subject !== request.subject, 'SubjectChanged'),
  (identity, { request }) => when(differ(identity.requested.subjectAltNames, request.subjectAltNames), 'SubjectAltNamesChanged'),
  (identity, { request }) => when(differ(identity.requested.keyUsages, request.keyUsages), 'KeyUsageChanged'),
  (identity, { request }) => when(differ(identity.requested.extendedKeyUsages, request.extendedKeyUsages), 'EkuChanged'),
  (identity, { request }) => when(differ(identity.requested.validity, request.validity), 'ValidityChanged'),
  (identity, { request }) => when(identity.requested.rootFingerprint !== request.rootFingerprint, 'RootChanged'),
  (identity, _profile, now) => when(now >= identity.notAfter, 'Expired'),
  renewalDue,
]

/** What is to be done about an installed identity, if anything. */
export function judgeIdentity(identity: IdentityFacts, profile: ScepProfile, now: Instant): Finding | undefined {
  for (const rule of rules) {
    const finding = rule(identity, profile, now)
    if (finding) return finding
  }
  return undefined
}

/** An attempt that was begun for another request is of no use to the profile as it stands. */
export function isSameRequest(a: ScepProfile['request'], b: ScepProfile['request']): boolean {
  return !differ(a, b)
}
