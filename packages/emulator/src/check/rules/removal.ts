import type { ManagedKind } from '@certfleet/agent-core'
import { type FactOverrides, type LifecycleEvent, removalOf } from '@certfleet/platforms'
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
    const { text, isLeft, factIds } = fateOf(kind, event, release, overrides)
    return isLeft ? [{ when, text, factIds }] : []
  })
  const [first, second] = told
  const factIds = told.flatMap((one) => one.factIds)
  if (first === undefined) return { text: '', factIds }
  if (first.text === second?.text) return { text: `once the profile is unassigned or the device is retired, ${first.text}`, factIds }
  return { text: told.map(({ when, text }) => `${when}, ${text}`).join('; '), factIds }
}

/** What becomes of a certificate, in words. */
export interface Fate {
  readonly text: string
  /** Something stays on the device, or stays good. */
  readonly isLeft: boolean
  readonly factIds: readonly string[]
}

export function fateOf(
  kind: ManagedKind,
  event: LifecycleEvent,
  { platform, osVersion, management }: Release,
  overrides: FactOverrides | undefined,
): Fate {
  const { device, ca, factIds } = removalOf(kind, event, platform, osVersion, overrides, management)
  const [stays, isRevoked] = [device === 'stays', ca === 'revoked']
  if (kind === 'trusted-root')
    return { text: stays ? 'the root stays on the device, and stays trusted' : 'the root leaves the device', isLeft: stays, factIds }
  if (stays) return { text: `the certificate stays on the device, ${isRevoked ? 'revoked' : 'and stays good'}`, isLeft: true, factIds }
  return { text: `the certificate leaves the device and is ${isRevoked ? '' : 'not '}revoked`, isLeft: !isRevoked, factIds }
}

/** How devices are managed is what tells them apart, but for a platform that has one way. */
function waysText(releases: readonly Release[]): string {
  const ways = new Set(releases.map(({ platform, mode, osVersion }) => mode ?? `${platform} ${osVersion}`))
  return `on ${[...ways].join(', ')}`
}
