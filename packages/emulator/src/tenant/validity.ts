import type { Instant, Validity } from '@certfleet/agent-core'
import { profileFacts, says } from '@certfleet/platforms'
import type { Remark } from './remark.ts'
import type { ScepShape } from './shapes.ts'

type LifetimeShape = Pick<ScepShape, 'certificateValidityPeriodValue' | 'certificateValidityPeriodScale'>

/** The lifetime that a profile asks for. */
export function validityOf(shape: LifetimeShape): Validity {
  return { value: shape.certificateValidityPeriodValue, scale: shape.certificateValidityPeriodScale }
}

/** Months and years by the calendar. Infinity where the count is beyond what a date can hold. */
export function endOfValidity({ value, scale }: Validity, from: Instant): Instant {
  const end = new Date(from)
  if (scale === 'days') end.setUTCDate(end.getUTCDate() + value)
  else end.setUTCMonth(end.getUTCMonth() + value * (scale === 'years' ? 12 : 1))
  return Number.isNaN(end.getTime()) ? Number.POSITIVE_INFINITY : end.getTime()
}

/** The longest that a month can be, so that nothing is told of what may be within the limit. */
const monthDays = 31

/** Lifetimes that the service would not offer, or that devices may doubt. */
export function validityRemarks(shape: LifetimeShape): Remark[] {
  const { value, scale } = validityOf(shape)
  const { mostMonths, leastDays } = profileFacts
  const [most, least] = [says(mostMonths, {}), says(leastDays, {})]
  const months = { days: value / monthDays, months: value, years: value * 12 }[scale]
  const path = 'certificateValidityPeriodValue'
  if (months > most)
    return [remark('validity-long', path, `a lifetime of ${value} ${scale} is asked for, and ${most} months are the most`, mostMonths)]
  if (scale === 'days' && value < least)
    return [remark('validity-short', path, `a lifetime of fewer than ${least} days is asked for; devices may refuse it`, leastDays)]
  return []
}

function remark(id: 'validity-long' | 'validity-short', path: string, message: string, fact: { readonly source: string }): Remark {
  return { id, severity: 'warning', path, message, action: 'choose another lifetime', source: fact.source.split(' ')[0] as string }
}
