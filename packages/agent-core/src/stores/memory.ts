import type { CertificateStores, IdentityStore } from '../ports.ts'
import { type Identity, type IdentityKey, type InstalledRoot, identityKey } from '../types.ts'
import { admit } from './admission.ts'

/** The three modelled stores in process memory. */
export function memoryStores(): CertificateStores {
  const entries = new Map<string, InstalledRoot>()
  const keyOf = (root: InstalledRoot) => `${root.store} ${root.fingerprint}`
  return {
    async list() {
      return [...entries.values()]
    },
    async install(store, certificate) {
      const root = { store, fingerprint: admit(store, certificate) }
      entries.set(keyOf(root), root)
    },
    async remove(root) {
      entries.delete(keyOf(root))
    },
  }
}

/** Identities in process memory. */
export function memoryIdentities(): IdentityStore {
  const identities = new Map<IdentityKey, Identity>()
  return {
    async list() {
      return [...identities.values()]
    },
    async install(identity) {
      identities.set(identityKey(identity.principal, identity.profileId), identity)
    },
    async remove(key) {
      identities.delete(key)
    },
  }
}
