import { isDeepStrictEqual } from 'node:util'
import type { Import, IntentProfile } from '../tenant/index.ts'
import { idFromName } from '../tenant/profile.ts'

/** One profile in both exports. */
export interface MatchedProfile {
  readonly before: IntentProfile
  readonly after: IntentProfile
  /** It has the name and type of the old one and an id of its own: to devices it is another profile. */
  readonly isCopy: boolean
}

export interface ProfileMatch {
  /** In the order of the newer export. */
  readonly matched: readonly MatchedProfile[]
  readonly removed: readonly IntentProfile[]
  readonly added: readonly IntentProfile[]
}

/** By id, else by a display name and type that are unique in both: some exports keep no ids. */
export function matchProfiles(before: Import, after: Import): ProfileMatch {
  const [oldById, newById] = [before, after].map(byId) as [ById, ById]
  const [oldByName, newByName] = [before, after].map(byUniqueName) as [ByName, ByName]
  const partnerOf = (profile: IntentProfile): IntentProfile | undefined => {
    const same = oldById.get(profile.id)
    if (same) return same
    const namesake = newByName.get(nameOf(profile)) && oldByName.get(nameOf(profile))
    return namesake && !newById.has(namesake.id) ? namesake : undefined
  }
  const matched: MatchedProfile[] = []
  const added: IntentProfile[] = []
  for (const profile of after.profiles) {
    const partner = partnerOf(profile)
    if (partner) matched.push({ before: partner, after: profile, isCopy: isCopy(partner, profile) })
    else added.push(profile)
  }
  const kept = new Set(matched.map((match) => match.before))
  return { matched, added, removed: before.profiles.filter((profile) => !kept.has(profile)) }
}

type ById = ReadonlyMap<string, IntentProfile>
type ByName = ReadonlyMap<string, IntentProfile | undefined>

const byId = ({ profiles }: Import): ById => new Map(profiles.map((profile) => [profile.id, profile]))

const nameOf = ({ typeName, displayName }: IntentProfile): string => `${typeName}\n${displayName}`

/** Undefined where two have it. */
function byUniqueName({ profiles }: Import): ByName {
  const named = new Map<string, IntentProfile | undefined>()
  for (const profile of profiles) named.set(nameOf(profile), named.has(nameOf(profile)) ? undefined : profile)
  return named
}

/** An id that was made for want of one says nothing. */
function isCopy(before: IntentProfile, after: IntentProfile): boolean {
  return before.id !== after.id && ![before, after].some(({ id, typeName, displayName }) => id === idFromName(typeName, displayName))
}

/** As admins know the members. What is not here is no setting, or is told by itself. */
const settings: Readonly<Record<string, string>> = {
  displayName: 'name',
  principal: 'certificate type or store',
  subjectNameFormat: 'subject name format',
  subjectTemplate: 'subject',
  subjectAltNames: 'subject alternative names',
  validity: 'validity period',
  renewalThresholdPercent: 'renewal threshold',
  keyStorage: 'key storage provider',
  keyUsages: 'key usage',
  keyBits: 'key size',
  hash: 'hash algorithm',
  extendedKeyUsages: 'extended key usages',
  scepUrls: 'SCEP server URLs',
  certificateTemplateName: 'certificate template',
  certificationAuthority: 'certification authority',
  certificationAuthorityName: 'name of the certification authority',
  intendedPurpose: 'intended purpose',
  certificate: 'certificate',
  destinationStore: 'destination store',
  message: 'what is wrong with it',
}

/** The settings in which two profiles differ, in words. */
export function changedSettings(before: IntentProfile, after: IntentProfile): readonly string[] {
  const [old, now] = [before, after] as unknown as [Record<string, unknown>, Record<string, unknown>]
  return Object.entries(settings).flatMap(([member, name]) => (isDeepStrictEqual(old[member], now[member]) ? [] : [name]))
}
