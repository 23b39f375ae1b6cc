import { AgentError, memoryStores, type PolicyDocument, type StoreName } from '@certfleet/agent-core'
import { type Os, storeFor } from '@certfleet/platforms'
import { type Intent, renderPolicy, type Tenant } from '../tenant/index.ts'

type WireRoot = PolicyDocument['trustedRoots'][number]

/** Roots that the store of a device does not take stay what the export says: no other would show that. */
export function keptRoots(asExported: Intent, tenant: Tenant, osOf: (deviceId: string) => Os) {
  const known = new Map<string, Promise<boolean>>()
  return async (deviceId: string, policy: PolicyDocument): Promise<PolicyDocument> => {
    const exported = renderPolicy(asExported, tenant, deviceId, { revision: 1 })
    const refused = new Map<string, WireRoot>()
    for (const root of exported.trustedRoots) {
      const certificate = Buffer.from(root.certificate, 'base64')
      const store = storeFor({ certificate, destinationStore: root.destinationStore }, osOf(deviceId))
      const refusing = known.get(`${store} ${root.id}`) ?? isRefused(store, certificate)
      known.set(`${store} ${root.id}`, refusing)
      if (await refusing) refused.set(root.id, root)
    }
    // Whoever has the certificate by another profile goes on with it.
    const isThere = ({ certificate }: WireRoot) =>
      exported.trustedRoots.some((other) => other.certificate === certificate && !refused.has(other.id))
    for (const root of [...refused.values()].filter(isThere)) refused.delete(root.id)
    return { ...policy, trustedRoots: policy.trustedRoots.map((root) => refused.get(root.id) ?? root) }
  }
}

async function isRefused(store: StoreName, certificate: Uint8Array): Promise<boolean> {
  try {
    await memoryStores().install(store, certificate, 'tried')
    return false
  } catch (error) {
    if (error instanceof AgentError) return true
    throw error
  }
}
