import { AgentError, type Identity, type KeyHandle, type KeyStorageProvider, type PlatformAdapter } from '@certfleet/agent-core'
import { createCsr } from '@certfleet/agent-core/pki'

/** A certificate of one device, as it may be shown. */
export interface IssuedCertificate {
  readonly profileId: string
  /** Leaf first, root last, DER. */
  readonly chain: readonly Uint8Array[]
  /** The request, signed again by its key without the challenge: DER. */
  readonly csr: Uint8Array
}

/** What a device obtained. The requests that went to the CA held a challenge; these do not. */
export function issuedCertificates(platform: PlatformAdapter, identities: readonly Identity[]): Promise<IssuedCertificate[]> {
  return Promise.all(
    identities.map(async ({ profileId, chain, requested, keyLabel }) => {
      const key = await keyOf(keyLabel, platform.keyStorageProviders)
      return { profileId, chain, csr: await createCsr({ ...requested, key, hash: 'sha256' }) }
    }),
  )
}

async function keyOf(label: string, providers: readonly KeyStorageProvider[]): Promise<KeyHandle> {
  for (const provider of providers) {
    const key = await provider.open(label)
    if (key) return key
  }
  throw new AgentError('ERR_KEY_UNAVAILABLE', `the key "${label}" of an installed certificate is gone`)
}
