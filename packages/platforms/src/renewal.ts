import type { Fact } from './fact.ts'
import { systems } from './os.ts'

/** When a certificate is renewed, whatever the system. */
export const renewalFacts = {
  threshold: {
    id: 'renewal.threshold',
    platforms: systems,
    effect: 'Every system renews: once no more than this many percent of the lifetime are left, and again until it succeeds.',
    value: 'percent left',
    source: 'SEED S5, S24; M-SCEP Renewal threshold',
    confidence: 'V',
  },
  thresholdRange: {
    id: 'renewal.threshold-range',
    platforms: systems,
    effect: 'The threshold is a whole number from and to these; 0 and 100 are refused.',
    value: [1, 99],
    source: 'SEED A9; G-WIN renewalThresholdPercentage',
    confidence: 'V',
  },
  usualThreshold: {
    id: 'renewal.usual-threshold',
    platforms: systems,
    effect: 'The threshold that is recommended; it stands in where a profile cannot say one.',
    value: 20,
    source: 'M-PKCS Renewal threshold; SA-DEP Android sample',
    confidence: 'V',
  },
  checkInIntervalMs: {
    id: 'renewal.check-in-interval',
    platforms: systems,
    effect: 'A managed device that nothing wakes checks in about this often.',
    value: 8 * 3_600_000,
    source: 'M-SYNC estimated frequencies; SA-DEP Android sample',
    confidence: 'V',
  },
  newKey: {
    id: 'renewal.new-key',
    platforms: systems,
    effect: 'A renewal makes a new key, and leads to a certificate with a new serial number.',
    value: true,
    source: 'M-SCEP Renewal threshold',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>
