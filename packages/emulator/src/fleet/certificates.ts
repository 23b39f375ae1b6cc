import { AgentError, type Identity, openKey, type PlatformAdapter } from '@certfleet/agent-core'
import { createCsr } from '@certfleet/agent-core/pki'

/** A certificate of one device, as it may be shown. */
export interface IssuedCertificate {
  readonly profileId: string
  /** Leaf first, root last, DER. */
  readonly chain: readonly Uint8Array[]
  /** The request, signed again by its key without the challenge: DER. Absent where the key came with the certificate. */
  readonly csr?: Uint8Array
}

/** What a device obtained. The requests that went to the CA held a challenge; these do not. */
export function issuedCertificates(platform: PlatformAdapter, identities: readonly Identity[]): Promise<IssuedCertificate[]> {
  return Promise.all(identities.map((identity) => issued(identity, platform)))
}

async function issued(identity: Identity, platform: PlatformAdapter): Promise<IssuedCertificate> {
  const { profileId, chain, requested } = identity
  if ('kind' in requested) return { profileId, chain }
  const key = await openKey(identity, platform.keyStorageProviders)
  if (!key) throw new AgentError('ERR_KEY_UNAVAILABLE', `the key "${identity.keyLabel}" of an installed certificate is gone`)
  return { profileId, chain, csr: await createCsr({ ...requested, key, hash: 'sha256' }) }
}
