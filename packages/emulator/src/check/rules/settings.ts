import { type Os, parseOs, type Setting, settingFactOf, treatmentOf } from '@certfleet/platforms'
import { usualOsVersions } from '../../tenant/generate.ts'
import type { Family, IntentProfile } from '../../tenant/index.ts'
import { isManagedFor, managementOf, osVersionOf } from '../../tenant/reach.ts'
import { about } from '../shown.ts'
import type { CheckContext, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

export const profileRules: readonly ProfileRule[] = [withoutEffect]

export const deviceRules: readonly DeviceRule[] = []

/** One finding for each setting that the profile says and that a release of its devices does nothing with. What fails is a device's. */
function withoutEffect(profile: IntentProfile, context: CheckContext): readonly CheckFinding[] {
  const said = settingsSaid(profile)
  if (said.length === 0) return []
  const releases = releasesFor(profile, context)
  return said.flatMap(({ setting, words }) => {
    const without = releases.filter((os) => hasNoEffect(setting, os))
    // By the row that says so: releases that it holds for alike are told once.
    const byFact = new Map(without.map((os) => [settingFactOf(setting, os).id, os]))
    return [...byFact].map(([source, os]): CheckFinding => {
      const { effect } = settingFactOf(setting, os)
      const severity = setting === 'keyStorage' ? 'warning' : 'info'
      const message = `${words} has no effect: ${effect.charAt(0).toLowerCase()}${effect.slice(1).replace(/\.$/, '')}`
      return { id: 'setting-ignored', severity, ...about(profile), message, action: actions[setting] ?? usualAction, source }
    })
  })
}

function hasNoEffect(setting: Setting, os: Os): boolean {
  const treatment = treatmentOf(setting, os)
  return treatment === 'ignored' || treatment === 'not-offered'
}

const usualAction = 'do not count on it on this platform'
const actions: Partial<Record<Setting, string>> = {
  keyStorage: 'do not count on hardware for the key: nothing on this platform makes sure of it',
  validity: "set the lifetime in the CA's template",
  extendedKeyUsages: "have the CA's template give the extended key usages",
}

/** A setting that a profile says otherwise than every profile of its type does, in words. */
export interface SaidSetting {
  readonly setting: Setting
  readonly words: string
}

/** What the profile says for a device to follow. Members that its type lacks are among those that the import kept. */
export function settingsSaid(profile: IntentProfile): readonly SaidSetting[] {
  const { unknownMembers } = profile
  const stray = (setting: Setting, member: string, usual?: string): readonly SaidSetting[] => {
    const value = unknownMembers.get(member)
    return typeof value === 'string' && value !== usual ? [{ setting, words: `${member} ${value.slice(0, 100)}` }] : []
  }
  switch (profile.kind) {
    case 'invalid':
      return []
    case 'trusted-root': {
      const { destinationStore } = profile
      const own = destinationStore && destinationStore !== 'computer-root' ? said('destinationStore', `the store ${destinationStore}`) : []
      return [...own, ...stray('destinationStore', 'destinationStore', 'computerCertStoreRoot')]
    }
    case 'pkcs':
    case 'imported-pfx':
      return [...keyStorageSaid(profile), ...stray('keyStorage', 'keyStorageProvider', 'useSoftwareKsp')]
    case 'scep':
      return [
        ...keyStorageSaid(profile),
        ...stray('keyStorage', 'keyStorageProvider', 'useSoftwareKsp'),
        ...(profile.hash ? said('hash', `the hash ${profile.hash}`) : stray('hash', 'hashAlgorithm')),
        ...(profile.extendedKeyUsages.length > 0
          ? said('extendedKeyUsages', `extended key usage ${profile.extendedKeyUsages.join(', ')}`)
          : []),
        ...(isUsual(profile.validity) ? [] : said('validity', `a lifetime of ${profile.validity.value} ${profile.validity.scale}`)),
        ...(profile.scepUrls.length > 1 ? said('severalUrls', `all but one of ${profile.scepUrls.length} SCEP URLs`) : []),
      ]
  }
}

const said = (setting: Setting, words: string): readonly SaidSetting[] => [{ setting, words }]

function keyStorageSaid({ keyStorage }: Pick<Extract<IntentProfile, { kind: 'scep' }>, 'keyStorage'>): readonly SaidSetting[] {
  return keyStorage === 'useSoftwareKsp' ? [] : said('keyStorage', `keyStorageProvider ${keyStorage}`)
}

/** What the portal puts in. */
const isUsual = ({ value, scale }: { value: number; scale: string }): boolean => value === 1 && scale === 'years'

const kept = new WeakMap<CheckContext, Map<Family, readonly Os[]>>()

/** The releases of all devices that profiles of that family are for; what their platform runs today where none is known. */
function releasesFor({ family, platform }: IntentProfile, context: CheckContext): readonly Os[] {
  const byFamily = kept.get(context) ?? new Map<Family, readonly Os[]>()
  kept.set(context, byFamily)
  const releases = byFamily.get(family) ?? releasesOf(family, platform, context)
  byFamily.set(family, releases)
  return releases
}

function releasesOf(family: Family, platform: IntentProfile['platform'], { tenant, overrides }: CheckContext): readonly Os[] {
  const releases = new Map<string, Os>()
  for (const device of tenant?.devices.values() ?? []) {
    if (device.platform !== platform || !isManagedFor({ family }, device)) continue
    const key = `${device.osVersion} ${device.management}`
    if (!releases.has(key)) releases.set(key, parseOs(platform, osVersionOf(device), overrides, managementOf(device)))
  }
  if (releases.size > 0) return [...releases.values()]
  return [parseOs(platform, family === 'windowsPhone81' ? 'Phone 8.1' : usualOsVersions[platform], overrides)]
}
