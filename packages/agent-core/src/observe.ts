import { AgentError } from './errors.ts'
import { openKey } from './keys/placement.ts'
import { certificateOf } from './pki/installed.ts'
import { managementKeyLabel } from './policy/management.ts'
import type { KeyStorageProvider, PlatformAdapter, StateStore } from './ports.ts'
import { type DeviceState, type Identity, type IdentityFacts, identityKey, type KeyStorageStatus } from './types.ts'

/**
 * Reads what is really on the device. What a crash left half done shows up here, and the planner deals with it.
 * A key storage that does not answer is told, and what it may hold is left alone.
 */
export async function observe(platform: PlatformAdapter, store: StateStore): Promise<DeviceState> {
  const [state, roots, identities, storages, locked] = await Promise.all([
    store.load(),
    platform.certificateStores.list(),
    platform.identities.list(),
    Promise.all(platform.keyStorageProviders.map(observeStorage)),
    platform.isLocked(),
  ])
  const facts = await Promise.all(identities.map((identity) => identityFacts(identity, platform.keyStorageProviders)))
  return {
    ...state,
    roots,
    locked,
    identities: new Map(facts.map((fact) => [identityKey(fact.principal, fact.profileId), fact])),
    keyLabels: new Set(storages.flatMap(({ labels }) => labels).filter((label) => label !== managementKeyLabel)),
    keyStorage: storages.map(({ status }) => status),
  }
}

async function observeStorage(provider: KeyStorageProvider): Promise<{ status: KeyStorageStatus; labels: readonly string[] }> {
  const { protection, name } = provider
  try {
    return { status: { protection, name }, labels: await provider.list() }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { status: { protection, name, code: error.code, message: error.message }, labels: [] }
  }
}

async function identityFacts(identity: Identity, providers: readonly KeyStorageProvider[]): Promise<IdentityFacts> {
  const certificate = certificateOf(identity)
  return {
    profileId: identity.profileId,
    principal: identity.principal,
    keyLabel: identity.keyLabel,
    keyUsable: await isUsable(identity, certificate.publicKey, providers),
    requested: identity.requested,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    renewalJitterMs: identity.renewalJitterMs,
    ...(identity.releasedBy && { releasedBy: identity.releasedBy }),
  }
}

async function isUsable(identity: Identity, publicKey: Uint8Array, providers: readonly KeyStorageProvider[]): Promise<boolean> {
  try {
    const key = await openKey(identity, providers)
    return key !== undefined && Buffer.compare(key.publicKey, publicKey) === 0
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    // A busy TPM is no reason for a new certificate; `observeStorage` tells what is wrong.
    return true
  }
}
