import { type Instant, jitterShareOfWindow, type ManagedKind, renewAt, renewalWindowMs } from '@certfleet/agent-core'
import { caFacts, holds, type LifecycleEvent, removalFacts, removalOf, renewalFacts, says, treatmentOf } from '@certfleet/platforms'
import { endOfValidity, type IntentProfile, managementOf, osVersionOf } from '../tenant/index.ts'
import { authorityOf } from './explain-issuance.ts'
import { type ExplainedStep, stops, told, type Walk } from './explain-walk.ts'
import { dayText } from './words.ts'

/** When a certificate that is issued now is renewed, by whom, and what if that fails. */
export function renewal(walk: Walk): readonly ExplainedStep[] {
  const { profile } = walk
  const source = renewalFacts.threshold.id
  if (profile.kind === 'imported-pfx') {
    const left = `${profile.renewalThresholdPercent} % of its lifetime are left`
    return [told('renewal', `fetched again once ${left}; there is a newer certificate only where one was imported`, source)]
  }
  if (profile.kind !== 'scep' && profile.kind !== 'pkcs') return []
  const { now } = walk.context
  const { notAfter, why } = lifetimeOf(profile, walk)
  if (notAfter <= now)
    return [stops('issuance', `nothing good can be issued any more: ${why} was on ${dayText(notAfter)}`, caFacts.longest.id)]
  const percent = profile.renewalThresholdPercent
  const dueAt = renewAt({ notBefore: now, notAfter, renewalJitterMs: 0 }, percent)
  const spreadDays = Math.floor((renewalWindowMs({ notBefore: now, notAfter }, percent) * jitterShareOfWindow) / dayMs)
  const spread = spreadDays > 0 ? `, spread over ${spreadDays} ${spreadDays === 1 ? 'day' : 'days'}` : ''
  const dates = `issued today it ends on ${dayText(notAfter)} (${why}), and is due from ${dayText(dueAt)} on (${percent} %)${spread}`
  return [told('renewal', dates, source), ...(profile.kind === 'scep' ? begun(walk) : [fetched])]
}

const dayMs = 86_400_000

/** The least of what is asked for and what the CA gives. */
function lifetimeOf(
  profile: Extract<IntentProfile, { validity: unknown }>,
  { context: { now }, tenant, device: { os } }: Walk,
): { notAfter: Instant; why: string } {
  const { validity, expiresAt } = authorityOf(profile, tenant) ?? {}
  const isAsked = profile.kind === 'pkcs' || treatmentOf('validity', os) === 'honoured'
  const ends = [
    ...(isAsked ? [{ notAfter: endOfValidity(profile.validity, now), why: 'the lifetime that the profile asks for' }] : []),
    ...(validity ? [{ notAfter: endOfValidity(validity, now), why: 'the longest that the template gives' }] : []),
    ...(expiresAt === undefined ? [] : [{ notAfter: expiresAt, why: "the CA's own end" }]),
  ].filter(({ notAfter }) => Number.isFinite(notAfter))
  const [
    first = { notAfter: endOfValidity(profile.validity, now), why: 'if the template gives what the profile says, which it decides alone' },
  ] = ends.toSorted((a, b) => a.notAfter - b.notAfter)
  return first
}

const fetched = told('renewal', 'the device fetches another then, by a timer of its own; asleep, when it wakes')

function begun({ behaviour, device: { os } }: Walk): readonly ExplainedStep[] {
  const { begunBy, onlyUnlocked, afterExpiry } = behaviour.renewal
  const prefix = os.platform === 'ios' || os.platform === 'macos' ? 'apple' : os.platform
  const who =
    begunBy === 'device'
      ? 'the device begins, by a timer of its own; asleep, when it wakes'
      : 'the service begins, at a check-in of the device after that day; a device that sleeps through is renewed at the next one'
  const locked = onlyUnlocked ? '; a device that is locked then waits' : ''
  const expired =
    afterExpiry === 'stuck'
      ? 'one that expires before it is renewed stays, and no other is asked for until the profile was taken away and assigned again'
      : 'one that expires before it is renewed is replaced by a new request'
  return [
    told('renewal', `${who}${locked}`, `${prefix}.renewal.${onlyUnlocked ? 'unlocked' : 'begun-by'}`),
    told('renewal', expired, `${prefix}.renewal.after-expiry`),
  ]
}

const events = {
  unassigned: 'unassigned',
  edited: 'edited so that another is asked for',
  retired: 'retired',
  wiped: 'wiped',
  unenrolled: 'unenrolled by the user',
  unlicensed: 'without its licence, or its user or group deleted',
} as const satisfies Record<LifecycleEvent, string>

/** What becomes of the certificate at each event: what comes to the same is told together. */
export function removal(walk: Walk): readonly ExplainedStep[] {
  const kind = kindOf(walk.profile)
  if (kind === undefined) return []
  const byOutcome = new Map<string, LifecycleEvent[]>()
  for (const event of Object.keys(events) as LifecycleEvent[]) {
    const outcome = outcomeOf(kind, event, walk)
    byOutcome.set(outcome, [...(byOutcome.get(outcome) ?? []), event])
  }
  return [...byOutcome].map(([outcome, all]) => {
    const sources = new Set(all.flatMap((event) => removalFactsOf(kind, event, walk)))
    return told('removal', `${all.map((event) => events[event]).join('; ')}: ${outcome}`, [...sources].join('; '))
  })
}

function outcomeOf(kind: ManagedKind, event: LifecycleEvent, { context, device: { subscriber } }: Walk): string {
  const { device } = subscriber
  const row = removalOf(kind, event, device.platform, osVersionOf(device), context.overrides, managementOf(device))
  const onDevice = row.device === 'stays' ? 'stays on the device' : row.device
  return kind === 'trusted-root' ? onDevice : `${onDevice}, ${row.ca}`
}

/** The rows that say so: their ids. */
function removalFactsOf(kind: ManagedKind, event: LifecycleEvent, { device: { os } }: Walk): readonly string[] {
  const rows = removalFacts.filter((fact) => holds(fact, os))
  return rows.filter((fact) => says(fact, os).kinds.includes(kind) && says(fact, os).events.includes(event)).map(({ id }) => id)
}

function kindOf({ kind }: IntentProfile): ManagedKind | undefined {
  if (kind === 'invalid') return undefined
  return kind === 'imported-pfx' ? 'imported' : kind
}
