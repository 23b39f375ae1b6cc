import type { Instant } from '@certfleet/agent-core'
import { treatmentOf } from '@certfleet/platforms'
import { type AuthorityFacts, endOfValidity, type IntentProfile, type PkcsIntent, type ScepIntent } from '../tenant/index.ts'
import type { CheckContext } from './types.ts'
import { usualOs } from './usual-os.ts'

/** A profile whose certificate a CA issues; an imported PFX was issued long before. */
export type IssuedProfile = ScepIntent | PkcsIntent

export function isIssued(profile: IntentProfile): profile is IssuedProfile {
  return profile.kind === 'scep' || profile.kind === 'pkcs'
}

/**
 * The CAs of the tenant file that issue for a profile, in its order: those with one of its SCEP URLs, or with its template. Templates are the
 * same in upper and lower case.
 */
export function authoritiesOf(profile: IssuedProfile, { tenant }: CheckContext): readonly AuthorityFacts[] {
  const all = tenant?.authorities
  if (all === undefined) return []
  const index = indexes.get(all) ?? indexOf(all)
  indexes.set(all, index)
  if (profile.kind === 'pkcs') return index.get(templateKey(profile.certificateTemplateName)) ?? []
  const found = new Set(profile.scepUrls.flatMap((url) => index.get(urlKey(url)) ?? []))
  return found.size < 2 ? [...found] : all.filter((authority) => found.has(authority))
}

type Index = ReadonlyMap<string, readonly AuthorityFacts[]>

/** A URL costs more to read than a rule may. */
const indexes = new WeakMap<readonly AuthorityFacts[], Index>()

function indexOf(authorities: readonly AuthorityFacts[]): Index {
  const index = new Map<string, AuthorityFacts[]>()
  for (const authority of authorities) {
    const { scepUrls, templateName } = authority
    for (const key of [...scepUrls.map(urlKey), ...(templateName === undefined ? [] : [templateKey(templateName)])]) {
      const known = index.get(key)
      if (known) known.push(authority)
      else index.set(key, [authority])
    }
  }
  return index
}

const templateKey = (name: string): string => `template ${name.toLowerCase()}`

/** Host and scheme are the same in upper and lower case, and so is a port that goes without saying. */
function urlKey(url: string): string {
  return `url ${URL.canParse(url) ? new URL(url).href : url}`
}

/** When a certificate that is issued now ends by what the profile asks for and the template gives, whenever the CA itself ends (S34, S50, S51). */
export function endByTemplate(profile: IssuedProfile, { validity }: Partial<AuthorityFacts>, context: CheckContext): Instant {
  const asked = endOfValidity(profile.validity, context.now)
  if (validity === undefined) return asked
  const given = endOfValidity(validity, context.now)
  return isLifetimeAsked(profile, context) ? Math.min(asked, given) : given
}

/** Where the OS cannot ask for a lifetime, the template alone decides. */
export function isLifetimeAsked(profile: IssuedProfile, { overrides }: CheckContext): boolean {
  return treatmentOf('validity', usualOs(profile, overrides)) === 'honoured'
}
