import type { AuthorityFacts, CertificateIntent, Import, Platform } from '../tenant/index.ts'
import { authoritiesOf, isIssued } from './issuers.ts'
import type { CheckContext } from './types.ts'

/** What a question lacks: in words, and whether it leaves the whole question open. */
export interface Gap {
  readonly text: string
  readonly whole: boolean
}

type Gaps = readonly Gap[]

export function certificatesIn({ profiles }: Import): readonly CertificateIntent[] {
  return profiles.filter((profile) => profile.kind === 'scep' || profile.kind === 'pkcs' || profile.kind === 'imported-pfx')
}

/** Devices that profiles could go to. `without`: what stays open where there is no tenant. */
export function deviceGaps(profiles: readonly CertificateIntent[], { tenant }: CheckContext, without: 'whole' | 'part' = 'whole'): Gaps {
  if (profiles.length === 0) return []
  const whole = without === 'whole'
  if (!tenant) return [{ text: 'who and what the profiles are for (--tenant FILE)', whole }]
  const there = new Set([...tenant.devices.values()].map(({ platform }) => platform))
  const wanted = platformsOf(profiles)
  const lacking = wanted.filter((platform) => !there.has(platform))
  if (lacking.length === 0) return []
  return [{ text: `devices of ${lacking.join(', ')} (devices in ${tenant.file})`, whole: whole && lacking.length === wanted.length }]
}

function platformsOf(profiles: readonly CertificateIntent[]): readonly Platform[] {
  return [...new Set(profiles.map(({ platform }) => platform))].sort()
}

/** Roots that certificate profiles name. */
export function linkGaps(profiles: readonly CertificateIntent[]): Gaps {
  const unlinked = profiles.filter(({ link }) => 'problem' in link)
  if (unlinked.length === 0) return []
  const text = `the Trusted profile of ${countOf(unlinked, profiles)} (links.json, or an export by --how-to-export)`
  return [{ text, whole: unlinked.length === profiles.length }]
}

/** What is known of the CAs that issue for profiles, as far as one of `members` tells it. */
export function authorityGaps(
  profiles: readonly CertificateIntent[],
  context: CheckContext,
  members: readonly (keyof AuthorityFacts)[],
): Gaps {
  const issued = profiles.filter(isIssued)
  const lacks = issued.filter((profile) => {
    const authorities = authoritiesOf(profile, context)
    return authorities.length === 0 || authorities.some((authority) => members.some((member) => authority[member] === undefined))
  })
  if (lacks.length === 0) return []
  const known = issued.some((profile) => authoritiesOf(profile, context).length > 0)
  const where = context.tenant ? `authorities in ${context.tenant.file}` : 'authorities in the file of --tenant'
  const names = members.map((member) => memberNames[member] ?? member).join(', ')
  return [{ text: `what the CA gives to ${countOf(lacks, issued)} (${where}: ${names})`, whole: !known }]
}

const memberNames: Partial<Record<keyof AuthorityFacts, string>> = { expiresAt: 'expires' }

function countOf(some: readonly unknown[], all: readonly unknown[]): string {
  const noun = all.length === 1 ? 'certificate profile' : 'certificate profiles'
  return some.length === all.length ? `${all.length} ${noun}` : `${some.length} of ${all.length} ${noun}`
}
