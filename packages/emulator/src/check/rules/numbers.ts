import type { Principal } from '@certfleet/agent-core'
import { iosFacts } from '@certfleet/platforms'
import type { IntentProfile } from '../../tenant/index.ts'
import { resolvedNames } from '../../tenant/resolved.ts'
import { about } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

/** How many certificates a profile brings a device. */
export const profileRules: readonly ProfileRule[] = [multiplied]

export const deviceRules: readonly DeviceRule[] = [duplicates]

/** Of an imported PFX the source says nothing. */
function multiplied(profile: IntentProfile, { consumers }: CheckContext): readonly CheckFinding[] {
  if (profile.platform !== 'ios' || (profile.kind !== 'scep' && profile.kind !== 'pkcs')) return []
  const users = consumers.get(profile.id) ?? []
  if (users.length === 0) return []
  const names = users.map(({ displayName }) => `"${displayName}"`).join(', ')
  const each = `a device that gets them too holds ${users.length + 1} certificates, one for each of ${names} and one of the profile itself`
  const isScep = profile.kind === 'scep'
  return [
    {
      id: 'certificates-multiplied',
      severity: isScep && users.length > 1 ? 'warning' : 'info',
      ...about(profile),
      message: isScep
        ? `${each}; each has a key of its own, is asked for by itself and counts at the CA`
        : `${each}; they are the same certificate, which the device lists each time`,
      ...(isScep && { action: 'plan challenges, renewals and CA licences for that many' }),
      source: iosFacts.perUse.id,
    },
  ]
}

/** What a device is to get, where it is told in full. */
interface Wanted {
  readonly profile: IntentProfile
  readonly principal: Principal
  readonly rootProfileId: string
  /** All of the certificate's contents that a profile decides. */
  readonly contents: () => string
}

function duplicates(device: CheckedDevice): readonly CheckFinding[] {
  const wanted = wantedOf(device)
  // Nearly all devices end here: contents are dear, and alone nothing is a duplicate.
  const candidates = groupsOf(wanted, ({ principal, rootProfileId }) => `${principal} ${rootProfileId}`)
  return candidates.flatMap((group) => groupsOf(group, ({ contents }) => contents())).map((group) => duplicate(group, device))
}

function wantedOf({ pairs, policy, subscriber }: CheckedDevice): readonly Wanted[] {
  const { scepProfiles, pfxProfiles = [] } = policy
  if (scepProfiles.length + pfxProfiles.length < 2) return []
  const delivered = new Map([...scepProfiles, ...pfxProfiles].map((profile) => [profile.id, profile]))
  return pairs.flatMap(({ profile }): Wanted[] => {
    const wire = delivered.get(profile.id)
    if (wire === undefined || (profile.kind !== 'scep' && profile.kind !== 'pkcs')) return []
    const { principal, rootProfileId } = wire
    if ('scepUrls' in wire) {
      const { subject, subjectAltNames, extendedKeyUsages, keyUsages } = wire
      return [{ profile, principal, rootProfileId, contents: () => contentsOf(subject, subjectAltNames, extendedKeyUsages, keyUsages) }]
    }
    if (profile.kind !== 'pkcs') return []
    const contents = () => {
      const { subject, subjectAltNames } = resolvedNames(profile, subscriber)
      const { extendedKeyUsages: usages, certificateTemplateName } = profile
      // Without usages the template decides: two templates are two purposes.
      return contentsOf(subject, subjectAltNames, usages.length > 0 ? usages : [certificateTemplateName], templateUsages)
    }
    return [{ profile, principal, rootProfileId, contents }]
  })
}

/** A template says what a key is for; taken for the ordinary one, which is good for both. */
const templateUsages = ['digitalSignature', 'keyEncipherment']

/** In no order: neither names nor usages have one to a verifier. One key to sign and one to decrypt are no duplicates. */
function contentsOf(
  subject: string,
  altNames: readonly { type: string; value: string }[],
  extended: readonly string[],
  usages: readonly string[],
): string {
  const names = altNames.map(({ type, value }) => `${type}=${value}`)
  return [subject, ...[names, extended, usages].map((list) => [...list].sort().join('\n'))].join('\n\n')
}

/** Those of two at least. */
function groupsOf<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return [...groups.values()].filter((group) => group.length > 1)
}

function duplicate(group: readonly Wanted[], device: CheckedDevice): CheckFinding {
  const [first, ...others] = group.map(({ profile }) => profile) as [IntentProfile, ...IntentProfile[]]
  const names = others.map(({ displayName }) => `"${displayName}"`).join(', ')
  const message = `it and ${names} bring the ${group[0]?.principal} ${group.length} certificates that differ in their keys alone: subject, alternative names, usages and root are the same, so that whoever picks one by its contents may pick any of them`
  return {
    id: 'certificates-duplicate',
    severity: 'warning',
    ...about(first, device),
    message,
    action: 'assign one of them, or let their contents differ',
    source: first.kind === 'scep' ? 'scep-profile.key-maker' : 'pfx-profile.key-maker',
  }
}
