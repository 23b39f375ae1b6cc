import { type RenewalRules, renewAt, renewalWindowMs } from '@certfleet/agent-core'
import { behaviourOf, facts, holds, renewalFacts, says } from '@certfleet/platforms'
import { authoritiesOf, endByTemplate, type IssuedProfile, isIssued } from '../issuers.ts'
import { about } from '../shown.ts'
import { spanText } from '../spans.ts'
import type { CheckContext, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'
import { usualOs, usualRelease } from '../usual-os.ts'

/** How the certificate of a profile that is issued now is renewed. */
interface Renewal {
  readonly profile: IssuedProfile
  readonly context: CheckContext
  readonly rules: RenewalRules
  readonly lifetimeMs: number
  /** From its issue to the moment at which it is due. */
  readonly untilDueMs: number
  /** From that moment to its end. */
  readonly windowMs: number
  readonly checkInMs: number
}

type RenewalRule = (renewal: Renewal) => readonly CheckFinding[]

const renewsAlways: RenewalRule = (renewal) => {
  const { profile, lifetimeMs, untilDueMs, checkInMs } = renewal
  if (untilDueMs >= checkInMs) return []
  const { renewalThresholdPercent: percent } = profile
  const message = `with a threshold of ${percent} % the certificate of ${spanText(lifetimeMs)} is due for renewal ${spanText(untilDueMs)} after it was issued, and a device checks in every ${spanText(checkInMs)}: each check-in renews it`
  const action = 'choose a lower threshold or a longer lifetime'
  return [{ id: 'renews-always', severity: 'warning', ...about(profile), message, action, source: sourcesOf(renewal) }]
}

const renewsNever: RenewalRule = (renewal) => {
  const { profile, rules, windowMs, checkInMs } = renewal
  if (windowMs >= checkInMs) return []
  const [window, interval] = [spanText(windowMs), spanText(checkInMs)]
  const message =
    rules.begunBy === 'check-in'
      ? `it is renewed at a check-in in its last ${window}${unlocked(rules)}, and a device checks in every ${interval}: it can end in between${afterwards(rules)}`
      : `it is renewed in its last ${window}, less than the ${interval} between two check-ins: a device that is off for that long lets it end${afterwards(rules)}`
  const action = 'choose a higher threshold or a longer lifetime'
  return [{ id: 'renews-never', severity: 'warning', ...about(profile), message, action, source: sourcesOf(renewal, 'begun-by') }]
}

const expiredStuck: RenewalRule = (renewal) => {
  const { profile, rules, windowMs } = renewal
  if (rules.afterExpiry !== 'stuck') return []
  const when = rules.begunBy === 'check-in' ? `at a check-in in its last ${spanText(windowMs)}` : `in its last ${spanText(windowMs)}`
  const message = `it is renewed only ${when}${unlocked(rules)}; a device that misses that keeps an expired certificate, and asks for no other`
  const action = 'take the profile from such a device and assign it again; a higher threshold leaves more time'
  return [
    { id: 'expired-stuck', severity: 'info', ...about(profile), message, action, source: factIdsOf(renewal, 'after-expiry', 'unlocked') },
  ]
}

const unlocked = ({ onlyUnlocked }: RenewalRules): string => (onlyUnlocked ? ', while the device is unlocked' : '')

const afterwards = ({ afterExpiry }: RenewalRules): string =>
  afterExpiry === 'stuck' ? ', and an expired one is not replaced by itself' : ', and enrols anew'

/** The threshold, and how often devices check in where the tenant file does not say it. */
function sourcesOf(renewal: Renewal, ...more: readonly RenewalTopic[]): string {
  const interval = renewal.context.tenant?.checkInMs === undefined ? [renewalFacts.checkInIntervalMs.id] : []
  const own = factIdsOf(renewal, ...more)
  return [renewalFacts.threshold.id, ...interval, ...(own === '' ? [] : [own])].join('; ')
}

const renewalRows = facts.filter(({ id }) => id.includes('.renewal.'))

type RenewalTopic = 'begun-by' | 'after-expiry' | 'unlocked'

/** Of SCEP certificates: no row says more of others. */
function factIdsOf({ profile, context }: Renewal, ...topics: readonly RenewalTopic[]): string {
  if (profile.kind !== 'scep') return ''
  const os = usualOs(profile, context.overrides)
  const own = renewalRows.filter((fact) => topics.some((topic) => fact.id.endsWith(`.renewal.${topic}`)) && holds(fact, os))
  return own.map(({ id }) => id).join('; ')
}

/** Undefined where it is over already, or never. */
function renewalOf(profile: IssuedProfile, context: CheckContext): Renewal | undefined {
  const { now, tenant, overrides } = context
  const end = endOf(profile, context)
  if (end <= now || !Number.isFinite(end)) return undefined
  const certificate = { notBefore: now, notAfter: end, renewalJitterMs: 0 }
  return {
    profile,
    context,
    rules: rulesOf(profile, context),
    lifetimeMs: end - now,
    untilDueMs: renewAt(certificate, profile.renewalThresholdPercent) - now,
    windowMs: renewalWindowMs(certificate, profile.renewalThresholdPercent),
    checkInMs: tenant?.checkInMs ?? says(renewalFacts.checkInIntervalMs, { overrides }),
  }
}

/** By the CA that gives the least, of those that are known. */
function endOf(profile: IssuedProfile, context: CheckContext): number {
  const authorities = authoritiesOf(profile, context)
  if (authorities.length === 0) return endByTemplate(profile, {}, context)
  return Math.min(
    ...authorities.map((authority) =>
      Math.min(endByTemplate(profile, authority, context), authority.expiresAt ?? Number.POSITIVE_INFINITY),
    ),
  )
}

/** A PFX is fetched anew by whoever holds it, whatever became of the one before. */
function rulesOf(profile: IssuedProfile, { overrides }: CheckContext): RenewalRules {
  const { renewal } = behaviourOf(profile.platform, usualRelease(profile), overrides)
  return profile.kind === 'scep' ? renewal : { ...renewal, begunBy: 'device', afterExpiry: 'enroll' }
}

const renewalRules: readonly RenewalRule[] = [renewsAlways, renewsNever, expiredStuck]

export const profileRules: readonly ProfileRule[] = [
  (profile, context) => {
    const renewal = isIssued(profile) ? renewalOf(profile, context) : undefined
    return renewal ? renewalRules.flatMap((rule) => rule(renewal)) : []
  },
]

export const deviceRules: readonly DeviceRule[] = []
