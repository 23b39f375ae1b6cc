import { fingerprintOf } from '../pki/certificate.ts'
import type { CertificateStores, IdentityStore } from '../ports.ts'
import { sharing } from '../sharing.ts'
import { type Identity, type InstalledRoot, identityKey } from '../types.ts'
import { admit } from './admission.ts'

const installedRoot = sharing<InstalledRoot>()
const caCertificate = sharing<Uint8Array>()

/** The three modelled stores in process memory. */
export function memoryStores(): CertificateStores {
  let roots: readonly InstalledRoot[] = []
  const without = ({ store, fingerprint }: InstalledRoot) =>
    roots.filter((root) => root.store !== store || root.fingerprint !== fingerprint)
  return {
    async list() {
      return roots
    },
    async install(store, certificate) {
      const fingerprint = admit(store, certificate)
      const root = installedRoot(`${store} ${fingerprint}`, () => ({ store, fingerprint }))
      roots = without(root).concat(root)
    },
    async remove(root) {
      roots = without(root)
    },
  }
}

/** Identities in process memory. Certificates are copied, since what comes are views of whole replies. */
export function memoryIdentities(): IdentityStore {
  let identities: readonly Identity[] = []
  const without = (key: string) => identities.filter(({ principal, profileId }) => identityKey(principal, profileId) !== key)
  return {
    async list() {
      return identities
    },
    async install(identity) {
      const chain = identity.chain.map((der, i) =>
        i === 0 ? new Uint8Array(der) : caCertificate(fingerprintOf(der), () => new Uint8Array(der)),
      )
      identities = without(identityKey(identity.principal, identity.profileId)).concat({ ...identity, chain })
    },
    async remove(key) {
      identities = without(key)
    },
  }
}
