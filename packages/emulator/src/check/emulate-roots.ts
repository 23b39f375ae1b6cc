import { AgentError, memoryStores, type PolicyDocument, type StoreName } from '@certfleet/agent-core'
import { type Os, storeFor } from '@certfleet/platforms'
import { type Intent, renderPolicy, type Tenant } from '../tenant/index.ts'

type WireRoot = PolicyDocument['trustedRoots'][number]

/** Roots that the store of a device does not take stay what the export says: no other would show that. */
export function keptRoots(asExported: Intent, tenant: Tenant, osOf: (deviceId: string) => Os) {
  const known = new Map<string, Promise<boolean>>()
  return async (deviceId: string, policy: PolicyDocument): Promise<PolicyDocument> => {
    const exported = renderPolicy(asExported, tenant, deviceId, { revision: 1, importedRevision: () => 'any' })
    const refused = new Map<string, WireRoot>()
    for (const root of exported.trustedRoots) {
      const certificate = Buffer.from(root.certificate, 'base64')
      const store = storeFor({ certificate, destinationStore: root.destinationStore }, osOf(deviceId))
      const refusing = known.get(`${store} ${root.id}`) ?? isRefused(store, certificate)
      known.set(`${store} ${root.id}`, refusing)
      if (await refusing) refused.set(root.id, root)
    }
    for (const root of [...refused.values()].filter((root) => isReplaced(root, exported, (id) => refused.has(id)))) refused.delete(root.id)
    return { ...policy, trustedRoots: policy.trustedRoots.map((root) => refused.get(root.id) ?? root) }
  }
}

/**
 * Whether the lab's root stands for one that its store refuses: whoever needs it and has its certificate by another profile goes on with
 * that, and in the lab both are the same. What no certificate profile of the device needs is refused for what it is.
 */
export function isReplaced({ id, certificate }: WireRoot, policy: PolicyDocument, isRefused: (rootId: string) => boolean): boolean {
  const { trustedRoots, scepProfiles, pfxProfiles = [] } = policy
  const isNeeded = [...scepProfiles, ...pfxProfiles].some(({ rootProfileId }) => rootProfileId === id)
  return isNeeded && trustedRoots.some((other) => other.certificate === certificate && !isRefused(other.id))
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
