import type { CertificateProfile, CertificateSpec, IdentityFacts, Instant, PfxSpec, RequestSpec } from '../types.ts'
import type { Reason } from './plan.ts'
import { renewAt } from './schedule.ts'

export interface Finding {
  readonly kind: 'enroll' | 'renew'
  readonly reason: Reason
}

type Rule = (identity: IdentityFacts, profile: CertificateProfile, now: Instant) => Finding | undefined

const when = (condition: boolean, reason: Reason): Finding | undefined => (condition ? { kind: 'enroll', reason } : undefined)

/** Lists and objects of the policy are small and come from one parser, so that equal values are written alike. */
const differ = (a: unknown, b: unknown): boolean => a !== b && JSON.stringify(a) !== JSON.stringify(b)

/** One setting; undefined in the specs that have none of that name. */
const settingOf = (spec: CertificateSpec, name: keyof RequestSpec | keyof PfxSpec): unknown =>
  (spec as Partial<RequestSpec & PfxSpec>)[name]

const whenChanged =
  (name: keyof RequestSpec | keyof PfxSpec, reason: Reason): Rule =>
  ({ requested }, { request }) =>
    when(differ(settingOf(requested, name), settingOf(request, name)), reason)

const renewalDue: Rule = (identity, profile, now) =>
  now < renewAt(identity, profile.renewalThresholdPercent) ? undefined : { kind: 'renew', reason: 'RenewalDue' }

/**
 * Why an installed identity does not do. The first rule with a finding decides, so that this list is the specification.
 * `Expired` stands before `RenewalDue`: an expired certificate cannot vouch for its successor.
 * The edits in between are those that force a new request (CM-CP), and a `kind` that tells SCEP and PFX profiles apart.
 */
const rules: readonly Rule[] = [
  (identity) => when(!identity.keyUsable, 'PrivateKeyUnusable'),
  (identity) => when(identity.releasedBy !== undefined, 'ProfileReassigned'),
  whenChanged('kind', 'RequestChanged'),
  whenChanged('keyStorage', 'KeyStorageChanged'),
  whenChanged('exportable', 'KeyExportChanged'),
  whenChanged('keySpec', 'KeySpecChanged'),
  whenChanged('subject', 'SubjectChanged'),
  whenChanged('subjectAltNames', 'SubjectAltNamesChanged'),
  whenChanged('keyUsages', 'KeyUsageChanged'),
  whenChanged('extendedKeyUsages', 'EkuChanged'),
  whenChanged('validity', 'ValidityChanged'),
  whenChanged('certificateRevision', 'CertificateChanged'),
  whenChanged('rootFingerprint', 'RootChanged'),
  (identity, _profile, now) => when(now >= identity.notAfter, 'Expired'),
  renewalDue,
]

/** What is to be done about an installed identity, if anything. */
export function judgeIdentity(identity: IdentityFacts, profile: CertificateProfile, now: Instant): Finding | undefined {
  for (const rule of rules) {
    const finding = rule(identity, profile, now)
    if (finding) return finding
  }
  return undefined
}

/** An attempt that was begun for another request is of no use to the profile as it stands. */
export function isSameRequest(a: CertificateSpec, b: CertificateSpec): boolean {
  return !differ(a, b)
}
