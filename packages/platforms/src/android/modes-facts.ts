import type { Fact } from '../fact.ts'
import type { Installation } from '../installation.ts'

const android = ['android'] as const
const administrator = ['deviceAdministrator'] as const

/** Exactly one row holds for a management and a version. */
export const rootInstallFacts = [
  {
    id: 'android.root.prompt',
    platforms: android,
    until: '11',
    management: administrator,
    effect: 'A device administrator asks the user before a root is installed.',
    value: 'prompt',
    source: 'ID-DEL Android device administrator',
    confidence: 'V',
  },
  {
    id: 'android.root.by-hand',
    platforms: android,
    since: '11',
    management: administrator,
    effect:
      'A device administrator cannot install a root: the user does, under the name of the profile, which must be deployed all the same before SCEP goes on.',
    value: 'by-hand',
    source: 'M-TR Android 11',
    confidence: 'V',
  },
  {
    id: 'android.root.knox-silent',
    platforms: android,
    management: ['knox'],
    effect: 'On Samsung Knox a root is installed without asking the user.',
    value: 'silent',
    source: 'ID-DEL Samsung Knox; M-TR Android 11',
    confidence: 'V',
  },
  {
    id: 'android.root.silent',
    platforms: android,
    management: ['workProfile', 'deviceOwner'],
    effect: 'The device policy controller of a work profile or fully managed device installs a root without asking the user.',
    value: 'silent',
    source: 'ID-DEL Android Enterprise; M-SCEP Certificate access',
    confidence: 'V',
  },
  {
    id: 'android.root.aosp-silent',
    platforms: android,
    management: ['aosp'],
    effect: 'An AOSP device is fully managed too, and is taken to install a root without asking the user.',
    value: 'silent',
    alternatives: [],
    source: 'ID-DEL Android Enterprise',
    confidence: 'I',
  },
] as const satisfies readonly Fact<Installation['root']>[]

/** Exactly one row holds for a management. */
export const identityInstallFacts = [
  {
    id: 'android.identity.prompt',
    platforms: android,
    management: administrator,
    effect: 'The user confirms that a certificate is installed, and then that its key may be used.',
    value: 'prompt',
    source: 'ID-DEL Android device administrator; M-TR Android 11',
    confidence: 'V',
  },
  {
    id: 'android.identity.knox-silent',
    platforms: android,
    management: ['knox'],
    effect: 'On Samsung Knox a certificate is installed without asking the user.',
    value: 'silent',
    source: 'ID-DEL Samsung Knox; M-TR Android 11',
    confidence: 'V',
  },
  {
    id: 'android.identity.silent',
    platforms: android,
    management: ['workProfile', 'deviceOwner'],
    effect:
      'The device policy controller installs a certificate without asking the user; who may use the key is up to the user or the policy for each app.',
    value: 'silent',
    source: 'ID-DEL Android Enterprise; M-SCEP Certificate access',
    confidence: 'V',
  },
  {
    id: 'android.identity.aosp-silent',
    platforms: android,
    management: ['aosp'],
    effect: 'An AOSP device is fully managed too, and is taken to install a certificate without asking the user.',
    value: 'silent',
    alternatives: [],
    source: 'ID-DEL Android Enterprise',
    confidence: 'I',
  },
] as const satisfies readonly Fact<Installation['identity']>[]

export const storageFacts = {
  fullDiskPin: {
    id: 'android.storage.full-disk-pin',
    platforms: android,
    effect:
      'Storage that is encrypted as a whole needs a PIN before SCEP can provision; storage that is encrypted by file, as devices are sold from Android 10 on, does not.',
    value: true,
    source: 'M-CFG Android PIN',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>
