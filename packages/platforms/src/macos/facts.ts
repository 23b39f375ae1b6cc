import type { Fact } from '../fact.ts'

export const macosFacts = {
  order: {
    id: 'macos.scep.order',
    platforms: ['macos'],
    effect: 'GetCACert is taken to come before GetCACaps, as on iOS.',
    value: 'cert-first',
    alternatives: ['caps-first'],
    source: 'ID-NDES iOS log',
    confidence: 'I',
    singleLog: true,
  },
  pfxMacSalt: {
    id: 'macos.pfx.mac-salt',
    platforms: ['macos'],
    effect: 'A PFX whose MAC has a salt of so many octets is read; one of 16 was reported to fail.',
    value: 8,
    source: 'PFX-AND macOS',
    confidence: 'V',
  },
  userAgent: {
    id: 'macos.scep.user-agent',
    platforms: ['macos'],
    effect: 'The user agent is mdmclient over CFNetwork; the versions are left out here.',
    value: 'mdmclient CFNetwork',
    source: 'MICROMDM #436',
    confidence: 'V',
    singleLog: true,
  },
} as const satisfies Record<string, Fact>
