import type { Fact } from '../fact.ts'
import type { Installation } from '../installation.ts'

/** Exactly one row holds for iOS under a management at a version. */
export const rootTrustFacts = [
  {
    id: 'ios.trust.managed',
    platforms: ['ios'],
    management: ['managed'],
    effect: 'A root that management installs is trusted for TLS at once.',
    value: 'at-once',
    source: 'HT204477 manually installed profiles',
    confidence: 'V',
  },
  {
    id: 'ios.trust.manual',
    platforms: ['ios'],
    since: '10.3',
    management: ['unmanaged'],
    effect: 'A root of a profile that was installed by hand is not trusted for TLS until the user enables full trust for it.',
    value: 'by-user',
    source: 'HT204477 manually installed profiles',
    confidence: 'V',
  },
  {
    id: 'ios.trust.manual-before',
    platforms: ['ios'],
    until: '10.3',
    management: ['unmanaged'],
    effect: 'Before iOS 10.3 a root is taken to be trusted for TLS however it was installed.',
    value: 'at-once',
    alternatives: ['by-user'],
    source: 'HT204477 manually installed profiles',
    confidence: 'I',
  },
] as const satisfies readonly Fact<Installation['trust']>[]
