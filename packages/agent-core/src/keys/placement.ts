import { AgentError } from '../errors.ts'
import type { KeyHandle, KeyReadiness, KeyStorageProvider, KeyWish } from '../ports.ts'
import type { CertificateProfile, EnrollmentAttempt, KeyPlacement, KeyProtection } from '../types.ts'
import { chooseKeyStorage, protectionsByOption } from './choice.ts'

/**
 * Asks the storage that the profile may use whether it can hold the key, and chooses. Nothing is made or sent.
 * What cannot be placed fails with the code of `chooseKeyStorage`.
 */
export async function placeKey(
  { displayName, request, ignoredSettings = [] }: Pick<CertificateProfile, 'displayName' | 'request' | 'ignoredSettings'>,
  wish: KeyWish,
  providers: readonly KeyStorageProvider[],
  deviceChoice: KeyProtection | undefined,
): Promise<KeyPlacement> {
  const candidates = deviceChoice === undefined ? protectionsByOption[request.keyStorage] : [deviceChoice]
  const readiness: Partial<Record<KeyProtection, KeyReadiness>> = {}
  for (const protection of candidates) {
    const provider = providers.find((candidate) => candidate.protection === protection)
    if (provider) readiness[protection] = await readinessOf(provider, wish)
  }
  const isIgnored = ignoredSettings.includes('keyStorage')
  const choice = chooseKeyStorage({ option: request.keyStorage, deviceChoice, isIgnored }, readiness)
  if (choice.outcome !== 'use') throw new AgentError(choice.code, `"${displayName}": ${choice.message}`)
  const { protection, reason } = choice
  return { protection, provider: providerOf(choice, providers).name, reason }
}

/** Hardware that is absent is no reason to fail, whatever it could not do if it were there. */
async function readinessOf(provider: KeyStorageProvider, wish: KeyWish): Promise<KeyReadiness> {
  const readiness = await provider.readiness(wish)
  if (!wish.isImport || provider.import || readiness.state === 'absent') return readiness
  return { state: 'unsupported', message: `${provider.name} takes no key that was made elsewhere` }
}

/** The provider that a key was put in. None: `ERR_KEY_UNAVAILABLE`. */
export function providerOf({ protection }: Pick<KeyPlacement, 'protection'>, providers: readonly KeyStorageProvider[]): KeyStorageProvider {
  const provider = providers.find((candidate) => candidate.protection === protection)
  if (!provider) throw new AgentError('ERR_KEY_UNAVAILABLE', `the device has no key storage "${protection}" any more`)
  return provider
}

/** The key of an attempt or identity, where it was put; undefined when the key or its storage is gone. */
export async function openKey(
  { keyLabel, placement }: Pick<EnrollmentAttempt, 'keyLabel' | 'placement'>,
  providers: readonly KeyStorageProvider[],
): Promise<KeyHandle | undefined> {
  return providers.find(({ protection }) => protection === placement.protection)?.open(keyLabel)
}

/** Destroys the key in the one storage that holds it. */
export async function destroyKey(label: string, providers: readonly KeyStorageProvider[]): Promise<void> {
  for (const provider of providers) {
    if ((await provider.list()).includes(label)) return provider.destroy(label)
  }
}
