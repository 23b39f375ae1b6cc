import { AgentError, type CertificateStores, type Identity, type IdentityStore, type KeyStorageProvider } from '@certfleet/agent-core'
import { storageFacts } from './android/modes-facts.ts'
import { says } from './fact.ts'
import type { Installation } from './installation.ts'
import type { Os } from './os.ts'

/** What a user is asked, or has to do alone. */
export type UserStep =
  /** `install-root-by-hand`: granted once the root is there under that name. */
  | { readonly kind: 'install-root' | 'install-root-by-hand'; readonly displayName: string; readonly certificate: Uint8Array }
  /** SHA-256 of the root, lower-case hex. */
  | { readonly kind: 'trust-root'; readonly fingerprint: string }
  /** First the installation of a certificate, then the access to its key. */
  | { readonly kind: 'install-identity' | 'access-key'; readonly displayName: string; readonly identity: Identity }

/** `waiting`: there is no answer yet. */
export type UserAnswer = 'granted' | 'refused' | 'waiting'

/** Asked at every pass until the answer is `granted`; a pass never waits for it, so that an embedder starts another when the user has answered. */
export type UserConsent = (step: UserStep) => Promise<UserAnswer>

/** The stores of a device whose user has a say. What is not granted fails with `ERR_USER_ACTION_REQUIRED`. */
export function storesByConsent(stores: CertificateStores, { root, trust }: Installation, ask: UserConsent): CertificateStores {
  const kind = root === 'by-hand' ? 'install-root-by-hand' : 'install-root'
  return {
    async list() {
      const installed = await stores.list()
      if (trust === 'at-once') return installed
      return Promise.all(
        installed.map(async (entry) => {
          const isTrusted = (await ask({ kind: 'trust-root', fingerprint: entry.fingerprint })) === 'granted'
          return isTrusted ? entry : { ...entry, awaitsTrust: true as const }
        }),
      )
    },
    async install(store, certificate, displayName = 'a root') {
      if (root !== 'silent') await assertGranted({ kind, displayName, certificate }, ask)
      await stores.install(store, certificate, displayName)
    },
    remove: (entry) => stores.remove(entry),
  }
}

/**
 * The identities of a device whose user has a say. The access to the key is asked for before the certificate is in place: one that nobody may
 * use would look like one that is done.
 */
export function identitiesByConsent(identities: IdentityStore, ask: UserConsent): IdentityStore {
  return {
    list: () => identities.list(),
    async install(identity, displayName = identity.profileId) {
      const isThere = (await identities.list()).some(({ keyLabel }) => keyLabel === identity.keyLabel)
      if (!isThere) {
        await assertGranted({ kind: 'install-identity', displayName, identity }, ask)
        await assertGranted({ kind: 'access-key', displayName, identity }, ask)
      }
      await identities.install(identity, displayName)
    },
    remove: (key) => identities.remove(key),
  }
}

/** Key storage that makes no key before the device has a PIN. */
export function keysBehindPin(provider: KeyStorageProvider, hasPin: () => Promise<boolean>, os: Os): KeyStorageProvider {
  const { fullDiskPin } = storageFacts
  const message = `the storage of this device is encrypted as a whole and has no PIN yet; set one (${fullDiskPin.id})`
  const importing = provider.import && (provider as Required<KeyStorageProvider>)
  return {
    protection: provider.protection,
    name: provider.name,
    generate: (spec, label) => provider.generate(spec, label),
    ...(importing && { import: (...given: Parameters<typeof importing.import>) => importing.import(...given) }),
    open: (label) => provider.open(label),
    list: () => provider.list(),
    destroy: (label) => provider.destroy(label),
    readiness: async (wish) =>
      says(fullDiskPin, os) && !(await hasPin()) ? { state: 'not-provisioned', message } : provider.readiness(wish),
  }
}

const undone = {
  'install-root': (name) => `has not let "${name}" be installed`,
  'install-root-by-hand': (name) => `has not installed the root by hand under the name "${name}", which no policy can do on this OS`,
  'install-identity': (name) => `has not let the certificate of "${name}" be installed`,
  'access-key': (name) => `has not let the key of "${name}" be used`,
} as const satisfies Record<Exclude<UserStep['kind'], 'trust-root'>, (name: string) => string>

async function assertGranted(step: Exclude<UserStep, { kind: 'trust-root' }>, ask: UserConsent): Promise<void> {
  const answer = await ask(step)
  if (answer === 'granted') return
  const how = answer === 'refused' ? 'refused, and ' : ''
  throw new AgentError('ERR_USER_ACTION_REQUIRED', `the user ${how}${undone[step.kind](step.displayName)}`)
}
