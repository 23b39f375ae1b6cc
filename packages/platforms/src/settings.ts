import { holds, says } from './fact.ts'
import type { Os } from './os.ts'
import { settingFacts } from './setting-facts.ts'

/** The settings of Trusted, SCEP and PFX profiles. `severalUrls`: SCEP URLs beyond the first. */
export type Setting =
  | 'description'
  | 'destinationStore'
  | 'displayName'
  | 'exportable'
  | 'extendedKeyUsages'
  | 'hash'
  | 'keyBits'
  | 'keyStorage'
  | 'keyUsages'
  | 'multiFactor'
  | 'renewalThresholdPercent'
  | 'root'
  | 'scepUrl'
  | 'severalUrls'
  | 'subjectAltNames'
  | 'subjectNameFormat'
  | 'validity'

/**
 * `honoured`: takes effect. `ignored`: no effect and no error. `not-offered`: the policy has no such setting for this system, and one that says
 * it all the same has no effect. `rejected`: the profile fails.
 */
export type Treatment = 'honoured' | 'ignored' | 'not-offered' | 'rejected'

export interface SettingTreatment {
  readonly setting: Setting
  readonly treatment: Treatment
}

/** What this system does with a setting. */
export function treatmentOf(setting: Setting, os: Os): Treatment {
  return says(settingFactOf(setting, os), os).treatment
}

/** The row that says so. */
export function settingFactOf(setting: Setting, os: Os): (typeof settingFacts)[number] {
  const fact = settingFacts.find((candidate) => candidate.value.setting === setting && holds(candidate, os))
  if (fact === undefined) throw new Error(`no fact says what ${os.system} does with ${setting}`)
  return fact
}
