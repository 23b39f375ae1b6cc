import { type Fact, holds, says } from './fact.ts'
import type { Os } from './os.ts'

/** Settings that not every system treats alike. */
export type Setting = 'destinationStore' | 'keyStorage' | 'subjectNameFormat' | 'validity' | 'hash' | 'extendedKeyUsages' | 'exportable'

/** `honoured`: takes effect. `ignored`: no effect and no error. `not-offered`: the policy has no such setting for this system. */
export type Treatment = 'honoured' | 'ignored' | 'not-offered'

export interface SettingTreatment {
  readonly setting: Setting
  readonly treatment: Treatment
}

/** What each system does with a setting. Exactly one row holds for a setting and a system. */
export const settingFacts: readonly Fact<SettingTreatment>[] = [
  {
    id: 'destination-store.honoured',
    platforms: ['windows'],
    effect: "A Trusted profile's certificate goes to the store that the profile names.",
    value: { setting: 'destinationStore', treatment: 'honoured' },
    source: 'SEED S20',
    confidence: 'V',
  },
  {
    id: 'destination-store.ignored',
    platforms: ['ios', 'macos', 'android', 'windows-phone'],
    effect: "There is one store only, so a Trusted profile's destination has no effect and raises no error.",
    value: { setting: 'destinationStore', treatment: 'ignored' },
    source: 'SEED S21',
    confidence: 'V',
  },
  {
    id: 'key-storage.honoured',
    platforms: ['windows', 'windows-phone'],
    effect: 'The key storage provider option decides where the private key is made.',
    value: { setting: 'keyStorage', treatment: 'honoured' },
    source: 'SEED S25, S26, S29',
    confidence: 'V',
  },
  {
    id: 'key-storage.android-ignored',
    platforms: ['android'],
    effect:
      'The 2015 policy lists the key storage provider option for Android too; today it is for Windows only, so it is accepted and ignored.',
    value: { setting: 'keyStorage', treatment: 'ignored' },
    source: 'SEED A5; M-SCEP Key storage provider',
    confidence: 'I',
  },
  {
    id: 'key-storage.apple-ignored',
    platforms: ['ios', 'macos'],
    effect: 'No list offers the key storage provider option for Apple systems, so it is ignored.',
    value: { setting: 'keyStorage', treatment: 'ignored' },
    source: 'SEED A7; M-SCEP Key storage provider',
    confidence: 'V',
  },
  {
    id: 'subject-format.honoured',
    platforms: ['android', 'windows', 'windows-phone'],
    effect: 'The subject is the common name, or the common name and the email address of a user.',
    value: { setting: 'subjectNameFormat', treatment: 'honoured' },
    source: 'SEED S32',
    confidence: 'V',
  },
  {
    id: 'subject-format.apple-not-offered',
    platforms: ['ios', 'macos'],
    effect: 'The 2015 policy has no choice of subject format; a subject that a policy does carry is used as it stands.',
    value: { setting: 'subjectNameFormat', treatment: 'not-offered' },
    source: 'SEED S32, A6',
    confidence: 'V',
  },
  {
    id: 'validity.requested',
    platforms: ['android', 'windows', 'windows-phone'],
    effect: 'The certificate lives as long as the profile asks, if the CA allows requested end dates.',
    value: { setting: 'validity', treatment: 'honoured' },
    source: 'SEED S34, S50',
    confidence: 'V',
  },
  {
    id: 'validity.apple-template',
    platforms: ['ios', 'macos'],
    effect: "The certificate always lives as long as the CA's template says, because the SCEP payload cannot ask for anything else.",
    value: { setting: 'validity', treatment: 'ignored' },
    source: 'SEED S51; A-DM com.apple.security.scep',
    confidence: 'V',
  },
  {
    id: 'hash.honoured',
    platforms: ['android', 'windows', 'windows-phone'],
    effect: 'Requests are signed with the hash that the profile names.',
    value: { setting: 'hash', treatment: 'honoured' },
    source: 'SEED S38',
    confidence: 'V',
  },
  {
    id: 'hash.apple-negotiated',
    platforms: ['ios', 'macos'],
    effect: 'There is no hash setting; the strongest hash in GetCACaps is used.',
    value: { setting: 'hash', treatment: 'not-offered' },
    source: 'SEED S38, A10; ID-NDES PKIOperation',
    confidence: 'I',
    singleLog: true,
  },
  {
    id: 'extended-key-usage.honoured',
    platforms: ['android', 'windows', 'windows-phone'],
    effect: 'The policy carries the extended key usages to the device.',
    value: { setting: 'extendedKeyUsages', treatment: 'honoured' },
    source: 'SEED S39; W-DDF Install/EKUMapping; SA-DEP Android sample',
    confidence: 'V',
  },
  {
    id: 'extended-key-usage.apple-ignored',
    platforms: ['ios', 'macos'],
    effect:
      'The SCEP payload cannot carry extended key usages; the challenge check and the CA decide them, and a changed list still asks for a new certificate.',
    value: { setting: 'extendedKeyUsages', treatment: 'ignored' },
    source: 'A-DM com.apple.security.scep; CM-CP edits',
    confidence: 'I',
  },
  {
    id: 'exportable.honoured',
    platforms: ['windows', 'windows-phone'],
    effect: 'The key of a PFX can be exported again where the profile says so.',
    value: { setting: 'exportable', treatment: 'honoured' },
    source: 'W-CCI PFXCertInstall PFXKeyExportable',
    confidence: 'V',
  },
  {
    id: 'exportable.macos',
    platforms: ['macos'],
    effect:
      'The key of a PFX can be extracted where the profile says so; the payload knows that from macOS 10.15 on, and older ones are taken alike.',
    value: { setting: 'exportable', treatment: 'honoured' },
    source: 'A-DM com.apple.security.pkcs12 KeyIsExtractable',
    confidence: 'I',
  },
  {
    id: 'exportable.ios-not-offered',
    platforms: ['ios'],
    effect: 'The payload with a PFX cannot say whether its key may leave; it does not.',
    value: { setting: 'exportable', treatment: 'not-offered' },
    source: 'A-DM com.apple.security.pkcs12 KeyIsExtractable; M-PKCS private key',
    confidence: 'V',
  },
  {
    id: 'exportable.android-ignored',
    platforms: ['android'],
    effect: 'The key of a PFX is marked as not exportable, whatever a policy says.',
    value: { setting: 'exportable', treatment: 'ignored' },
    source: 'M-PKCS private key',
    confidence: 'V',
  },
]

/** What this system does with a setting. */
export function treatmentOf(setting: Setting, os: Os): Treatment {
  const fact = settingFacts.find((candidate) => candidate.value.setting === setting && holds(candidate, os))
  if (fact === undefined) throw new Error(`no fact says what ${os.system} does with ${setting}`)
  return says(fact, os).treatment
}
