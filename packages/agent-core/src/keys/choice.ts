import { AgentError } from '../errors.ts'
import type { KeyStorageProvider } from '../ports.ts'
import type { KeyProtection, KeySpec, KeyStorageOption } from '../types.ts'

/** Where a key may live, in order of preference (S25-S29). */
export const protectionsByOption = {
  useTpmKspOtherwiseUseSoftwareKsp: ['tpm', 'software'],
  useTpmKspOtherwiseFail: ['tpm'],
  usePassportForWorkKspOtherwiseFail: ['passport'],
  useSoftwareKsp: ['software'],
} as const satisfies Record<KeyStorageOption, readonly KeyProtection[]>

/** The first provider that the option allows and that can make such a key; none: `ERR_KEY_STORAGE_UNAVAILABLE`, and no key is made. */
export function chooseProvider(option: KeyStorageOption, spec: KeySpec, providers: readonly KeyStorageProvider[]): KeyStorageProvider {
  for (const protection of protectionsByOption[option]) {
    const provider = providers.find((candidate) => candidate.protection === protection && candidate.supports(spec))
    if (provider) return provider
  }
  const has = providers.map((provider) => provider.protection).join(', ') || 'none'
  throw new AgentError(
    'ERR_KEY_STORAGE_UNAVAILABLE',
    `no key storage provider satisfies ${option} for ${describeSpec(spec)}; the device has: ${has}`,
  )
}

export function describeSpec(spec: KeySpec): string {
  return spec.algorithm === 'rsa' ? `RSA-${spec.bits}` : spec.curve
}
