import type { ManagedKind } from '@certfleet/agent-core'
import { type FactOverrides, removalOf } from '@certfleet/platforms'
import type { IntentProfile } from '../../tenant/index.ts'
import { about } from '../shown.ts'
import { type Release, releasesFor } from '../stand-in.ts'
import type { CheckContext, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

/** What stays of a profile once it is gone. */
export const profileRules: readonly ProfileRule[] = [leaves]

export const deviceRules: readonly DeviceRule[] = []

const moments = [
  ['unassigned', 'once the profile is unassigned'],
  ['retired', 'once the device is retired'],
] as const

/** One or more releases on which the same stays. */
interface Remainder {
  readonly releases: readonly Release[]
  readonly text: string
  readonly factIds: readonly string[]
}

function leaves(profile: IntentProfile, { tenant, overrides }: CheckContext): readonly CheckFinding[] {
  if (profile.kind === 'invalid') return []
  const remainders = remaindersOf(managedKinds[profile.kind], releasesFor(profile, tenant), overrides)
  const left = remainders.filter(({ text }) => text !== '')
  if (left.length === 0) return []
  const message = left.map(({ text, releases }) => (remainders.length === 1 ? text : `${waysText(releases)}: ${text}`)).join('; ')
  const isOnDevice = message.includes('stays')
  return [
    {
      id: 'removal-leaves',
      severity: 'info',
      ...about(profile),
      message,
      action: isOnDevice
        ? 'have it removed by hand, or wipe the device, where that is too much'
        : 'revoke it at the CA, where that is too much',
      source: [...new Set(left.flatMap(({ factIds }) => factIds))].join('; '),
    },
  ]
}

export const managedKinds: Readonly<Record<Exclude<IntentProfile['kind'], 'invalid'>, ManagedKind>> = {
  'trusted-root': 'trusted-root',
  scep: 'scep',
  pkcs: 'pkcs',
  'imported-pfx': 'imported',
}

function remaindersOf(kind: ManagedKind, releases: readonly Release[], overrides: FactOverrides | undefined): readonly Remainder[] {
  const byText = new Map<string, Remainder>()
  for (const release of releases) {
    const { text, factIds } = remainderOn(kind, release, overrides)
    const same = byText.get(text)
    byText.set(text, { text, factIds: [...(same?.factIds ?? []), ...factIds], releases: [...(same?.releases ?? []), release] })
  }
  return [...byText.values()]
}

function remainderOn(kind: ManagedKind, release: Release, overrides: FactOverrides | undefined): Omit<Remainder, 'releases'> {
  const told = moments.flatMap(([event, when]) => {
    const { text, factIds } = fateOf(kind, event, release, overrides)
    return text === undefined ? [] : [{ when, text, factIds }]
  })
  const [first, second] = told
  const factIds = told.flatMap((one) => one.factIds)
  if (first === undefined) return { text: '', factIds }
  if (first.text === second?.text) return { text: `once the profile is unassigned or the device is retired, ${first.text}`, factIds }
  return { text: told.map(({ when, text }) => `${when}, ${text}`).join('; '), factIds }
}

/** What becomes of a certificate, in words; undefined where nothing is left to speak of. */
export function fateOf(
  kind: ManagedKind,
  event: Parameters<typeof removalOf>[1],
  { platform, osVersion, management }: Release,
  overrides: FactOverrides | undefined,
): { text: string | undefined; factIds: readonly string[] } {
  const { device, ca, factIds } = removalOf(kind, event, platform, osVersion, overrides, management)
  if (kind === 'trusted-root') return { text: device === 'stays' ? 'the root stays on the device, and stays trusted' : undefined, factIds }
  if (device === 'stays')
    return { text: `the certificate stays on the device, ${ca === 'revoked' ? 'revoked' : 'and stays good'}`, factIds }
  return { text: ca === 'revoked' ? undefined : 'the certificate leaves the device and is not revoked', factIds }
}

/** How devices are managed is what tells them apart, but for a platform that has one way. */
function waysText(releases: readonly Release[]): string {
  const ways = new Set(releases.map(({ platform, mode, osVersion }) => mode ?? `${platform} ${osVersion}`))
  return `on ${[...ways].join(', ')}`
}
