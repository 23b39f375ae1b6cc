import type { Fact } from './fact.ts'
import { off, systems } from './os.ts'

/** Overridden by `off`: such a profile is taken to go on. */
export const oneGroupKind = {
  id: 'android.trust.one-kind',
  platforms: ['android'],
  effect:
    'A certificate profile and its Trusted profile, and what uses the certificate, are all assigned to users or all to devices; otherwise they can stay pending. Reported of Android Enterprise, and taken for all of Android.',
  value: 'all to users or all to devices',
  alternatives: [off],
  source: 'MEMDOCS #1803',
  confidence: 'I',
} as const satisfies Fact<string>

/** How a certificate profile depends on its Trusted profile. The tenant's import and the planner keep these, whatever the system. */
export const trustFacts: readonly Fact<string>[] = [
  {
    id: 'trust.own-platform',
    platforms: systems,
    effect: 'A certificate profile names a Trusted profile of its own platform; another is refused when the profile is written.',
    value: 'refused',
    source: 'SEED S7, S8',
    confidence: 'V',
  },
  {
    id: 'trust.both-deployed',
    platforms: systems,
    effect: 'Without its Trusted profile on the device a certificate profile fails, and the device does not start the request.',
    value: 'ERR_ROOT_NOT_DEPLOYED',
    source: 'SEED S11; CM-CP root not deployed',
    confidence: 'V',
  },
  {
    id: 'trust.assignment',
    platforms: systems,
    effect:
      'A SCEP profile succeeds where it and its Trusted profile are assigned through a principal in common: user with user, device with device, and both with any.',
    value: 'a principal in common',
    source: 'SA-DEP assignment matrix',
    confidence: 'V',
  },
  {
    id: 'trust.assignment-pfx',
    platforms: systems,
    effect: 'A PFX profile is taken to need its Trusted profile by the same matrix: its own settings name none.',
    value: 'a principal in common',
    alternatives: [],
    source: 'SEED S8, A11; SA-DEP assignment matrix',
    confidence: 'I',
  },
  oneGroupKind,
  {
    id: 'trust.several-roots',
    platforms: systems,
    effect: 'Trusted profiles beside the one that a certificate profile names are installed too.',
    value: 'installed',
    source: 'SEED S22',
    confidence: 'V',
  },
  {
    id: 'applies.own-platform',
    platforms: systems,
    effect: 'A profile of another platform is not applicable to a device, which is no failure.',
    value: 'not applicable',
    source: 'SEED S12',
    confidence: 'V',
  },
]
