import type { KeySpec } from '@certfleet/agent-core'
import { type Fact, holds, says } from './fact.ts'
import { type Os, systems } from './os.ts'
import { refuse } from './refusals.ts'

/** RSA key sizes by system; those of all rows that hold add up. Limits of one kind of key storage are the platform's own facts. */
export const keySizeFacts: readonly Fact<readonly number[]>[] = [
  {
    id: 'key-size.any',
    platforms: systems,
    effect: 'Keys of 1024 and 2048 bits can be asked for.',
    value: [1024, 2048],
    source: 'SEED S37',
    confidence: 'V',
  },
  {
    id: 'key-size.ios-4096',
    platforms: ['ios'],
    since: '14',
    effect: 'Keys of 4096 bits can be asked for from iOS 14.',
    value: [4096],
    source: 'M-SCEP Key size',
    confidence: 'V',
  },
  {
    id: 'key-size.macos-4096',
    platforms: ['macos'],
    since: '11',
    effect: 'Keys of 4096 bits can be asked for from macOS 11.',
    value: [4096],
    source: 'M-SCEP Key size',
    confidence: 'V',
  },
  {
    id: 'key-size.android-4096',
    platforms: ['android'],
    effect: 'Keys of 4096 bits can be asked for.',
    value: [4096],
    source: 'M-SCEP Key size',
    confidence: 'V',
  },
  {
    id: 'key-size.windows-4096',
    platforms: ['windows'],
    effect: 'Keys of 4096 bits can be asked for, though not in every key storage provider.',
    value: [4096],
    source: 'M-SCEP Key size; W-DDF Install/KeyLength',
    confidence: 'V',
  },
]

export const keyTypeFact = {
  id: 'key-type.rsa',
  platforms: systems,
  effect: 'SCEP keys are RSA: the profiles know a size and no other kind, and CertRep is unwrapped by RSA.',
  value: 'rsa',
  alternatives: [],
  source: 'A-DM com.apple.security.scep Key Type; W-DDF Install/KeyLength; SEED S37',
  confidence: 'I',
} as const satisfies Fact<KeySpec['algorithm']>

/** The RSA key size asked for. A key that this system cannot be asked for, wherever it would live: `ERR_UNSUPPORTED`. */
export function supportedKeyBits(spec: KeySpec, os: Os): number {
  if (spec.algorithm !== says(keyTypeFact, os)) {
    refuse(keyTypeFact, `${os.system} makes RSA keys only for SCEP, the profile asks for ${spec.curve}`)
  }
  const rows = keySizeFacts.filter((fact) => holds(fact, os))
  const offered = rows.flatMap((fact) => says(fact, os))
  if (!offered.includes(spec.bits)) {
    refuse(rows.at(-1) as Fact, `${os.system} ${os.version} makes keys of ${offered.join(', ')} bits, the profile asks for ${spec.bits}`)
  }
  return spec.bits
}
