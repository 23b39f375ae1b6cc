import type { PolicyDocument } from '@certfleet/agent-core'
import { folderName } from '../fleet/folder-name.ts'
import type { LabStore } from '../lab/index.ts'
import { type FleetPlatform, fleetPlatforms } from '../scenario/schema.ts'
import { assignProfiles, type Device, generateTenant, type Import, renderPolicy, type Tenant, type User } from '../tenant/index.ts'
import { generatedDomain } from './tenant-input.ts'

/**
 * The policies of a lab: the tenant's devices get theirs; any other that registered is taken as a guest, a device of its platform
 * with a user of its own. One of a platform that is none gets no policy.
 */
export function labPolicies(imported: Import, tenant: Tenant, store: LabStore): (deviceId: string) => PolicyDocument | undefined {
  const { intent } = assignProfiles(imported, tenant)
  return (deviceId) => {
    if (tenant.devices.has(deviceId)) return renderPolicy(intent, tenant, deviceId, { revision: 1 })
    const registration = store.get('registrations', deviceId)
    const platform = fleetPlatforms.find((name) => name === registration?.platform)
    if (!registration || !platform || !/^\d+(\.\d+)*$/.test(registration.osVersion)) return undefined
    return renderPolicy(intent, withGuest(tenant, deviceId, platform, registration.osVersion), deviceId, { revision: 1 })
  }
}

/** Groups stay: nobody who is in one is a guest. */
function withGuest(tenant: Tenant, deviceId: string, platform: FleetPlatform, osVersion: string): Tenant {
  const model = generateTenant({ counts: { [platform]: 1 }, domain: generatedDomain })
  const userName = `user-of-${folderName(deviceId)}`
  const address = `${userName}@${generatedDomain}`
  const [modelUser] = model.users.values()
  const [modelDevice] = model.devices.values()
  const user: User = {
    ...(modelUser as User),
    id: userName,
    userName,
    upn: address,
    email: address,
    onPremSamAccountName: userName,
    onPremUserPrincipalName: address,
  }
  const device: Device = { ...(modelDevice as Device), id: deviceId, osVersion, deviceName: deviceId, user: user.id }
  return { ...tenant, users: new Map([[user.id, user]]), devices: new Map([[deviceId, device]]) }
}
