import type { Instant } from '@certfleet/agent-core'
import { caFacts, settingFactOf } from '@certfleet/platforms'
import { type AuthorityFacts, endOfValidity } from '../../tenant/index.ts'
import { authoritiesOf, endByTemplate, type IssuedProfile, isIssued, isLifetimeAsked } from '../issuers.ts'
import { about } from '../shown.ts'
import { dayText, validityText } from '../spans.ts'
import type { CheckContext, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'
import { usualOs } from '../usual-os.ts'

type AuthorityRule = (profile: IssuedProfile, authority: AuthorityFacts, context: CheckContext) => readonly CheckFinding[]

const validityBeyondTemplate: AuthorityRule = (profile, authority, context) => {
  const { validity } = authority
  if (validity === undefined || endOfValidity(profile.validity, context.now) <= endOfValidity(validity, context.now)) return []
  const asked = isLifetimeAsked(profile, context)
  const [wish, most] = [validityText(profile.validity), validityText(validity)]
  const template = `the template of ${nameOf(authority, context)}`
  const message = asked
    ? `a lifetime of ${wish} is asked for, and ${template} gives ${most} at most`
    : `a lifetime of ${wish} is set, for which the OS cannot ask: the certificate lives for the ${most} that ${template} gives`
  const source = asked ? caFacts.longest.id : settingFactOf('validity', usualOs(profile, context.overrides)).id
  const action = `choose a lifetime of ${most}, or have the template give more`
  return [{ id: 'validity-beyond-template', severity: 'warning', ...about(profile), message, action, source }]
}

const validityBeyondCa: AuthorityRule = (profile, authority, context) => {
  const { expiresAt } = authority
  if (expiresAt === undefined) return []
  const place = { id: 'validity-beyond-ca', ...about(profile), source: caFacts.longest.id } as const
  if (expiresAt <= context.now) {
    const message = `the certificate of ${nameOf(authority, context)} ended on ${dayText(expiresAt)}: it can issue none that is good`
    return [{ ...place, severity: 'error', message, action: 'renew the certificate of the CA, and deploy it where it is a root' }]
  }
  const end = endByTemplate(profile, authority, context)
  if (end <= expiresAt) return []
  const message = `a certificate that is issued now ends with ${nameOf(authority, context)} on ${dayText(expiresAt)}${insteadOf(end)}`
  return [{ ...place, severity: 'warning', message, action: 'renew the certificate of the CA, or choose a shorter lifetime' }]
}

/** RFC 5280 4.2.1.12: good for every purpose. */
const anyPurpose = '2.5.29.37.0'

const ekuNotInTemplate: AuthorityRule = (profile, authority, context) => {
  const given = authority.extendedKeyUsages
  if (given === undefined || given.includes(anyPurpose)) return []
  const lacking = profile.extendedKeyUsages.filter((oid) => !given.includes(oid))
  if (lacking.length === 0) return []
  const message = `the template of ${nameOf(authority, context)} does not give the extended key usage ${lacking.join(', ')}: the certificate is without it, or the request is refused`
  const source = `${settingFactOf('extendedKeyUsages', usualOs(profile, context.overrides)).id}; ${caFacts.templatePurpose.id}`
  const action = 'add it to the application policies of the template, or take it from the profile'
  return [{ id: 'eku-not-in-template', severity: 'warning', ...about(profile), message, action, source }]
}

function nameOf({ path }: AuthorityFacts, { tenant }: CheckContext): string {
  return `the CA (${tenant?.file} ${path})`
}

/** Beyond what a date can hold there is no day to name. */
function insteadOf(end: Instant): string {
  return Number.isFinite(end) ? ` instead of ${dayText(end)}` : ''
}

const authorityRules: readonly AuthorityRule[] = [validityBeyondTemplate, validityBeyondCa, ekuNotInTemplate]

export const profileRules: readonly ProfileRule[] = [
  (profile, context) => {
    if (!isIssued(profile)) return []
    return authoritiesOf(profile, context).flatMap((authority) => authorityRules.flatMap((rule) => rule(profile, authority, context)))
  },
]

export const deviceRules: readonly DeviceRule[] = []
