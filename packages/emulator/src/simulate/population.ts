import type { KeyStorageProvider, PolicyDocument } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import { asProtections, assertEmulationTarget, type EmulationKeys } from '../keys/index.ts'
import {
  assignProfiles,
  type Import,
  type Intent,
  type PfxRequest,
  renderPfxRequests,
  renderPolicy,
  retarget,
  type Tenant,
} from '../tenant/index.ts'

export function devicesOf({ devices }: Tenant): readonly DeviceSpec[] {
  return [...devices.values()].map(deviceSpecOf)
}

/** The CA by which policies are rendered. */
export interface SimulatedLab {
  /** DER; the same octets each time it is this CA. */
  readonly root: Uint8Array
  /** DER. */
  readonly issuing: Uint8Array
  readonly scepUrl: string
}

/** What the tenant has for its devices; undefined, and nothing, for one that it does not know. */
export interface TenantPolicies {
  /** Imported PFX of any revision: which one it is then is not the tenant's to know. */
  policyFor(deviceId: string, lab: SimulatedLab): PolicyDocument | undefined
  pfxRequestsFor(deviceId: string, lab: SimulatedLab): readonly PfxRequest[]
}

/** While one takes the place of another. */
const casAtOnce = 2

interface Rendered {
  readonly policy: PolicyDocument
  readonly pfxRequests: readonly PfxRequest[]
}

/** What the tenant renders for the lab that stands in for its CA; for each device once a CA. */
export function policiesOf(imported: Import, tenant: Tenant): TenantPolicies {
  const byRoot = new Map<Uint8Array, (deviceId: string) => Rendered | undefined>()
  const renderingFor = (lab: SimulatedLab) => {
    const known = byRoot.get(lab.root) ?? rendering(assignProfiles(retarget(imported, lab).imported, tenant).intent, tenant)
    byRoot.set(lab.root, known)
    if (byRoot.size > casAtOnce) byRoot.delete(byRoot.keys().next().value as Uint8Array)
    return known
  }
  return {
    policyFor: (deviceId, lab) => renderingFor(lab)(deviceId)?.policy,
    pfxRequestsFor: (deviceId, lab) => renderingFor(lab)(deviceId)?.pfxRequests ?? [],
  }
}

function rendering(intent: Intent, tenant: Tenant): (deviceId: string) => Rendered | undefined {
  const rendered = new Map<string, Rendered>()
  return (deviceId) => {
    if (!tenant.devices.has(deviceId)) return undefined
    const known = rendered.get(deviceId) ?? renderForLab(intent, tenant, deviceId)
    rendered.set(deviceId, known)
    return known
  }
}

/** With keys that share primes nobody may enrol anywhere else. */
function renderForLab(intent: Intent, tenant: Tenant, deviceId: string): Rendered {
  const policy = renderPolicy(intent, tenant, deviceId, { revision: 1, importedRevision: () => 'imported' })
  for (const { scepUrls } of policy.scepProfiles) for (const url of scepUrls) assertEmulationTarget(url)
  return { policy, pfxRequests: renderPfxRequests(intent, tenant, deviceId) }
}

/** Software keys, and on Windows a TPM beside them. */
export function keyStorageOf(keys: Pick<EmulationKeys, 'forDevice'>): (index: number, spec: DeviceSpec) => readonly KeyStorageProvider[] {
  return (index, { platform }) => asProtections(keys.forDevice(index), platform === 'windows' ? ['software', 'tpm'] : ['software'])
}
