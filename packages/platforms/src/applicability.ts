import type { Inapplicable, ProfileType } from '@certfleet/agent-core'
import { type Fact, holds, says } from './fact.ts'
import { type FactOverrides, type Os, off, type PlatformName, parseOs } from './os.ts'

const both = ['trusted-root', 'scep'] as const

/** Which profile types a system takes, and from which version on. */
export const applicabilityFacts: readonly Fact<readonly ProfileType[]>[] = [
  {
    id: 'ios.applies',
    platforms: ['ios'],
    since: '6.0',
    effect: 'Trusted and SCEP profiles apply from iOS 6.0; the mention of iOS 5 in one list is not followed.',
    value: both,
    source: 'SEED S2, S3, A1',
    confidence: 'V',
  },
  {
    id: 'macos.applies',
    platforms: ['macos'],
    since: '10.9',
    effect: 'Trusted and SCEP profiles apply from OS X 10.9.',
    value: both,
    source: 'SEED S2, S3',
    confidence: 'V',
  },
  {
    id: 'android.applies',
    platforms: ['android'],
    since: '4.0',
    effect: 'Trusted and SCEP profiles apply from Android 4.0.',
    value: both,
    source: 'SEED S2, S3',
    confidence: 'V',
  },
  {
    id: 'windows.applies',
    platforms: ['windows'],
    since: '8.1',
    effect: 'Trusted and SCEP profiles apply from Windows 8.1.',
    value: both,
    source: 'SEED S2, S3, A3',
    confidence: 'V',
  },
  {
    id: 'windows-phone.applies',
    platforms: ['windows-phone'],
    since: '8.1',
    effect: 'Trusted and SCEP profiles apply from Windows Phone 8.1.',
    value: both,
    source: 'SEED S2, S3',
    confidence: 'V',
  },
  {
    id: 'android.pfx-applies',
    platforms: ['android'],
    since: '4.0',
    effect: 'PFX profiles apply from Android 4.0.',
    value: ['pfx'],
    source: 'SEED S4',
    confidence: 'V',
  },
  {
    id: 'windows.pfx-applies',
    platforms: ['windows', 'windows-phone'],
    since: '10',
    effect: 'PFX profiles apply from Windows 10, on desktops and phones, and not on 8.1.',
    value: ['pfx'],
    source: 'SEED S4, A4',
    confidence: 'V',
  },
  {
    id: 'apple.pfx-applies',
    platforms: ['ios', 'macos'],
    effect: 'The 2015 policy has no PFX profile for Apple systems; today there is one, and their payload has long been there.',
    value: ['pfx'],
    alternatives: [off],
    source: 'SEED S4; M-PKCS profile; A-DM com.apple.security.pkcs12',
    confidence: 'I',
  },
]

/** Whether a profile of this type can be installed at all; where it cannot, it is not applicable, which is not a failure (S12). */
export function appliesTo(type: ProfileType, platform: PlatformName, osVersion: string, overrides?: FactOverrides): boolean {
  return whyInapplicable(type, parseOs(platform, osVersion, overrides)) === undefined
}

/** The fact by which profiles of this type are not for this OS, if they are not. */
export function whyInapplicable(type: ProfileType, os: Os): Inapplicable | undefined {
  const isAbout = (fact: (typeof applicabilityFacts)[number]) => says(fact, os).includes(type)
  if (applicabilityFacts.some((fact) => isAbout(fact) && holds(fact, os))) return undefined
  const fact = applicabilityFacts.find((candidate) => isAbout(candidate) && candidate.platforms.includes(os.system))
  if (fact === undefined) throw new Error(`no fact says since when ${os.system} takes profiles of type ${type}`)
  return { factId: fact.id, reason: fact.effect }
}
