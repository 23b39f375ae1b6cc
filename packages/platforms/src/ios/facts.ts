import type { Fact } from '../fact.ts'

export const iosFacts = {
  order: {
    id: 'ios.scep.order',
    platforms: ['ios'],
    effect: 'GetCACert comes before GetCACaps.',
    value: 'cert-first',
    alternatives: ['caps-first'],
    source: 'ID-NDES iOS log; ID-DEL iOS log',
    confidence: 'V',
    singleLog: true,
  },
  userAgent: {
    id: 'ios.scep.user-agent',
    platforms: ['ios'],
    effect: 'The user agent is profiled over CFNetwork; the version of the latter is left out here.',
    value: 'profiled/1.0 CFNetwork',
    source: 'ID-NDES iOS log',
    confidence: 'V',
    singleLog: true,
  },
  perUse: {
    id: 'ios.certificate.per-use',
    platforms: ['ios'],
    effect:
      'Each Wi-Fi, VPN or other profile that uses a SCEP or PKCS profile brings a certificate by it: of SCEP another one each time, of PKCS the same one; that the profile brings one by itself too is taken.',
    value: 'one a use, and one',
    alternatives: [],
    source: 'M-SCEP iOS note',
    confidence: 'I',
  },
} as const satisfies Record<string, Fact>
