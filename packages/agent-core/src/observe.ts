import { parseCertificate } from './pki/certificate.ts'
import type { KeyStorageProvider, PlatformAdapter, StateStore } from './ports.ts'
import { type DeviceState, type Identity, type IdentityFacts, identityKey } from './types.ts'

/** Reads what is really on the device. What a crash left half done shows up here, and the planner deals with it. */
export async function observe(platform: PlatformAdapter, store: StateStore): Promise<DeviceState> {
  const [state, roots, identities, labels, locked] = await Promise.all([
    store.load(),
    platform.certificateStores.list(),
    platform.identities.list(),
    Promise.all(platform.keyStorageProviders.map((provider) => provider.list())),
    platform.isLocked(),
  ])
  const facts = await Promise.all(identities.map((identity) => identityFacts(identity, platform.keyStorageProviders)))
  return {
    ...state,
    roots,
    locked,
    identities: new Map(facts.map((fact) => [identityKey(fact.principal, fact.profileId), fact])),
    keyLabels: new Set(labels.flat()),
  }
}

async function identityFacts(identity: Identity, providers: readonly KeyStorageProvider[]): Promise<IdentityFacts> {
  const certificate = parseCertificate(identity.chain[0] as Uint8Array)
  const key = await openKey(identity.keyLabel, providers)
  return {
    profileId: identity.profileId,
    principal: identity.principal,
    keyLabel: identity.keyLabel,
    keyUsable: key !== undefined && Buffer.compare(key.publicKey, certificate.publicKey) === 0,
    requested: identity.requested,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    renewalJitterMs: identity.renewalJitterMs,
  }
}

/** The key under that label, whichever provider holds it. */
export async function openKey(label: string, providers: readonly KeyStorageProvider[]) {
  for (const provider of providers) {
    const key = await provider.open(label)
    if (key) return key
  }
  return undefined
}
