import type { KeyStorageProvider, PolicyDocument } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import { assertEmulationTarget, type EmulationKeys } from '../keys/index.ts'
import { assignProfiles, type Import, type Intent, renderPolicy, retarget, type Tenant } from '../tenant/index.ts'
import type { SimulatedLab } from './simulation.ts'
import { besideTpm } from './storage.ts'

export function devicesOf({ devices }: Tenant): readonly DeviceSpec[] {
  return [...devices.values()].map(deviceSpecOf)
}

/** What the tenant renders for the lab that stands in for its CA; a device's policy is rendered once for each CA. */
export function policiesOf(imported: Import, tenant: Tenant): (deviceId: string, lab: SimulatedLab) => PolicyDocument | undefined {
  let rendered = new Map<string, PolicyDocument>()
  let root: Uint8Array | undefined
  let intent: Intent
  return (deviceId, lab) => {
    if (root !== lab.root) {
      root = lab.root
      rendered = new Map()
      intent = assignProfiles(retarget(imported, lab).imported, tenant).intent
    }
    if (!tenant.devices.has(deviceId)) return undefined
    const policy = rendered.get(deviceId) ?? renderForLab(intent, tenant, deviceId)
    rendered.set(deviceId, policy)
    return policy
  }
}

/** With keys that share primes nobody may enrol anywhere else. */
function renderForLab(intent: Intent, tenant: Tenant, deviceId: string): PolicyDocument {
  const policy = renderPolicy(intent, tenant, deviceId, { revision: 1 })
  for (const { scepUrls } of policy.scepProfiles) for (const url of scepUrls) assertEmulationTarget(url)
  return policy
}

/** Software keys, and on Windows a TPM beside them. */
export function keyStorageOf(keys: EmulationKeys): (index: number, spec: DeviceSpec) => readonly KeyStorageProvider[] {
  return (index, { platform }) => {
    const software = keys.forDevice(index)
    return platform === 'windows' ? besideTpm(software) : [software]
  }
}
